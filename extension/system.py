"""System calls, clocks, the environment and error texts, the same under both interpreters.

Portable: runs under MicroPython and CPython. The system calls are in `posix_calls`: a module in C
in the layer, a Python module elsewhere.
"""

import os
import sys

IS_MICROPYTHON = sys.implementation.name == "micropython"
if IS_MICROPYTHON:
    import posix_calls
else:
    from extension import posix_calls

create = posix_calls.create
write_at = posix_calls.write_at
truncate = posix_calls.truncate
chmod = posix_calls.chmod
close = posix_calls.close
set_mtime = posix_calls.set_mtime
stat = posix_calls.stat
read = posix_calls.read
refused_certificate = posix_calls.refused_certificate
lease = posix_calls.lease
is_awaited = posix_calls.is_awaited
end_lease = posix_calls.end_lease
start_look_up = posix_calls.look_up
umask = posix_calls.umask
getenv = posix_calls.getenv
watch_signals = posix_calls.watch_signals
watch_leases = posix_calls.watch_leases
monotonic = posix_calls.monotonic
wall = posix_calls.wall
# From the kernel at each call. A generator in this process would be part of a snapshot (SnapStart):
# all environments that are restored from it would get the same numbers.
random = posix_calls.random
write_stderr = posix_calls.write_stderr
exit_now = posix_calls.exit
rename = posix_calls.rename
mkdir = os.mkdir
remove = os.remove


def read_file(path: str) -> bytes:
    """Read a whole file.

    Raises:
        OSError: It can't be read.
    """
    size = stat(path)[1]
    with open(path, "rb") as file:
        # Without a size, MicroPython reads 256 bytes at a time. The second read returns data that
        # was appended meanwhile.
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
    """Return an error's message, which is the same under both interpreters."""
    if isinstance(error, OSError) and error.errno is not None:
        return _describe_os_error(error)
    return str(error) or error.__class__.__name__


# Linux's error numbers, the same on x86_64 and arm64. MicroPython has few names of them, and no
# messages.
_OS_ERRORS = (
    (1, "operation not permitted"),
    (2, "no such file or folder"),
    (5, "input/output error"),
    (12, "out of memory"),
    (13, "permission denied"),
    (16, "device or resource busy"),
    (17, "file exists"),
    (18, "on another file system"),
    (19, "no such device"),
    (20, "a part of the path is not a folder"),
    (21, "it is a folder"),
    (22, "invalid argument"),
    (23, "too many open files in the system"),
    (24, "too many open files"),
    (26, "the file is being executed"),
    (27, "file too large"),
    (28, "no space left on device"),
    (30, "read-only file system"),
    (32, "connection closed"),
    (36, "name too long"),
    (39, "the folder is not empty"),
    (40, "too many symbolic links"),
    (95, "operation not supported"),
    (97, "address family not supported"),
    (99, "address not available"),
    (100, "network is down"),
    (101, "network unreachable"),
    (103, "connection aborted"),
    (104, "connection reset"),
    (107, "not connected"),
    (110, "connection timed out"),
    (111, "connection refused"),
    (112, "host is down"),
    (113, "host unreachable"),
    (116, "stale file handle"),
    (122, "disk quota exceeded"),
)


def _describe_os_error(error: OSError) -> str:
    number = abs(error.errno or 0)
    text = error.args[1] if len(error.args) > 1 else ""
    # The kernel's errors have the text or the name of their number; others have their own message.
    is_from_kernel = not isinstance(text, str) or not text or text.startswith("E")
    if not IS_MICROPYTHON:
        is_from_kernel = is_from_kernel or text == os.strerror(number)
    if not is_from_kernel:
        return str(text)
    # A tuple of constants takes no time at the start, unlike a dictionary.
    for known, description in _OS_ERRORS:
        if known == number:
            return description
    return f"error {number}"
