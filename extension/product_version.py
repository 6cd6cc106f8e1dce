"""The version of this product.

Portable: runs under MicroPython and CPython. The build of the layer freezes another text in place
of this file, with the version that pyproject.toml has (`layer/contents.py`).
"""

VERSION = "checkout"
