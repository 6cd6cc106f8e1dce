"""System calls, the clocks, the environment and error texts, alike under MicroPython and CPython.

Portable: runs under MicroPython and CPython. The system calls come from `posix_calls`: a module in
C inside of the layer, a Python module elsewhere.
"""

import errno
import os
import sys

IS_MICROPYTHON = sys.implementation.name == "micropython"
if IS_MICROPYTHON:
    import posix_calls
else:
    from extension import posix_calls

create = posix_calls.create
write_at = posix_calls.write_at
allocate = posix_calls.allocate
truncate = posix_calls.truncate
chmod = posix_calls.chmod
close = posix_calls.close
set_mtime = posix_calls.set_mtime
stat = posix_calls.stat
read = posix_calls.read
lease = posix_calls.lease
start_look_up = posix_calls.look_up
umask = posix_calls.umask
watch_signals = posix_calls.watch_signals
monotonic = posix_calls.monotonic
wall = posix_calls.wall
write_stderr = posix_calls.write_stderr
exit_now = posix_calls.exit
rename = posix_calls.rename
mkdir = os.mkdir
remove = os.remove


def getenv(name: str) -> "str | None":
    """Return a variable of the environment; None if it is not set, or set to the empty string.

    Raises:
        ValueError: It is not UTF-8.
    """
    value = posix_calls.environment(name)
    if not value:
        return None
    try:
        return str(value, "utf-8")
    except UnicodeError:
        raise ValueError("it is not UTF-8")


def random() -> float:
    """Return a random number from 0 up to 1.

    The kernel's generator is asked each time. The state of our own generator would be part of a
    snapshot (SnapStart): all environments restored from it would draw the same numbers.
    """
    return int.from_bytes(os.urandom(4), "big") / 4_294_967_296


def read_file(path: str) -> bytes:
    """Read a whole file.

    Raises:
        OSError: It can't be read.
    """
    size = stat(path)[1]
    with open(path, "rb") as file:
        # Without a size MicroPython reads 256 bytes at a time. The second read returns what was
        # appended since the size was read.
        return file.read(size + 1) + file.read()


def format_traceback(error: BaseException) -> str:
    """Return an exception's text with its traceback."""
    if IS_MICROPYTHON:
        import io

        text = io.StringIO()
        sys.print_exception(error, text)  # type: ignore[attr-defined]  # MicroPython's own
        return text.getvalue().strip()
    import traceback

    return "".join(traceback.format_exception(error)).strip()


def describe_error(error: BaseException) -> str:
    """Return in words what went wrong: the same words under both interpreters."""
    if isinstance(error, OSError) and error.errno is not None:
        return _describe_os_error(error)
    return str(error) or error.__class__.__name__


_OS_ERRORS = (
    (errno.ECONNREFUSED, "connection refused"),
    (errno.ECONNRESET, "connection reset"),
    (errno.EHOSTUNREACH, "host unreachable"),
    (errno.ETIMEDOUT, "connection timed out"),
    (errno.EACCES, "permission denied"),
    (errno.EISDIR, "it is a folder"),
    # MicroPython's `errno` has no names for these.
    (28, "no space left on device"),
    (30, "read-only file system"),
)


def _describe_os_error(error: OSError) -> str:
    text = error.args[1] if len(error.args) > 1 else ""
    if isinstance(text, str) and text and not text.startswith("E"):
        return text
    for number, name in _OS_ERRORS:
        if error.errno in (number, -number):
            return name
    return str(error)
