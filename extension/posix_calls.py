"""The system calls that the extension needs and MicroPython lacks.

This is the module for CPython; in the layer, `layer/native/posix_calls.c` is the same module in C.
Every function raises OSError with the kernel's error number.
"""

import contextlib
import ctypes
import errno
import fcntl
import os
import signal
import socket
import threading
import time

_F_SETSIG = 10
_F_SETLEASE = 1024
# Which signal reports a reader that waits for a leased file: see `lease`.
_LEASE_SIGNAL = signal.SIGRTMIN
_SIGSET_BYTES = 128
# A reader usually closes the file within this time, in microseconds.
_FIRST_PAUSE_US = 20


def create(path: str) -> int:
    """Create the file *path*, which must not exist, and open it for reading and writing."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    return os.open(path, flags, 0o600)


def write_at(fd: int, data: bytes, offset: int) -> None:
    """Write all of *data* at *offset*."""
    done = 0
    while done < len(data):
        done += os.pwrite(fd, data[done:], offset + done)


def truncate(fd: int, size: int) -> None:
    """Truncate the file to *size* bytes."""
    os.ftruncate(fd, size)


def chmod(fd: int, mode: int) -> None:
    """Set the file's mode."""
    os.fchmod(fd, mode)


def close(fd: int) -> None:
    """Close *fd*; a lease that it holds ends."""
    os.close(fd)


def rename(source: str, target: str) -> None:
    """Replace *target* by *source* in one step."""
    os.replace(source, target)


def set_mtime(file: "int | str", nanoseconds: int) -> None:
    """Set the modification time of an open file or of a path; the access time may change, too."""
    os.utime(file, ns=(nanoseconds, nanoseconds))


def stat(path: str) -> "tuple[int, int, int, int, int]":
    """Return mode, size, modification time (ns), inode and device."""
    info = os.stat(path)
    return info.st_mode, info.st_size, info.st_mtime_ns, info.st_ino, info.st_dev


def lease(fd: int, patience_us: int) -> None:
    """Place a write lease on an open file: the kernel holds other processes that open it.

    Raises OSError with EAGAIN if another process has the file open, and does not close it within
    *patience_us* microseconds.
    """
    pause_us = _FIRST_PAUSE_US
    while True:
        # F_UNLCK resets the signal to SIGIO (fs/locks.c, lease_modify): set it before every lease.
        fcntl.fcntl(fd, _F_SETSIG, _LEASE_SIGNAL)
        try:
            fcntl.fcntl(fd, _F_SETLEASE, fcntl.F_WRLCK)
        except OSError as error:
            if error.errno != errno.EAGAIN or patience_us <= 0:
                raise
        else:
            return
        time.sleep(pause_us / 1_000_000)
        patience_us -= pause_us
        pause_us *= 2


def is_awaited(fd: int) -> bool:
    """Return whether a process waits for the end of the lease on *fd*."""
    return fcntl.fcntl(fd, fcntl.F_GETLEASE) != fcntl.F_WRLCK


def end_lease(fd: int) -> int:
    """End a lease; processes that wait for the file continue."""
    return fcntl.fcntl(fd, _F_SETLEASE, fcntl.F_UNLCK)


def umask(mode: int) -> int:
    """Set the process's umask; return the one before."""
    return os.umask(mode)


def watch_signals() -> int:
    """Block SIGTERM and SIGINT; return a descriptor that either of them makes readable."""
    # If the queue of real-time signals is full, the kernel sends SIGIO instead, which ends the
    # process by default.
    signal.signal(signal.SIGIO, signal.SIG_IGN)
    return _signal_descriptor(signal.SIGTERM, signal.SIGINT)


def watch_leases() -> int:
    """Return a descriptor that is readable once a reader waits for a leased file."""
    return _signal_descriptor(_LEASE_SIGNAL)


def _signal_descriptor(*signals: int) -> int:
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    mask = sum(1 << (number - 1) for number in signals).to_bytes(_SIGSET_BYTES, "little")
    fd: int = ctypes.CDLL(None).signalfd(-1, mask, os.O_NONBLOCK | os.O_CLOEXEC)
    return fd


def monotonic() -> float:
    """Return the monotonic clock's time, in seconds."""
    return time.monotonic()


def wall() -> float:
    """Return the wall clock's time, in seconds since 1970."""
    return time.time()


def getenv(name: str) -> "str | None":
    """Return a variable of the environment; None if it is not set, or set to the empty string.

    Raises:
        ValueError: It is not UTF-8.
    """
    value = os.fsencode(os.environ.get(name, ""))
    try:
        return value.decode("utf-8") or None
    except UnicodeError as error:
        message = "it is not UTF-8"
        raise ValueError(message) from error


def random() -> float:
    """Return a random number from 0 up to 1."""
    return int.from_bytes(os.urandom(4), "big") / 4_294_967_296


def write_stderr(data: bytes) -> None:
    """Write a whole line to stderr; errors are ignored."""
    with contextlib.suppress(OSError):
        os.write(2, data)


def exit(status: int) -> None:  # noqa: A001  # the C module's name for it
    """End the process at once, without waiting for its threads."""
    os._exit(status)


def look_up(host: str, family: int) -> int:
    """Start to look up *host* in a thread; return a descriptor to read the result from.

    Read the result up to the end of the stream. It has one numeric address in each line. After a
    failure it is `?` and the reason if there is no such name, otherwise `!` and the reason.
    """
    reader, writer = os.pipe()

    def write_result() -> None:
        try:
            found = socket.getaddrinfo(host, None, family, socket.SOCK_STREAM)
            text = "".join(f"{each[4][0]}\n" for each in found)
        except OSError as error:
            mark = "?" if error.errno == socket.EAI_NONAME else "!"
            text = f"{mark}{error.strerror or error}"
        with contextlib.suppress(OSError):
            os.write(writer, text.encode())
        os.close(writer)

    threading.Thread(target=write_result, daemon=True).start()
    return reader


def refused_certificate() -> bytes:
    """Return the peer's certificate that Mbed TLS could not parse; always empty here (OpenSSL)."""
    return b""


def read(fd: int, size: int) -> bytes:
    """Return up to *size* bytes."""
    return os.read(fd, size)
