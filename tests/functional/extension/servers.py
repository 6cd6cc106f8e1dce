"""The extension's neighbours, on real sockets: Lambda's Extensions API and DynamoDB.

Neither is the thing under test. Both record what they are asked; the index can be told to fail in
every way in which networks and services do.
"""

import contextlib
import json
import queue
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

Fault = Callable[[socket.socket, bytes], None]
_WITHIN_S = 20


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition, and fail if it never comes true."""
    deadline = time.monotonic() + _WITHIN_S
    while not condition():
        if time.monotonic() > deadline:
            message = f"never seen: {what}"
            raise AssertionError(message)
        time.sleep(0.002)


@dataclass
class LambdaApi:
    """Lambda's side of the Extensions API."""

    refused_events: tuple[str, ...] = ()
    next_status: int = 200
    calls: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)
    asks: int = 0
    sent: int = 0
    events: "queue.Queue[dict[str, Any]]" = field(default_factory=queue.Queue)
    address: str = ""

    def start(self) -> ThreadingHTTPServer:
        """Serve on a free port of loopback."""
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Stay quiet."""

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                document = json.loads(body)
                path = self.path.removeprefix("/2020-01-01/extension/")
                api.calls.append((path, dict(self.headers), document))
                if path != "register":
                    self._answer(202, {"status": "OK"})
                elif set(api.refused_events) & set(document["events"]):
                    self._answer(403, {"errorType": "Extension.InvalidEventType"})
                else:
                    self._answer(
                        200,
                        {"functionName": "consumer"},
                        {"Lambda-Extension-Identifier": "the-identifier"},
                    )

            def do_GET(self) -> None:
                assert self.headers["Lambda-Extension-Identifier"] == "the-identifier"
                api.asks += 1
                event = api.events.get() if api.next_status == 200 else {}
                if api.next_status != 200:
                    self._answer(api.next_status, {"errorType": "Container.Error"})
                    return
                if event.get("eventType") == "INVOKE":
                    event.setdefault("deadlineMs", int(time.time() * 1000) + 30_000)
                self._answer(200, event, {"Lambda-Extension-Event-Identifier": "an-event"})
                api.sent += 1

            def _answer(
                self, status: int, document: object, headers: dict[str, str] | None = None
            ) -> None:
                body = json.dumps(document).encode()
                head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n"
                head += "Content-Type: text/plain\r\n"
                head += "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
                with contextlib.suppress(OSError):
                    self.wfile.write(head.encode() + b"\r\n" + body)

        server = _Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}).start()
        self.address = f"127.0.0.1:{server.server_port}"
        return server

    def wait_until_ready(self, times: int = 1) -> None:
        """Wait until the extension has asked for the next event that often."""
        wait_for(lambda: self.asks >= times, f"{times} calls of event/next")

    def invoke(self, **members: object) -> None:
        """Send an INVOKE event and wait until the extension is done with it."""
        asked = self.asks
        self.events.put({"eventType": "INVOKE", "requestId": "r", **members})
        self.wait_until_ready(asked + 1)

    def shut_down(self) -> None:
        """Send the SHUTDOWN event."""
        self.events.put({"eventType": "SHUTDOWN", "shutdownReason": "spindown", "deadlineMs": 1})

    def posted(self, path: str) -> list[Any]:
        """Give the documents that were posted to *path*."""
        return [document for each, _, document in self.calls if each == path]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False


def item(version: str, arn: str, *, revision: int = 1, **attributes: Any) -> dict[str, Any]:
    """Spell an index item, without its key, as the contract does."""
    return {
        "version": {"S": version},
        "arn": {"S": arn},
        "status": {"S": "active"},
        "revision": {"N": str(revision)},
        "updated_at": {"S": "2026-01-01T00:00:00Z"},
        **attributes,
    }


class IndexServer:
    """DynamoDB's `BatchGetItem` over a dictionary of items, and every way to fail."""

    def __init__(self, *, tls: ssl.SSLContext | None = None, name: str = "127.0.0.1") -> None:
        """Serve on a free port of loopback, over TLS where a context is given."""
        self.items: dict[tuple[str, str], dict[str, Any]] = {}
        self.requests: list[dict[str, Any]] = []
        self.regions: list[str] = []
        self.tables: list[str] = []
        self.connections = 0
        self.fault: Fault | None = None
        self.delay_s = 0.0
        self.unprocessed = 0
        self.refused: dict[tuple[str, str], int] = {}
        self.answer_anything: Fault | None = None
        self.at_connect: Fault | None = None
        self.credentials = Credentials("AKID", "SECRET", "TOKEN")
        self.tls = tls
        self._kept: set[socket.socket] = set()
        self._fillers: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._port = self._listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://{name}:{self._port}"
        self._serve_beside(self._listener)

    def close(self) -> None:
        """Refuse connections from now on, and drop those that are open."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        for each in (self._listener, *self._fillers):
            each.close()
        self._fillers = []
        self.drop()

    def reopen(self) -> None:
        """Take connections again, where they were taken before."""
        self.close()
        self._listener = socket.create_server(("127.0.0.1", self._port))
        self._serve_beside(self._listener)

    def vanish(self) -> None:
        """Let whoever connects wait for ever: a full queue makes the kernel drop what arrives."""
        self.close()
        self._listener = socket.create_server(("127.0.0.1", self._port), backlog=0)
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)  # noqa: FBT003  # the socket's own
            filler.connect_ex(("127.0.0.1", self._port))
            self._fillers.append(filler)

    def drop(self) -> None:
        """Break every connection that is open."""
        for connection in list(self._kept):
            with contextlib.suppress(OSError):
                # Not TLS's own, which is not for another thread than the reader's.
                socket.socket.shutdown(connection, socket.SHUT_RDWR)

    def put(self, service: str, selector: str, attributes: dict[str, Any]) -> None:
        """Put an item."""
        self.items[service, selector] = attributes

    def _serve_beside(self, listener: socket.socket) -> None:
        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        self.connections += 1
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(OSError), connection:
            if self.at_connect:
                self.at_connect(connection, b"")
                return
            if self.tls:
                connection = self.tls.wrap_socket(connection, server_side=True)
            self._kept.add(connection)
            with connection, connection.makefile("rb") as reader:
                while request := _read_request(reader):
                    self._answer(connection, *request)
            self._kept.discard(connection)

    def _answer(
        self, connection: socket.socket, path: str, headers: dict[str, str], body: bytes
    ) -> None:
        if self.answer_anything:
            self.answer_anything(connection, body)
            return
        self._check_signature(path, headers, body)
        document = json.loads(body)
        self.requests.append(document)
        ((table, wanted),) = document["RequestItems"].items()
        self.tables.append(table)
        assert len(wanted["Keys"]) <= 100
        keys = [(key["service"]["S"], key["selector"]["S"]) for key in wanted["Keys"]]
        assert len(set(keys)) == len(keys), "DynamoDB refuses a key that is asked for twice"
        time.sleep(self.delay_s)
        left = keys[len(keys) - self.unprocessed :] if self.unprocessed else []
        left += [key for key in keys if self._refuses(key)]
        found = [
            {"service": {"S": key[0]}, "selector": {"S": key[1]}, **self.items[key]}
            for key in keys
            if key in self.items and key not in left
        ]
        unprocessed = [{"service": {"S": key[0]}, "selector": {"S": key[1]}} for key in left]
        answer = {
            "Responses": {table: found},
            "UnprocessedKeys": {table: {"Keys": unprocessed}} if unprocessed else {},
        }
        data = json.dumps(answer, ensure_ascii=False).encode()
        if self.fault:
            self.fault(connection, data)
        elif self.refused and left == keys:
            refuses("ProvisionedThroughputExceededException")(connection, data)
        else:
            connection.sendall(answer_of(200, data))

    def _refuses(self, key: tuple[str, str]) -> bool:
        """Tell whether the partition of *key* gives nothing, this time and some more times."""
        if not self.refused.get(key):
            return False
        self.refused[key] -= 1
        return True

    def _check_signature(self, path: str, headers: dict[str, str], body: bytes) -> None:
        """Sign the request anew with botocore: the signature must be the same."""
        scope = headers["authorization"].split("Credential=")[1].split("/")
        self.regions.append(scope[2])
        signed = headers["authorization"].split("SignedHeaders=")[1].split(",")[0].split(";")
        assert set(signed) == {"host", "content-type", "x-amz-date", "x-amz-target"} | (
            {"x-amz-security-token"} if self.credentials.token else set()
        )
        request = AWSRequest(
            method="POST",
            url=f"http://{headers['host']}{path}",
            data=body,
            headers={name: headers[name] for name in signed if name != "host"},
        )
        assert headers.get("x-amz-security-token") == self.credentials.token
        signer = SigV4Auth(self.credentials, "dynamodb", scope[2])
        request.context["timestamp"] = headers["x-amz-date"]
        canonical = signer.canonical_request(request)
        signature = signer.signature(signer.string_to_sign(request, canonical), request)
        assert headers["authorization"].endswith(f"Signature={signature}"), headers


def _read_request(reader: Any) -> tuple[str, dict[str, str], bytes] | None:
    line = reader.readline()
    if not line:
        return None
    headers = {}
    while (header := reader.readline()) not in {b"\r\n", b""}:
        name, _, value = header.decode().partition(":")
        headers[name.lower()] = value.strip()
    return line.split()[1].decode(), headers, reader.read(int(headers.get("content-length", "0")))


def answer_of(status: int, body: bytes, *, length: int | None = None) -> bytes:
    """Spell an HTTP answer, with another length than the body's where one is given."""
    size = len(body) if length is None else length
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/x-amz-json-1.0\r\n"
    return f"{head}Content-Length: {size}\r\n\r\n".encode() + body


def refuses(kind: str, status: int = 400) -> Fault:
    """Answer with one of DynamoDB's errors."""
    document = {"__type": f"com.amazonaws.dynamodb.v20120810#{kind}", "message": f"said {kind}"}
    body = json.dumps(document).encode()
    return lambda connection, _: connection.sendall(answer_of(status, body))


def silence(connection: socket.socket, _data: bytes) -> None:
    """Say nothing, for longer than anybody waits."""
    while connection.recv(4096):
        pass


def reset(connection: socket.socket, data: bytes) -> None:
    """Break the connection in the middle of an answer."""
    connection.sendall(answer_of(200, data)[: len(data) // 2])
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    # Whoever serves it closes it: with nothing left to linger for, the kernel sends a reset.
    raise ConnectionResetError


def hang_up(connection: socket.socket, _data: bytes) -> None:
    """Close without a word."""
    socket.socket.shutdown(connection, socket.SHUT_RDWR)


def cut(connection: socket.socket, data: bytes) -> None:
    """End the stream before the answer's end."""
    connection.sendall(answer_of(200, data[:-2], length=len(data)))
    socket.socket.shutdown(connection, socket.SHUT_RDWR)


def promise_more(connection: socket.socket, data: bytes) -> None:
    """Announce more than there is, and wait."""
    connection.sendall(answer_of(200, data, length=len(data) + 9))


def send_more(connection: socket.socket, data: bytes) -> None:
    """Announce less than there is."""
    connection.sendall(answer_of(200, data, length=len(data) - 9))


def drip(connection: socket.socket, data: bytes) -> None:
    """Send a byte at a time, each soon enough for a plain socket timeout."""
    for byte in answer_of(200, data):
        connection.sendall(bytes([byte]))
        time.sleep(0.05)


def garbage(connection: socket.socket, _data: bytes) -> None:
    """Send what is no HTTP."""
    connection.sendall(b"\x00\x01SSH-2.0-OpenSSH\r\n" * 10)


def cut_json(connection: socket.socket, data: bytes) -> None:
    """Send a whole answer whose document is not whole."""
    connection.sendall(answer_of(200, data[:-1]))


def not_json(connection: socket.socket, _data: bytes) -> None:
    """Send a page of some proxy's."""
    connection.sendall(answer_of(200, b"<html>Please log in</html>"))


def chunked(connection: socket.socket, data: bytes) -> None:
    """Send a good answer in chunks."""
    half = len(data) // 2
    pieces = b"".join(f"{len(p):x}\r\n".encode() + p + b"\r\n" for p in (data[:half], data[half:]))
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    connection.sendall(head + pieces + b"0\r\n\r\n")


def cut_chunks(connection: socket.socket, data: bytes) -> None:
    """Begin a good answer in chunks, and end the stream between two."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    connection.sendall(head + f"{len(data):x}\r\n".encode() + data + b"\r\n")
    socket.socket.shutdown(connection, socket.SHUT_RDWR)


def no_tls(connection: socket.socket, _data: bytes) -> None:
    """Answer a handshake as a server of plain HTTP does."""
    connection.recv(1)
    connection.sendall(answer_of(400, b"plain HTTP is spoken here"))
    silence(connection, b"")


def closes_after(connection: socket.socket, data: bytes) -> None:
    """Send a good answer, and close without saying so."""
    connection.sendall(answer_of(200, data))
    socket.socket.shutdown(connection, socket.SHUT_RDWR)
