"""A small HTTP/1.1 client: one connection kept alive, one deadline for the whole request.

Portable: runs under MicroPython and CPython. The deadline also applies to the name look-up, the
handshake and a response that arrives byte by byte.
"""

import errno

from extension import endpoints, sockets, system
from extension.sockets import HttpError
from extension.waiting import DeadlineError, Interrupted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from extension.endpoints import Endpoint
    from extension.http_response import ResponseParser
    from extension.proxies import Proxy
    from extension.tls_client import TlsContext
    from extension.waiting import Waiter

    class Stream(Protocol):
        """A connection, with TLS or without.

        Attributes:
            polled: The object to poll.
        """

        polled: sockets.Socket

        def send(self, data: "bytes | memoryview") -> int:
            """Send without waiting; return how many bytes were sent."""

        def receive(self, size: int) -> "bytes | None":
            """Return what has arrived; b"" at the stream's end, None if nothing has."""

        def wait_to_send(self, waiter: Waiter, deadline: "float | None") -> None:
            """Wait until more can be sent."""

        def close(self) -> None:
            """Close the connection."""

    class Trust(Protocol):
        """Which certificates are trusted."""

        def roots(self) -> "list[bytes]":
            """Return the bundles of trusted certificates.

            Raises:
                CertificateError: There are none.
            """

        def more_roots(self) -> "list[bytes] | None":
            """Return the bundles to try if `roots` do not verify a peer; None if there are none."""


# The stages of a request, in order. `HttpClient.stage` is the last one reached.
LOOK_UP = "name look-up"
CONNECTION = "connection"
TLS = "TLS"
RESPONSE = "response"
_READ_SIZE = 4_096
# A peer or a firewall may silently drop a connection that has been idle for a minute.
_IDLE_LIMIT_S = 50
# A retry would get the same status from the proxy.
_PROXY_REFUSALS = (401, 403, 407)
_PROXY_WANTS_CREDENTIALS = 407


class BrokenError(Exception):
    """A request failed before its response was complete; the message has the reason.

    Attributes:
        can_retry: Whether a retry may succeed; False if a certificate does not verify, for example.
    """

    def __init__(self, reason: str, *, can_retry: bool = True) -> None:
        """Set the message, and whether a retry may succeed."""
        super().__init__(reason)
        self.can_retry = can_retry


def _new_response(*, is_tunnel: bool = False) -> "ResponseParser":
    # Imported here: the first request, the registration, is sent before this import.
    from extension.http_response import ResponseParser

    return ResponseParser(is_tunnel=is_tunnel)


class HttpClient:
    """Sends requests to one endpoint.

    Attributes:
        waiter: Waits for its connection.
        stage: The stage that the last request has reached.
    """

    def __init__(
        self,
        endpoint: "Endpoint",
        waiter: "Waiter",
        *,
        trust: "Trust | None" = None,
        ipv4_only: bool = False,
        proxy: "Proxy | None" = None,
    ) -> None:
        """Set the endpoint, and the certificates to trust for https; nothing is connected yet."""
        self._endpoint = endpoint
        self.waiter = waiter
        # Whether TLS is used depends on the scheme only.
        self._trust = trust if endpoint.scheme == "https" else None
        if endpoint.scheme == "https" and trust is None:
            raise ValueError("https requires certificates to trust")
        self._tls: "TlsContext | None" = None
        self._ipv4_only = ipv4_only and proxy is None
        self._proxy = proxy
        self.stage = LOOK_UP
        self._stream: "Stream | None" = None
        self._request = b""
        self._response: "ResponseParser | None" = None
        self._used_at = 0.0
        self._is_reused = False
        # The address of this connection, and of the last connection with a complete response.
        self._address = ""
        self._good_address = ""

    @property
    def host(self) -> str:
        """The Host header's value."""
        return endpoints.host_header(self._endpoint)

    @property
    def address(self) -> str:
        """The endpoint's host and port."""
        return endpoints.with_port(self._endpoint)

    @property
    def has_proxy(self) -> bool:
        """Whether requests go through a proxy."""
        return self._proxy is not None

    def describe_stage(self) -> str:
        """Return the stage that was reached, with the peer's name."""
        name = endpoints.with_port(self._endpoint)
        if self._proxy is not None:
            if self._proxy.fault:
                return "proxy"
            proxy = endpoints.with_port(self._proxy.endpoint)
            if self.stage == LOOK_UP:
                return f"{LOOK_UP} of the proxy {self._proxy.endpoint.host}"
            if self.stage == CONNECTION:
                return f"{CONNECTION} to {name} through the proxy {proxy}"
        if self.stage == LOOK_UP:
            return f"{LOOK_UP} of {self._endpoint.host}"
        between = {CONNECTION: "to", TLS: "with", RESPONSE: "of"}[self.stage]
        return f"{self.stage} {between} {name}"

    def fileno(self) -> "int | None":
        """Return the descriptor that a response makes readable; None if there is no connection."""
        return None if self._stream is None else self._stream.polled.fileno()

    def request(
        self,
        method: str,
        path: str,
        headers: "list[str]",
        body: bytes,
        deadline: "float | None",
    ) -> "ResponseParser":
        """Send a request and read its response.

        Args:
            headers: The header lines, without Content-Length.
            deadline: When to give up, on the monotonic clock; None for never.

        Raises:
            BrokenError: There is no complete response.
            DeadlineError: The response is not complete in time.
        """
        self.start(method, path, headers, body, deadline)
        try:
            return self.finish(deadline)
        except (DeadlineError, Interrupted):
            # Otherwise a late response would be read as the response to the next request.
            self.close()
            raise

    def start(
        self,
        method: str,
        path: str,
        headers: "list[str]",
        body: bytes,
        deadline: "float | None",
    ) -> None:
        """Send a request; `finish` reads its response.

        Raises:
            BrokenError: It can't be sent.
            DeadlineError: It can't be sent in time.
        """
        lines = [f"{method} {path} HTTP/1.1"]
        if self._proxy is not None and self._trust is None:
            # RFC 9112, section 3.2.2: a request to a proxy has the whole URL.
            lines = [f"{method} http://{self.host}{path} HTTP/1.1"] + self._proxy.headers()
        lines += headers
        if body or method == "POST":
            lines.append(f"content-length: {len(body)}")
        self._request = ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8") + body
        self._send(deadline)

    def finish(self, deadline: "float | None") -> "ResponseParser":
        """Read the response to the request of `start`; may be repeated after a DeadlineError.

        Raises:
            BrokenError: There is no complete response.
            DeadlineError: The response is not complete in time.
        """
        while True:
            try:
                return self._read(deadline)
            except (OSError, HttpError) as error:
                # If the peer has closed an idle connection, send again on a new one.
                response = self._response
                again = self._is_reused and (response is None or not response.has_begun)
                self.close()
                if not again:
                    raise BrokenError(system.describe_error(error))
            self._send(deadline)

    def close(self) -> None:
        """Close the connection."""
        if self._stream is not None:
            try:
                self._stream.close()
            except OSError:
                pass
        self._stream = None

    def _read(self, deadline: "float | None") -> "ResponseParser":
        stream = self._stream
        if stream is None:
            raise OSError(errno.ENOTCONN, "not connected")
        response = self._response
        if response is None:
            response = self._response = _new_response()
            if self.waiter.background is not None:
                # Events are read during waits. If the response has arrived already, no wait
                # follows: read an event now, so that this check serves it.
                self.waiter.check(deadline)
        self._receive(stream, response, deadline)
        if self._proxy is not None and response.status == _PROXY_WANTS_CREDENTIALS:
            self.stage = CONNECTION
            raise self._proxy_refusal(response.status)
        self._used_at = system.wall()
        self._good_address = self._address
        if not response.keeps_alive:
            self.close()
        return response

    def _receive(
        self, stream: "Stream", response: "ResponseParser", deadline: "float | None"
    ) -> None:
        while not response.is_done:
            data = stream.receive(_READ_SIZE)
            if data is None:
                self.waiter.wait(stream.polled, to_write=False, deadline=deadline)
            elif data:
                response.feed(data)
                if not response.is_done:
                    # Check the deadline even if the peer never stops sending.
                    self.waiter.check(deadline)
            else:
                response.end()

    def _send(self, deadline: "float | None") -> None:
        """Send the request, on the kept connection if it is still good."""
        if self._is_dead():
            self.close()
        self._is_reused = self._stream is not None
        try:
            if self._is_reused:
                try:
                    self._write(self._request, deadline)
                    return
                except OSError:
                    self.close()
                    self._is_reused = False
            self._connect_and_write(deadline)
        except (sockets.TlsError, sockets.NoSuchNameError) as error:
            self.close()
            raise BrokenError(str(error), can_retry=False)
        except (OSError, HttpError) as error:
            self.close()
            raise BrokenError(system.describe_error(error))
        except (BrokenError, DeadlineError):
            self.close()
            raise

    def _is_dead(self) -> bool:
        if self._stream is None:
            return False
        return self._is_idle_too_long() or self.waiter.is_readable(self._stream.polled)

    def _is_idle_too_long(self) -> bool:
        return not 0 <= system.wall() - self._used_at < _IDLE_LIMIT_S

    def _connect_and_write(self, deadline: "float | None") -> None:
        try:
            self._connect(self._context(), deadline)
            self._write(self._request, deadline)
        except sockets.CertificateError:
            self.close()
            # Read the certificates again at the next attempt: their file may have changed.
            self._tls = None
            more = self._trust.more_roots() if self._trust is not None else None
            if more is None:
                raise
            from extension import tls_client

            self._connect(tls_client.new_context(more), deadline)
            self._write(self._request, deadline)

    def _context(self) -> "TlsContext | None":
        """Return the TLS context for the next connection; None without TLS."""
        if self._trust is None:
            return None
        # The TLS context holds the random generator's state: make a new one after an idle gap.
        # Many environments may have been restored from one snapshot (SnapStart).
        if self._tls is None or self._is_idle_too_long():
            # Imported here: the Extensions API's client needs no TLS.
            from extension import tls_client

            self.stage = TLS
            self._tls = tls_client.new_context(self._trust.roots())
        return self._tls

    def _connect(self, context: "TlsContext | None", deadline: "float | None") -> None:
        peer = self._endpoint
        if self._proxy is not None:
            if self._proxy.fault:
                raise BrokenError(self._proxy.fault, can_retry=False)
            peer = self._proxy.endpoint
        self.stage = LOOK_UP
        addresses = self._addresses(peer.host, deadline)
        self.stage = CONNECTION
        self._address, connection = sockets.connect(
            addresses, peer.port, self.waiter, deadline=deadline
        )
        self._stream = sockets.PlainStream(connection)
        if context is not None:
            if self._proxy is not None:
                self._open_tunnel(self._stream, self._proxy, deadline)
            from extension import tls_client

            self.stage = TLS
            self._stream = tls_client.TlsStream(context, connection, self._endpoint.host)

    def _addresses(self, host: str, deadline: "float | None") -> "list[str]":
        """Return the addresses of *host*; if the look-up fails, the last good address."""
        if sockets.is_numeric(host):
            return [host]
        from extension import name_lookup

        until = deadline
        if self._good_address and deadline is not None:
            # Leave half of the time for a connection to the last good address.
            now = system.monotonic()
            until = now + (deadline - now) / 2
        try:
            return name_lookup.look_up(host, self.waiter, ipv4_only=self._ipv4_only, deadline=until)
        except (OSError, DeadlineError, sockets.NoSuchNameError):
            if not self._good_address:
                raise
            return [self._good_address]

    def _open_tunnel(self, stream: "Stream", proxy: "Proxy", deadline: "float | None") -> None:
        """Ask the proxy for a connection to the endpoint (RFC 9110, section 9.3.6)."""
        target = endpoints.with_port(self._endpoint)
        lines = [f"CONNECT {target} HTTP/1.1", f"host: {target}"] + proxy.headers()
        self._send_all(stream, ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8"), deadline)
        response = _new_response(is_tunnel=True)
        self._receive(stream, response, deadline)
        if not 200 <= response.status < 300:
            raise self._proxy_refusal(response.status)

    def _proxy_refusal(self, status: int) -> BrokenError:
        self.close()
        can_retry = status not in _PROXY_REFUSALS
        return BrokenError(f"the proxy responds with status {status}", can_retry=can_retry)

    def _write(self, request: bytes, deadline: "float | None") -> None:
        stream = self._stream
        if stream is None:
            raise OSError(errno.ENOTCONN, "not connected")
        self._send_all(stream, request, deadline)
        self.stage = RESPONSE
        self._response = None

    def _send_all(self, stream: "Stream", data: bytes, deadline: "float | None") -> None:
        left = memoryview(data)
        while left:
            sent = stream.send(left)
            if sent:
                left = left[sent:]
            else:
                stream.wait_to_send(self.waiter, deadline)
