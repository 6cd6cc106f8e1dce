"""Lambda's Extensions API on a real socket, played by the tests.

Source: AWS Lambda Developer Guide, "Using the Lambda Extensions API". As on Lambda, a SHUTDOWN event
comes as text/plain, and a client's mistakes are answered with 403.
"""

import contextlib
import json
import threading
import time
from collections import deque
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.functional.extension.conditions import LONG_S

EXTENSION_NAME = "service-discovery"
IDENTIFIER = "6f6b2a4c-7d1e-4a53-9a35-0d7f6f3c6f00"
BASE = "/2020-01-01/extension"


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call that the extension made."""

    at: float
    wall: float
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> dict[str, Any]:
        """The body, read as JSON."""
        document: dict[str, Any] = json.loads(self.body)
        return document


class LambdaServer:
    """The platform's side of one execution environment."""

    def __init__(self) -> None:
        """Listen on a free port of the loopback."""
        self.refuses_invoke = False
        self.calls: list[Call] = []
        self.complaints: list[str] = []
        self._changed = threading.Condition()
        self._events: deque[tuple[str, bytes]] = deque()
        self._waiting = 0
        self._statuses: dict[str, int] = {}
        self._held: set[str] = set()
        self._registered: list[str] | None = None
        self._is_stopping = False
        platform = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                platform._answer(self)

            do_POST = do_GET

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its base's
                """Keep the tests' output to what failed."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, request: object, client_address: object) -> None:
                """Expect an extension that has ended to be gone."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()

    @property
    def address(self) -> str:
        """What AWS_LAMBDA_RUNTIME_API says."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    def calls_to(self, path: str) -> list[Call]:
        """Tell the calls to *path*, such as `/register`."""
        return [call for call in self.calls if call.path == BASE + path]

    @property
    def registered_events(self) -> list[str] | None:
        """Which events the extension was registered for; None before that."""
        return self._registered

    def fail(self, path: str, status: int = 500) -> None:
        """Answer calls to *path* with *status* from now on."""
        with self._changed:
            self._statuses[BASE + path] = status
            self._changed.notify_all()

    def hold(self, path: str) -> None:
        """Leave calls to *path* without an answer from now on."""
        self._held.add(BASE + path)

    def send(self, event: dict[str, object], content_type: str = "application/json") -> None:
        """Put an event into the queue, to be told at the extension's next `next`."""
        with self._changed:
            self._events.append((content_type, json.dumps(event).encode()))
            self._changed.notify_all()

    def invoke(self, *, left_s: float = 30.0) -> float:
        """Invoke, wait until the extension asks for the next event, and tell how long that took.

        Args:
            left_s: How much time the invocation has, from now on.
        """
        self.wait_for_idle()
        asked = len(self.calls_to("/event/next"))
        started = time.monotonic()
        self.send(
            {
                "eventType": "INVOKE",
                "deadlineMs": int((time.time() + left_s) * 1000),
                "requestId": "3da1f2dc-3222-475e-9205-e2e6c6318895",
                "invokedFunctionArn": "arn:aws:lambda:eu-central-1:123456789012:function:shop",
                "tracing": {"type": "X-Amzn-Trace-Id", "value": "Root=1-5f35ae12-0c0fec141ab77a00"},
            }
        )
        self._wait(lambda: len(self.calls_to("/event/next")) > asked, "the next `next`")
        return self.calls_to("/event/next")[asked].at - started

    def shut_down(self, reason: str = "spindown") -> None:
        """Tell the extension that its environment ends."""
        self.send(
            {
                "eventType": "SHUTDOWN",
                "shutdownReason": reason,
                "deadlineMs": int(time.time() * 1000) + 2_000,
            },
            "text/plain; charset=utf-8",
        )

    def wait_for(self, path: str, count: int = 1) -> Call:
        """Wait for the call number *count* to *path*, and tell it."""
        self._wait(lambda: len(self.calls_to(path)) >= count, f"call {count} to {path}")
        return self.calls_to(path)[count - 1]

    def wait_for_idle(self) -> None:
        """Wait until the extension asks for an event, with none left to tell."""
        self._wait(lambda: self._waiting > 0 and not self._events, "the extension to be idle")

    def stop(self) -> None:
        """Close everything."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify_all()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _wait(self, condition: Any, what: str) -> None:
        with self._changed:
            if not self._changed.wait_for(condition, LONG_S):
                seen = [call.path for call in self.calls]
                raise AssertionError(f"waited {LONG_S:g} s in vain for: {what}; calls: {seen}")

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("content-length", "0")))
        call = Call(
            at=time.monotonic(),
            wall=time.time(),
            method=handler.command,
            path=handler.path,
            headers={name.lower(): value for name, value in handler.headers.items()},
            body=body,
        )
        with self._changed:
            self.calls.append(call)
            self._changed.notify_all()
            if call.path in self._held:
                self._changed.wait_for(lambda: self._is_stopping)
                handler.close_connection = True
                return
            answer = self._decide(call)
        if answer is None:
            handler.close_connection = True
            return
        status, content_type, document = answer
        head = [f"HTTP/1.1 {status} Told", f"Content-Type: {content_type}"]
        head += [f"Content-Length: {len(document)}", f"Lambda-Extension-Identifier: {IDENTIFIER}"]
        with contextlib.suppress(OSError):
            handler.wfile.write("\r\n".join([*head, "", ""]).encode() + document)

    def _decide(self, call: Call) -> tuple[int, str, bytes] | None:
        """Choose the answer; None where the environment has ended meanwhile."""
        if call.path in self._statuses:
            return self._refusal(self._statuses[call.path], "Extension.Told")
        if (call.method, call.path) == ("POST", BASE + "/register"):
            return self._register(call)
        if call.headers.get("lambda-extension-identifier") != IDENTIFIER:
            self.complaints.append(f"{call.path} without the identifier")
            return self._refusal(403, "Extension.UnknownExtensionIdentifier")
        if (call.method, call.path) == ("GET", BASE + "/event/next"):
            return self._next(call)
        if (call.method, call.path) == ("POST", BASE + "/init/error"):
            if self.calls_to("/event/next"):
                self.complaints.append("init/error after the first `next`")
            return 202, "application/json", b'{"status":"OK"}'
        self.complaints.append(f"{call.method} {call.path} is no call of the API")
        return self._refusal(404, "Extension.Unknown")

    def _register(self, call: Call) -> tuple[int, str, bytes]:
        if call.headers.get("lambda-extension-name") != EXTENSION_NAME:
            self.complaints.append(f"the name {call.headers.get('lambda-extension-name')!r}")
            return self._refusal(403, "Extension.InvalidExtensionName")
        events = call.document.get("events", [])
        if self.refuses_invoke and "INVOKE" in events:
            return self._refusal(403, "Extension.InvalidEventType")
        if self._registered is not None:
            self.complaints.append("registered twice")
        self._registered = events
        about = {"functionName": "shop", "functionVersion": "$LATEST", "handler": "app.handler"}
        return 200, "application/json", json.dumps(about).encode()

    def _next(self, call: Call) -> tuple[int, str, bytes] | None:
        self._waiting += 1
        self._changed.notify_all()
        self._changed.wait_for(
            lambda: self._events or self._is_stopping or call.path in self._statuses
        )
        self._waiting -= 1
        if self._is_stopping:
            return None
        if call.path in self._statuses:
            return self._refusal(self._statuses[call.path], "Extension.Told")
        content_type, document = self._events.popleft()
        return 200, content_type, document

    @staticmethod
    def _refusal(status: int, error_type: str) -> tuple[int, str, bytes]:
        document = {"errorMessage": "told by the test", "errorType": error_type}
        return status, "application/json", json.dumps(document).encode()
