"""A small HTTP/1.1 client: one connection kept alive, one deadline for all of a request.

Portable: runs under MicroPython and CPython. Nothing here blocks past its deadline: not the look-up
of a name, not a handshake, not an answer that drips.
"""

import errno

from extension import endpoints, sockets, system
from extension.http_response import HttpError, ResponseParser
from extension.waiting import DeadlineError, Interrupted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Protocol

    from extension.endpoints import Endpoint
    from extension.tls_client import TlsContext
    from extension.waiting import Waiter

    class Stream(Protocol):
        """A connection, with TLS or without.

        Attributes:
            polled: What to poll for it.
        """

        polled: sockets.Socket

        def send(self, data: "bytes | memoryview") -> int:
            """Send what can go out without waiting; return how many bytes that were."""

        def receive(self, size: int) -> "bytes | None":
            """Return what has come; b"" at the stream's end, None if nothing has."""

        def wait_to_send(self, waiter: Waiter, deadline: "float | None") -> None:
            """Wait until more can be sent."""

        def close(self) -> None:
            """Close the connection."""

    class Trust(Protocol):
        """Which certificates are trusted."""

        def roots(self) -> bytes:
            """Read the certificates."""

        def widen(self) -> bool:
            """Trust more, since these did not verify; False if there is no more to trust."""


_READ_SIZE = 4_096
# Peers and the network between drop a connection that has been idle for a minute; nobody says so.
_IDLE_LIMIT_S = 50


class BrokenError(Exception):
    """A request had no whole answer; the message says why."""


class HttpClient:
    """Sends requests to one endpoint."""

    def __init__(
        self,
        endpoint: "Endpoint",
        waiter: "Waiter",
        *,
        trust: "Trust | None" = None,
        ipv4_only: bool = False,
    ) -> None:
        """Take the endpoint, and what to trust if it is https; nothing is connected yet."""
        self._endpoint = endpoint
        self.waiter = waiter
        # TLS goes with the scheme and nothing else: without trust there is no https.
        self._trust = trust if endpoint.scheme == "https" else None
        if endpoint.scheme == "https" and trust is None:
            raise ValueError("https needs certificates to trust")
        self._tls: "TlsContext | None" = None
        self._ipv4_only = ipv4_only
        self._stream: "Stream | None" = None
        self._request = b""
        self._response = ResponseParser()
        self._used_at = 0.0
        self._is_reused = False

    @property
    def host(self) -> str:
        """The Host header's value."""
        return endpoints.host_header(self._endpoint)

    def fileno(self) -> "int | None":
        """Name what becomes readable when an answer comes; None while there is no connection."""
        return None if self._stream is None else self._stream.polled.fileno()

    def request(
        self,
        method: str,
        path: str,
        headers: "Sequence[tuple[str, str]]",
        body: bytes,
        deadline: "float | None",
    ) -> ResponseParser:
        """Send a request and read its answer.

        Args:
            headers: All but Content-Length; names in lower case.
            deadline: When to give up, on the monotonic clock; None for never.

        Raises:
            BrokenError: There is no whole answer.
            DeadlineError: There is none in time.
        """
        self.start(method, path, headers, body, deadline)
        try:
            return self.finish(deadline)
        except (DeadlineError, Interrupted):
            # The answer may still come, and would be taken for the next request's.
            self.close()
            raise

    def start(
        self,
        method: str,
        path: str,
        headers: "Sequence[tuple[str, str]]",
        body: bytes,
        deadline: "float | None",
    ) -> None:
        """Send a request; `finish` reads its answer.

        Raises:
            BrokenError: It can't be sent.
            DeadlineError: It can't be sent in time.
        """
        lines = [f"{method} {path} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in headers]
        if body or method == "POST":
            lines.append(f"content-length: {len(body)}")
        self._request = ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8") + body
        self._send(deadline)

    def finish(self, deadline: "float | None") -> ResponseParser:
        """Read the answer to what `start` sent; after a DeadlineError it can go on.

        Raises:
            BrokenError: There is no whole answer.
            DeadlineError: It is not whole in time.
        """
        while True:
            try:
                return self._read(deadline)
            except (OSError, HttpError) as error:
                # The peer closed a connection that it had kept alive: ask once more on a new one.
                again = self._is_reused and not self._response.has_begun
                self.close()
                if not again:
                    raise BrokenError(system.describe_error(error))
            self._send(deadline)

    def close(self) -> None:
        """Give the connection up."""
        if self._stream is not None:
            try:
                self._stream.close()
            except OSError:
                pass
        self._stream = None

    def _read(self, deadline: "float | None") -> ResponseParser:
        stream, parser = self._stream, self._response
        if stream is None:
            raise OSError(errno.ENOTCONN, "not connected")
        while not parser.is_done:
            data = stream.receive(_READ_SIZE)
            if data is None:
                self.waiter.wait(stream.polled, to_write=False, deadline=deadline)
            elif data:
                parser.feed(data)
                if not parser.is_done:
                    # A peer that never stops sending must not keep us from looking at the clock.
                    self.waiter.check(deadline)
            else:
                parser.end()
        self._used_at = system.wall()
        if not parser.keeps_alive:
            self.close()
        return parser

    def _send(self, deadline: "float | None") -> None:
        """Send the request, on the kept connection if it is still good."""
        if self._is_dead():
            self.close()
        self._is_reused = self._stream is not None
        try:
            if self._is_reused:
                try:
                    self._write(deadline)
                    return
                except OSError:
                    self.close()
                    self._is_reused = False
            self._connect_and_write(deadline)
        except (OSError, sockets.CertificateError) as error:
            self.close()
            raise BrokenError(system.describe_error(error))
        except DeadlineError:
            self.close()
            raise

    def _is_dead(self) -> bool:
        if self._stream is None:
            return False
        return self._is_long_ago() or self.waiter.is_readable(self._stream.polled)

    def _is_long_ago(self) -> bool:
        return not 0 <= system.wall() - self._used_at < _IDLE_LIMIT_S

    def _connect_and_write(self, deadline: "float | None") -> None:
        while True:
            try:
                self._connect(deadline)
                self._write(deadline)
                return
            except sockets.CertificateError:
                self.close()
                # What is trusted is read anew: the bundle may be another one by then.
                self._tls = None
                if self._trust is None or not self._trust.widen():
                    raise

    def _connect(self, deadline: "float | None") -> None:
        endpoint = self._endpoint
        addresses = sockets.look_up(
            endpoint.host, self.waiter, ipv4_only=self._ipv4_only, deadline=deadline
        )
        for position, address in enumerate(addresses):
            left = len(addresses) - position
            try:
                self._connect_to(address, _share(deadline, left))
                break
            except (OSError, DeadlineError):
                self.close()
                if left == 1:
                    raise

    def _connect_to(self, address: str, deadline: "float | None") -> None:
        connection = sockets.start_connecting(address, self._endpoint.port)
        stream = sockets.PlainStream(connection)
        self._stream = stream
        if not self.waiter.wait(connection, to_write=True, deadline=deadline):
            # Reading from a connection that failed tells why.
            stream.receive(1)
            raise OSError(errno.ECONNREFUSED, "connection refused")
        if self._trust is not None:
            # Imported here: the client of the Lambda API needs no TLS.
            from extension import tls_client

            # The TLS context holds the random generator's state: make a new one after an idle gap.
            # Many environments may have been restored from one snapshot (SnapStart).
            if self._tls is None or self._is_long_ago():
                self._tls = tls_client.new_context(self._trust.roots())
            self._stream = tls_client.TlsStream(self._tls, connection, self._endpoint.host)

    def _write(self, deadline: "float | None") -> None:
        stream = self._stream
        if stream is None:
            raise OSError(errno.ENOTCONN, "not connected")
        data = memoryview(self._request)
        while data:
            sent = stream.send(data)
            if sent:
                data = data[sent:]
            else:
                stream.wait_to_send(self.waiter, deadline)
        self._response = ResponseParser()


def _share(deadline: "float | None", addresses: int) -> "float | None":
    """Give each address that is left its share of the time."""
    if deadline is None or addresses == 1:
        return deadline
    now: float = system.monotonic()
    return now + (deadline - now) / addresses
