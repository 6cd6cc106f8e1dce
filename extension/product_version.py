"""The version of this product.

Portable: runs under MicroPython and CPython. The layer's build replaces this file by one with the
version from pyproject.toml (`layer/contents.py`).
"""

VERSION = "checkout"
