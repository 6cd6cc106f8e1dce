"""Name look-ups and TCP connections, none of which blocks.

Portable: runs under MicroPython and CPython. MicroPython's sockets take other addresses, and return
None where CPython's raise BlockingIOError.
"""

import errno
import socket
import sys

from extension import system
from registry_model.text import DIGITS, first_not_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from extension.waiting import Waiter

Socket = socket.socket
_WOULD_BLOCK = (errno.EAGAIN, errno.EINPROGRESS)


def look_up(
    host: str, waiter: "Waiter", *, ipv4_only: bool, deadline: "float | None"
) -> "list[str]":
    """Return the numeric addresses of *host*.

    Raises:
        OSError: It has none.
        DeadlineError: The name server did not answer in time.
        Ended: A signal asks the process to end.
    """
    if is_numeric(host):
        return [host]
    reader = system.start_look_up(host, ipv4_only)
    answer = b""
    try:
        while True:
            waiter.wait(reader, to_write=False, deadline=deadline)
            piece = system.read(reader, 4096)
            if not piece:
                break
            answer += piece
    finally:
        system.close(reader)
    text = str(answer, "utf-8")
    if not text or text[0] == "!":
        raise OSError(errno.EHOSTUNREACH, f"{host} has no address: {text[1:] or 'no answer'}")
    addresses: "list[str]" = []
    for line in text.split("\n"):
        if line and line not in addresses:
            addresses.append(line)
    return addresses


def is_numeric(host: str) -> bool:
    """Return whether *host* is an address rather than a name."""
    if ":" in host:
        return True
    return not first_not_in(host, DIGITS + ".")


def start_connecting(address: str, port: int) -> Socket:
    """Begin to connect to a numeric address, without waiting.

    Raises:
        OSError: It was refused at once.
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
    """Return an address as `connect` takes it: MicroPython wants C's `struct sockaddr`."""
    if not system.IS_MICROPYTHON:
        return address, port
    if ":" in address:
        found: bytes = socket.getaddrinfo(address, port, 0, socket.SOCK_STREAM)[0][4]  # type: ignore[assignment]  # MicroPython's
        return found
    # The first getaddrinfo of a process costs more than the connection itself.
    family = socket.AF_INET.to_bytes(2, sys.byteorder)
    return family + port.to_bytes(2, "big") + socket.inet_pton(socket.AF_INET, address) + bytes(8)


class CertificateError(Exception):
    """The peer's certificate does not verify; the message says why.

    Defined here so that it can be caught without loading the TLS module, which raises it.
    """


class PlainStream:
    """A TCP connection without TLS, as the HTTP client uses it."""

    def __init__(self, connection: Socket) -> None:
        """Wrap a socket that `start_connecting` returned."""
        self.polled = connection

    def send(self, data: "bytes | memoryview") -> int:
        """Send what can go out without waiting; return how many bytes that were.

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
        """Return up to *size* bytes that have come; b"" at the stream's end, None if none have.

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
