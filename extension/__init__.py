"""The Lambda extension: resolves a function's needs and keeps its services file fresh.

Runs from the layer on MicroPython, and on CPython for tests.
"""
