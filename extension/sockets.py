"""Non-blocking TCP connections.

Portable: runs under MicroPython and CPython. MicroPython's sockets need addresses in another form,
and return None where CPython's raise BlockingIOError.
"""

import errno
import socket
import sys

from extension import system
from extension.waiting import DeadlineError
from registry_model.text import DIGITS, first_not_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from extension.waiting import Waiter

Socket = socket.socket
_WOULD_BLOCK = (errno.EAGAIN, errno.EINPROGRESS)
# RFC 8305, section 5: the "Connection Attempt Delay".
_NEXT_ATTEMPT_S = 0.25
_MOST_ADDRESSES = 6


class NoSuchNameError(Exception):
    """The name servers respond that a host does not exist; do not retry."""


class HttpError(Exception):
    """A response is not HTTP, is truncated, or is too large.

    Defined here so that it can be caught without loading the parser, which raises it.
    """


class TlsError(Exception):
    """The TLS handshake failed; a retry would fail, too.

    Defined here so that it can be caught without loading the TLS module, which raises it.
    """


class CertificateError(TlsError):
    """The peer's certificate does not verify, or no trusted certificate can be loaded."""


def is_numeric(host: str) -> bool:
    """Return whether *host* is an address rather than a name."""
    if ":" in host:
        return True
    return not first_not_in(host, DIGITS + ".")


def connect(
    addresses: "list[str]", port: int, waiter: "Waiter", *, deadline: "float | None"
) -> "tuple[str, Socket]":
    """Connect to the first of the numeric *addresses* that accepts a connection.

    If an attempt has no result after a while, the next one begins beside it (RFC 8305, section 5).
    The last attempt repeats the first address, since its first packet may have been lost.

    Returns:
        The address, and the connected socket. With one address and no deadline the socket may not
        be connected yet. Then `send` sends nothing, or raises OSError if the attempt has failed.

    Raises:
        OSError: No address accepts a connection.
        DeadlineError: No address accepted it in time.
        Ended: A signal asks the process to end.
    """
    if deadline is None and len(addresses) == 1:
        # No wait: the Extensions API is on this machine, and the function starts only after the
        # registration.
        return addresses[0], _start_connecting(addresses[0], port)
    attempts = _Attempts(addresses[:_MOST_ADDRESSES], port, waiter, deadline)
    try:
        return attempts.run()
    finally:
        attempts.close()


class _Attempts:
    """The attempts to connect that are under way."""

    def __init__(
        self, addresses: "list[str]", port: int, waiter: "Waiter", deadline: "float | None"
    ) -> None:
        self._left = addresses
        self._repeated = addresses[0]
        self._port = port
        self._waiter = waiter
        self._deadline = deadline
        self._delay_s = _NEXT_ATTEMPT_S
        if deadline is not None:
            left_s = max(0.0, deadline - system.monotonic())
            self._delay_s = min(_NEXT_ATTEMPT_S, left_s / (len(addresses) + 2))
        # By descriptor: the address, and its socket.
        self._open: "dict[int, tuple[str, Socket]]" = {}
        self._fault: "OSError | None" = None

    def run(self) -> "tuple[str, Socket]":
        while True:
            self._start_next()
            if not self._open:
                if self._fault is not None and not self._left:
                    raise self._fault
                continue
            until = self._deadline
            if self._left or self._repeated:
                until = system.monotonic() + self._delay_s
            ready = self._waiter.wait_for_any(list(self._open), to_write=True, deadline=until)
            if not ready and until == self._deadline:
                raise DeadlineError
            for descriptor, is_connected in ready:
                attempt = self._open.pop(descriptor)
                if is_connected:
                    return attempt
                self._fault = _connection_error(attempt[1])
                attempt[1].close()

    def close(self) -> None:
        """Close the sockets of the attempts that are under way."""
        for _, connection in self._open.values():
            connection.close()

    def _start_next(self) -> None:
        if not self._left:
            if not self._open:
                # Every address has refused the connection.
                return
            self._left, self._repeated = [self._repeated], ""
        address = self._left.pop(0)
        if address:
            try:
                connection = _start_connecting(address, self._port)
                self._open[connection.fileno()] = (address, connection)
            except OSError as error:
                self._fault = error


def _connection_error(connection: Socket) -> OSError:
    """Return the error of a failed attempt, which reading from the socket raises."""
    try:
        PlainStream(connection).receive(1)
    except OSError as error:
        return error
    return OSError(errno.ECONNREFUSED, "connection refused")


def _start_connecting(address: str, port: int) -> Socket:
    """Begin to connect to a numeric address, without waiting.

    Raises:
        OSError: The connection was refused at once.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        connection.setblocking(False)
        # TCP_NODELAY: a signed request, written in two pieces, would wait for a delayed
        # acknowledgement.
        connection.setsockopt(6, 1, 1)
        connection.connect(_socket_address(address, port))
    except OSError as error:
        if error.errno not in _WOULD_BLOCK:
            connection.close()
            raise
    return connection


def _socket_address(address: str, port: int) -> "tuple[str, int] | bytes":
    """Return the argument of `connect`: for MicroPython, the bytes of C's `struct sockaddr`."""
    if not system.IS_MICROPYTHON:
        return address, port
    if ":" in address:
        found: bytes = socket.getaddrinfo(address, port, 0, socket.SOCK_STREAM)[0][4]  # type: ignore[assignment]  # MicroPython's
        return found
    # Not getaddrinfo: its first call in a process takes longer than the connection.
    family = socket.AF_INET.to_bytes(2, sys.byteorder)
    return family + port.to_bytes(2, "big") + socket.inet_pton(socket.AF_INET, address) + bytes(8)


class PlainStream:
    """A TCP connection without TLS, as the HTTP client uses it."""

    def __init__(self, connection: Socket) -> None:
        """Wrap a socket that `connect` returned."""
        self.polled = connection

    def send(self, data: "bytes | memoryview") -> int:
        """Send without waiting; return how many bytes were sent.

        Raises:
            OSError: The connection is broken.
        """
        if system.IS_MICROPYTHON:
            sent: int = self.polled.write(data) or 0  # type: ignore[attr-defined]  # MicroPython's
            return sent
        try:
            return self.polled.send(data)
        except BlockingIOError:
            return 0

    def receive(self, size: int) -> "bytes | None":
        """Return up to *size* bytes; b"" at the stream's end, None if none have arrived.

        Raises:
            OSError: The connection is broken.
        """
        if system.IS_MICROPYTHON:
            received: "bytes | None" = self.polled.read(size)  # type: ignore[attr-defined]  # MicroPython's
            return received
        try:
            return self.polled.recv(size)
        except BlockingIOError:
            return None

    def wait_to_send(self, waiter: "Waiter", deadline: "float | None") -> None:
        """Wait until more can be sent.

        Raises:
            DeadlineError: The deadline has passed.
            Ended: A signal asks the process to end.
        """
        waiter.wait(self.polled, to_write=True, deadline=deadline)

    def close(self) -> None:
        """Close the connection."""
        self.polled.close()
