"""What MicroPython and CPython do differently; the rest of the extension asks this module.

Portable: runs under MicroPython and CPython. Sockets are never blocking here: whoever wants to
wait asks `Waiter`, which also watches for SIGTERM and SIGINT.
"""

import errno
import os
import select
import socket
import sys

from registry_model.version import DIGITS, first_other

if sys.implementation.name == "micropython":
    import posix_calls
else:
    from extension import posix_calls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    class Stream(Protocol):
        """A connected socket, or TLS over one."""

        def close(self) -> None:
            """Give it up."""

    # Of two unrelated modules.
    TlsContext = Any


Socket = socket.socket
IS_MICROPYTHON = sys.implementation.name == "micropython"
_WOULD_BLOCK = (errno.EAGAIN, errno.EINPROGRESS)
# Mbed TLS wants more than the raw socket's readiness can tell; look again after this long.
_TLS_POLL_MS = 20
# A sequence whose length takes two bytes: no certificate is shorter than 256 bytes.
_DER_BEGIN = b"\x30\x82"
_PEM_BEGIN = b"-----BEGIN CERTIFICATE-----"
_PEM_END = b"-----END CERTIFICATE-----"

create = posix_calls.create
write_at = posix_calls.write_at
allocate = posix_calls.allocate
truncate = posix_calls.truncate
chmod = posix_calls.chmod
close = posix_calls.close
set_mtime = posix_calls.set_mtime
stat = posix_calls.stat
lease = posix_calls.lease
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
    """Read a variable; one that is set to the empty text counts as not set.

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
    """Roll the dice: a number from 0 up to 1.

    From the kernel each time. A generator of our own would be part of a snapshot (SnapStart): all
    environments restored from it would choose the same copies, and come back at the same moments.
    """
    return int.from_bytes(os.urandom(4), "big") / 4_294_967_296


def read_file(path: str) -> bytes:
    """Read a whole file.

    Raises:
        OSError: It can't be read.
    """
    size = stat(path)[1]
    with open(path, "rb") as file:
        # Without a size MicroPython reads 256 bytes at a time; what has grown since comes with it.
        return file.read(size + 1) + file.read()


def format_traceback(error: BaseException) -> str:
    """Spell an exception with its traceback."""
    if IS_MICROPYTHON:
        import io

        text = io.StringIO()
        sys.print_exception(error, text)  # type: ignore[attr-defined]  # MicroPython's own
        return text.getvalue().strip()
    import traceback

    return "".join(traceback.format_exception(error)).strip()


class Ended(BaseException):
    """SIGTERM or SIGINT has come: the process should end, with status 0."""


class Interrupted(BaseException):
    """What may interrupt a wait has come: see `Waiter.interrupted_by`."""


class DeadlineError(Exception):
    """What was waited for did not come in time."""


class CertificateError(Exception):
    """The peer's certificate is not to be trusted; the message says why."""


class Waiter:
    """Waits for descriptors, until a deadline, and for signals all the while.

    Attributes:
        interrupted_by: The descriptor that ends every wait with `Interrupted` once it can be read;
            None if nothing does.
    """

    def __init__(self, signals: int) -> None:
        """Take the descriptor that `watch_signals` gave."""
        self._signals = signals
        self.interrupted_by: "int | None" = None

    def wait(self, descriptor: object, *, to_write: bool, deadline: "float | None") -> bool:
        """Wait until *descriptor* can be read or written, or has failed.

        Args:
            descriptor: A socket, or the number of an open file.
            to_write: Whether to wait for room to write, or for something to read.
            deadline: When to give up, on the monotonic clock; None for never.

        Returns:
            Whether it is well: False where it has failed, or its peer is gone.

        Raises:
            DeadlineError: The deadline has passed.
            Ended: A signal asks the process to end.
        """
        events = self._poll(descriptor, to_write, deadline, None)
        if not events:
            raise DeadlineError
        return not events & (select.POLLERR | select.POLLHUP)

    def look(self, descriptor: object, *, deadline: "float | None") -> None:
        """Wait for something to read, but a short while at the most.

        A TLS handshake can want something else than its socket shows.

        Raises:
            DeadlineError: The deadline has passed.
            Ended: A signal asks the process to end.
        """
        events = self._poll(descriptor, False, deadline, _TLS_POLL_MS)
        if not events and deadline is not None and monotonic() >= deadline:
            raise DeadlineError

    def is_readable(self, descriptor: object) -> bool:
        """Tell whether something can be read right now, the end of the stream included."""
        return self._poll(descriptor, False, None, 0) != 0

    def _poll(
        self,
        descriptor: object,
        to_write: bool,  # noqa: FBT001  # private
        deadline: "float | None",
        at_most_ms: "int | None",
    ) -> int:
        """Tell which events there are; 0 for none in time."""
        poller = self._poller()
        poller.register(descriptor, select.POLLOUT if to_write else select.POLLIN)  # type: ignore[arg-type]  # a file number or a socket
        timeout = -1
        if deadline is not None:
            # Rounded up: a millisecond too early would be a busy loop.
            timeout = max(0, int((deadline - monotonic()) * 1000 + 0.999))
        if at_most_ms is not None:
            timeout = at_most_ms if timeout < 0 else min(timeout, at_most_ms)
        return self._wait(poller, timeout)

    def _poller(self) -> "select.poll":
        poller = select.poll()
        poller.register(self._signals, select.POLLIN)
        if self.interrupted_by is not None:
            poller.register(self.interrupted_by, select.POLLIN)
        return poller

    def _wait(self, poller: "select.poll", timeout_ms: int) -> int:
        events = 0
        for event in poller.poll(timeout_ms):
            if event[0] == self._signals:
                raise Ended
            if event[0] == self.interrupted_by:
                raise Interrupted
            events |= event[1]
        return events

    def pause(self, seconds: float) -> None:
        """Do nothing for a while.

        Raises:
            Ended: A signal asks the process to end.
        """
        self._wait(self._poller(), int(seconds * 1000))

    def check(self, deadline: "float | None") -> None:
        """Raise what `wait` would raise by now, without waiting."""
        self._wait(self._poller(), 0)
        if deadline is not None and monotonic() >= deadline:
            raise DeadlineError


def look_up(host: str, waiter: Waiter, *, ipv4_only: bool, deadline: "float | None") -> "list[str]":
    """Find the numeric addresses of *host*.

    Raises:
        OSError: It has none.
        DeadlineError: The name server did not answer in time.
        Ended: A signal asks the process to end.
    """
    if is_numeric(host):
        return [host]
    reader = posix_calls.look_up(host, ipv4_only)
    answer = b""
    try:
        while True:
            waiter.wait(reader, to_write=False, deadline=deadline)
            piece = posix_calls.read(reader, 4096)
            if not piece:
                break
            answer += piece
    finally:
        posix_calls.close(reader)
    text = str(answer, "utf-8")
    if not text or text[0] == "!":
        raise OSError(errno.EHOSTUNREACH, f"{host} has no address: {text[1:] or 'no answer'}")
    addresses: "list[str]" = []
    for line in text.split("\n"):
        if line and line not in addresses:
            addresses.append(line)
    return addresses


def is_numeric(host: str) -> bool:
    """Tell whether *host* is an address already."""
    if ":" in host:
        return True
    return not first_other(host, DIGITS + ".")


def start_connecting(address: str, port: int) -> socket.socket:
    """Begin to connect to a numeric address, without waiting.

    Raises:
        OSError: It was refused at once.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        connection.setblocking(False)
        # Without it a signed request, written in two pieces, waits for a delayed acknowledgement.
        connection.setsockopt(6, 1, 1)
        connection.connect(_socket_address(address, port))
    except OSError as error:
        if error.errno not in _WOULD_BLOCK:
            connection.close()
            raise
    return connection


def _socket_address(address: str, port: int) -> "tuple[str, int] | bytes":
    """Spell an address as `connect` takes it: MicroPython wants C's `struct sockaddr`."""
    if not IS_MICROPYTHON:
        return address, port
    if ":" in address:
        found: bytes = socket.getaddrinfo(address, port, 0, socket.SOCK_STREAM)[0][4]  # type: ignore[assignment]  # MicroPython's
        return found
    # The first getaddrinfo of a process costs more than the connection itself.
    family = socket.AF_INET.to_bytes(2, sys.byteorder)
    return family + port.to_bytes(2, "big") + socket.inet_pton(socket.AF_INET, address) + bytes(8)


def tls_context(roots: bytes) -> "TlsContext":
    """Make what connections over TLS begin with: every chain and host name is verified.

    Args:
        roots: The certificates that are trusted: in PEM, or in DER one behind the other.

    Raises:
        OSError: *roots* are not certificates.
    """
    certificates = _certificates(roots)
    if IS_MICROPYTHON:
        import tls

        context: "TlsContext" = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
        context.verify_mode = tls.CERT_REQUIRED
    else:
        import ssl

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    loaded = 0
    # One at a time: a system's bundle may hold one of an algorithm that we leave out.
    for certificate in certificates:
        try:
            if IS_MICROPYTHON:
                context.load_verify_locations(certificate)
            elif certificate[:2] == _DER_BEGIN:
                context.load_verify_locations(cadata=certificate)
            else:
                context.load_verify_locations(cadata=str(certificate, "ascii"))
            loaded += 1
        except (OSError, ValueError):
            continue
    if not loaded:
        raise OSError(errno.EINVAL, "no certificate to trust in the bundle")
    return context


def start_tls(context: "TlsContext", connection: socket.socket, host: str) -> "Stream":
    """Put TLS over *connection*; the handshake goes on with the first `send`.

    Args:
        connection: A connected socket.
        host: The name that the certificate must be for.
    """
    wrapped: "Stream" = context.wrap_socket(
        connection, server_hostname=host, do_handshake_on_connect=False
    )
    return wrapped


def polled(stream: "Stream", connection: Socket) -> Socket:
    """Name what to poll for *stream*: CPython's TLS takes its socket over."""
    return connection if IS_MICROPYTHON else stream  # type: ignore[return-value]  # an SSLSocket is one


def _certificates(bundle: bytes) -> "list[bytes]":
    """Take a bundle of certificates apart."""
    found = []
    if bundle[:2] == _DER_BEGIN:
        start = 0
        while start < len(bundle):
            end = start + 4 + int.from_bytes(bundle[start + 2 : start + 4], "big")
            found.append(bundle[start:end])
            start = end
        return found
    start = bundle.find(_PEM_BEGIN)
    while start >= 0:
        end = bundle.find(_PEM_END, start)
        if end < 0:
            break
        found.append(bundle[start : end + len(_PEM_END)] + b"\n")
        start = bundle.find(_PEM_BEGIN, end)
    return found


def send(stream: "Stream", data: "bytes | memoryview") -> int:
    """Send what goes out without waiting; tell how many bytes that were.

    Raises:
        OSError: The connection is broken.
        CertificateError: The peer's certificate is not to be trusted.
    """
    if IS_MICROPYTHON:
        try:
            sent: int = stream.write(data) or 0  # type: ignore[attr-defined]  # MicroPython's
            return sent
        except ValueError as error:
            raise CertificateError(str(error))
    import ssl

    try:
        if isinstance(stream, ssl.SSLSocket):
            stream.do_handshake()
        return stream.send(data)  # type: ignore[attr-defined,no-any-return]  # CPython's sockets
    except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
        return 0
    except ssl.SSLCertVerificationError as error:
        raise CertificateError(error.verify_message)


def receive(stream: "Stream", size: int) -> "bytes | None":
    """Read what has come, up to *size* bytes; b"" at the end of the stream, None if nothing has.

    Raises:
        OSError: The connection is broken.
    """
    if IS_MICROPYTHON:
        received: "bytes | None" = stream.read(size)  # type: ignore[attr-defined]  # as above
        return received
    import ssl

    try:
        return stream.recv(size)  # type: ignore[attr-defined,no-any-return]  # CPython's sockets
    except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
        return None


def why(error: BaseException) -> str:
    """Say what an error of the network means, in words."""
    if isinstance(error, DeadlineError):
        return "no answer in time"
    if isinstance(error, OSError) and error.errno is not None:
        return _named(error)
    return str(error) or error.__class__.__name__


_NAMES = (
    (errno.ECONNREFUSED, "connection refused"),
    (errno.ECONNRESET, "connection reset"),
    (errno.EHOSTUNREACH, "host unreachable"),
    (errno.ETIMEDOUT, "connection timed out"),
    (errno.EACCES, "permission denied"),
    (errno.EISDIR, "it is a folder"),
    # MicroPython's `errno` does not name these.
    (28, "no space left on device"),
    (30, "read-only file system"),
)


def _named(error: OSError) -> str:
    text = error.args[1] if len(error.args) > 1 else ""
    if isinstance(text, str) and text and not text.startswith("E"):
        return text
    for number, name in _NAMES:
        if error.errno in (number, -number):
            return name
    return str(error)
