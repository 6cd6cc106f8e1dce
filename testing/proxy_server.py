"""A fake HTTP proxy on a real socket: CONNECT tunnels and requests with an absolute URL."""

import base64
import contextlib
import socket
import threading
from urllib.parse import urlsplit


class ProxyServer:
    """Forwards connections and requests, and may ask for a user and a password.

    Attributes:
        requested: The first line of each request.
        credentials: `user:password` that a client has to send, or None.
        status: The status that every request is refused with, or None.
    """

    def __init__(self, credentials: str | None = None) -> None:
        """Serve on a free port of loopback."""
        self.requested: list[str] = []
        self.credentials = credentials
        self.status: int | None = None
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Stop accepting."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            head = b""
            while b"\r\n\r\n" not in head:
                piece = connection.recv(65_536)
                if not piece:
                    return
                head += piece
            head, _, rest = head.partition(b"\r\n\r\n")
            first, *headers = head.decode().split("\r\n")
            self.requested.append(first)
            status = self._refusal(headers)
            if status:
                connection.sendall(f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n".encode())
                return
            method, target, _ = first.split(" ")
            if method == "CONNECT":
                host, _, port = target.rpartition(":")
                peer = socket.create_connection((host, int(port)))
                connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                url = urlsplit(target)
                peer = socket.create_connection((url.hostname, url.port or 80))
                kept = [each for each in headers if not each.lower().startswith("proxy-")]
                request = "\r\n".join([f"{method} {url.path or '/'} HTTP/1.1", *kept])
                peer.sendall(request.encode() + b"\r\n\r\n" + rest)
            with peer:
                self._copy_both_ways(connection, peer)

    def _refusal(self, headers: list[str]) -> int | None:
        if self.status:
            return self.status
        if self.credentials is None:
            return None
        encoded = base64.b64encode(self.credentials.encode()).decode()
        return None if f"proxy-authorization: Basic {encoded}" in headers else 407

    def _copy_both_ways(self, one: socket.socket, other: socket.socket) -> None:
        thread = threading.Thread(target=_copy, args=(one, other), daemon=True)
        thread.start()
        _copy(other, one)
        thread.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
    for each in (source, target):
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
