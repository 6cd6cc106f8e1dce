"""Versions, needs, the services file and the index table's layout. Standard library only, no I/O.

The whole package is portable: it runs under MicroPython and CPython.
"""
