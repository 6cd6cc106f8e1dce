"""A fake of Lambda's Extensions API on a real socket."""

import contextlib
import json
import queue
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from testing.waiting import wait_for


@dataclass
class LambdaApi:
    """The Extensions API: records the calls and sends the events that a test puts.

    Attributes:
        refused_events: Events for which registrations are refused with status 403.
        register_status: The status of `register` otherwise.
        next_status: The status of `event/next`.
        calls: Path, headers and document of each POST.
        asks: How many calls of `event/next` were received.
        sent: How many events have been sent.
        when_ready: Functions that wait for the first resolve, which `wait_until_ready` calls once.
    """

    refused_events: tuple[str, ...] = ()
    register_status: int = 200
    next_status: int = 200
    calls: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)
    asks: int = 0
    sent: int = 0
    when_ready: list[Callable[[], object]] = field(default_factory=list)
    events: "queue.Queue[dict[str, Any]]" = field(default_factory=queue.Queue)
    address: str = ""
    _server: ThreadingHTTPServer = field(init=False)
    _connections: list[socket.socket] = field(default_factory=list)

    def start(self) -> ThreadingHTTPServer:
        """Serve on a free port of loopback."""
        server = self.bind()
        server.serve()
        return server

    def bind(self) -> "_Server":
        """Bind a free port of loopback; connections are refused until the server serves."""
        api = self

        class _ExtensionsApiRequest(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                api._connections.append(self.connection)
                self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Log nothing."""

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                document = json.loads(body)
                path = self.path.removeprefix("/2020-01-01/extension/")
                api.calls.append((path, dict(self.headers), document))
                if path != "register":
                    self._respond(202, {"status": "OK"})
                    return
                assert self.headers["Lambda-Extension-Name"] == "service-discovery"
                if set(api.refused_events) & set(document["events"]):
                    self._respond(403, {"errorType": "Extension.InvalidEventType"})
                else:
                    self._respond(
                        api.register_status,
                        {"functionName": "consumer"},
                        {"Lambda-Extension-Identifier": "the-identifier"},
                    )

            def do_GET(self) -> None:
                assert self.headers["Lambda-Extension-Identifier"] == "the-identifier"
                api.asks += 1
                event = api.events.get() if api.next_status == 200 else {}
                if api.next_status != 200:
                    self._respond(api.next_status, {"errorType": "Container.Error"})
                    return
                if event.get("eventType") == "INVOKE":
                    event.setdefault("deadlineMs", int(time.time() * 1000) + 30_000)
                self._respond(200, event, {"Lambda-Extension-Event-Identifier": "an-event"})
                api.sent += 1

            def _respond(
                self, status: int, document: object, headers: dict[str, str] | None = None
            ) -> None:
                body = json.dumps(document).encode()
                head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n"
                head += "Content-Type: text/plain\r\n"
                head += "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
                with contextlib.suppress(OSError):
                    self.wfile.write(head.encode() + b"\r\n" + body)

        server = self._server = _Server(
            ("127.0.0.1", 0), _ExtensionsApiRequest, bind_and_activate=False
        )
        server.server_bind()
        self.address = f"127.0.0.1:{server.server_port}"
        return server

    def wait_until_ready(self, times: int = 1) -> None:
        """Wait until `event/next` was called *times* times, and the first resolve has ended."""
        wait_for(lambda: self.asks >= times, f"{times} calls of event/next")
        while self.when_ready:
            self.when_ready.pop()()

    def invoke(self, **members: object) -> None:
        """Send an INVOKE event and wait until the extension asks for the next one."""
        asked = self.asks
        self.events.put({"eventType": "INVOKE", "requestId": "r", **members})
        self.wait_until_ready(asked + 1)

    def hang_up(self) -> None:
        """Refuse new connections, and break those that are open."""
        self._server.shutdown()
        self._server.server_close()
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def shut_down(self) -> None:
        """Send the SHUTDOWN event."""
        self.events.put({"eventType": "SHUTDOWN", "shutdownReason": "spindown", "deadlineMs": 1})

    def posted(self, path: str) -> list[Any]:
        """Return the documents that were posted to *path*."""
        return [document for each, _, document in self.calls if each == path]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def serve(self) -> None:
        """Listen, and respond in a thread of its own until `shutdown`."""
        self.server_activate()
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}).start()
