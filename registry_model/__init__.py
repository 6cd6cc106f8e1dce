"""What the registry is about: versions, needs, ARNs, records and the layout of its tables.

Standard library only, no input or output. The modules that the extension uses run under MicroPython
and CPython alike; `pyproject.toml` lists them.
"""
