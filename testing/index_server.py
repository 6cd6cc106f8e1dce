"""A fake of DynamoDB's `BatchGetItem` on a real socket, which can fail in many ways."""

import contextlib
import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from testing.arns import ARN

Fault = Callable[[socket.socket, bytes], None]


def item(version: str, arn: str, *, revision: int = 1, **attributes: Any) -> dict[str, Any]:
    """Return an index item without its key."""
    return {
        "version": {"S": version},
        "arn": {"S": arn},
        "status": {"S": "active"},
        "revision": {"N": str(revision)},
        "updated_at": {"S": "2026-01-01T00:00:00Z"},
        **attributes,
    }


class IndexServer:
    """Serves `BatchGetItem` from a dictionary of items, or with a fault that a test sets.

    Attributes:
        items: The index items, by service and selector.
        heads: The path and the headers of each request.
        unprocessed: How many keys each response returns as unprocessed.
        refused: How many more times each key is throttled.
        fault: Sends the response in place of the correct one.
        unchecked_fault: Likewise, but for any HTTP request: signature and body are not checked.
        at_connect: Called for each new connection, before TLS; no request is read.
    """

    def __init__(self, *, tls: ssl.SSLContext | None = None, name: str = "127.0.0.1") -> None:
        """Serve on a free port of loopback, over TLS if a context is given."""
        self.items: dict[tuple[str, str], dict[str, Any]] = {}
        self.requests: list[dict[str, Any]] = []
        self.regions: list[str] = []
        self.tables: list[str] = []
        self.user_agents: list[str | None] = []
        self.heads: list[tuple[str, dict[str, str]]] = []
        self.dates: list[str] = []
        self.connections = 0
        self.fault: Fault | None = None
        self.delay_s = 0.0
        self.unprocessed = 0
        self.refused: dict[tuple[str, str], int] = {}
        self.unchecked_fault: Fault | None = None
        self.at_connect: Fault | None = None
        self.credentials = Credentials("AKID", "SECRET", "TOKEN")
        self.tls = tls
        self._open: set[socket.socket] = set()
        self._fillers: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._port = self._listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://{name}:{self._port}"
        self._accept_in_thread(self._listener)

    def close(self) -> None:
        """Refuse new connections and break the open ones."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        for each in (self._listener, *self._fillers):
            each.close()
        self._fillers = []
        self.drop()

    def reopen(self) -> None:
        """Accept connections on the same port again."""
        self.close()
        self._listener = socket.create_server(("127.0.0.1", self._port))
        self._accept_in_thread(self._listener)

    def vanish(self) -> None:
        """Drop every connection attempt: the listen queue is full, so clients get no response."""
        self.close()
        self._listener = socket.create_server(("127.0.0.1", self._port), backlog=0)
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)  # noqa: FBT003  # the socket's own
            filler.connect_ex(("127.0.0.1", self._port))
            self._fillers.append(filler)

    def appear(self) -> None:
        """Accept connections after `vanish`; the kernel repeats dropped attempts after a second."""
        for each in self._fillers:
            each.close()
        self._fillers = []
        self._accept_in_thread(self._listener)

    def drop(self) -> None:
        """Break every connection that is open."""
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                # Not SSLSocket.shutdown: it is not safe from another thread than the reader's.
                socket.socket.shutdown(connection, socket.SHUT_RDWR)

    def put(self, service: str, selector: str, attributes: dict[str, Any]) -> None:
        """Put an item."""
        self.items[service, selector] = attributes

    def publish(
        self, service: str, version: str, *, selector: str = "latest", **members: Any
    ) -> None:
        """Let a selector resolve to a version, with the ARN of all tests."""
        self.put(service, selector, item(version, ARN, **members))

    def _accept_in_thread(self, listener: socket.socket) -> None:
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
            self._open.add(connection)
            with connection, connection.makefile("rb") as reader:
                while request := _read_request(reader):
                    self._respond(connection, *request)
            self._open.discard(connection)

    def _respond(
        self, connection: socket.socket, path: str, headers: dict[str, str], body: bytes
    ) -> None:
        self.heads.append((path, headers))
        if self.unchecked_fault:
            self.unchecked_fault(connection, body)
            return
        self._check_signature(path, headers, body)
        self.user_agents.append(headers.get("user-agent"))
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
        # The same dictionary for the whole response: a test may replace it at any time.
        items = self.items
        found = [
            {"service": {"S": key[0]}, "selector": {"S": key[1]}, **items[key]}
            for key in keys
            if key in items and key not in left
        ]
        unprocessed = [{"service": {"S": key[0]}, "selector": {"S": key[1]}} for key in left]
        response = {
            "Responses": {table: found},
            "UnprocessedKeys": {table: {"Keys": unprocessed}} if unprocessed else {},
        }
        data = json.dumps(response, ensure_ascii=False).encode()
        if self.fault:
            self.fault(connection, data)
        elif self.refused and left == keys:
            refuses("ProvisionedThroughputExceededException")(connection, data)
        else:
            connection.sendall(response_of(200, data))

    def _refuses(self, key: tuple[str, str]) -> bool:
        """Return whether *key* is throttled this time; counts down."""
        if not self.refused.get(key):
            return False
        self.refused[key] -= 1
        return True

    def _check_signature(self, path: str, headers: dict[str, str], body: bytes) -> None:
        """Sign the request with botocore and compare the signatures."""
        scope = headers["authorization"].split("Credential=")[1].split("/")
        self.regions.append(scope[2])
        self.dates.append(headers["x-amz-date"])
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


def response_of(status: int, body: bytes, *, length: int | None = None) -> bytes:
    """Return an HTTP response; *length* overrides Content-Length."""
    size = len(body) if length is None else length
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/x-amz-json-1.0\r\n"
    return f"{head}Content-Length: {size}\r\n\r\n".encode() + body


def refuses(kind: str, status: int = 400) -> Fault:
    """Return a fault that responds with an error of DynamoDB."""
    document = {"__type": f"com.amazonaws.dynamodb.v20120810#{kind}", "message": f"said {kind}"}
    body = json.dumps(document).encode()
    return lambda connection, _: connection.sendall(response_of(status, body))


def silence(connection: socket.socket, _data: bytes) -> None:
    """Never respond."""
    while connection.recv(4096):
        pass


def reset(connection: socket.socket, data: bytes) -> None:
    """Reset the connection during a response."""
    connection.sendall(response_of(200, data)[: len(data) // 2])
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    # The caller closes the socket; with SO_LINGER 0 the kernel then sends a reset.
    raise ConnectionResetError


def hang_up(connection: socket.socket, _data: bytes) -> None:
    """Close without a response."""
    socket.socket.shutdown(connection, socket.SHUT_RDWR)


def cut(connection: socket.socket, data: bytes) -> None:
    """Close before the response is complete."""
    connection.sendall(response_of(200, data[:-2], length=len(data)))
    socket.socket.shutdown(connection, socket.SHUT_RDWR)


def promise_more(connection: socket.socket, data: bytes) -> None:
    """Send a Content-Length above the body's length, and keep the connection open."""
    connection.sendall(response_of(200, data, length=len(data) + 9))


def send_more(connection: socket.socket, data: bytes) -> None:
    """Send a Content-Length below the body's length."""
    connection.sendall(response_of(200, data, length=len(data) - 9))


def drip(connection: socket.socket, data: bytes) -> None:
    """Send one byte at a time, often enough that a socket timeout never fires."""
    for byte in response_of(200, data):
        connection.sendall(bytes([byte]))
        time.sleep(0.05)


def garbage(connection: socket.socket, _data: bytes) -> None:
    """Send bytes that are not HTTP."""
    connection.sendall(b"\x00\x01SSH-2.0-OpenSSH\r\n" * 10)


def cut_json(connection: socket.socket, data: bytes) -> None:
    """Send a complete response with a truncated JSON document."""
    connection.sendall(response_of(200, data[:-1]))


def not_json(connection: socket.socket, _data: bytes) -> None:
    """Send an HTML page, as a captive proxy would."""
    connection.sendall(response_of(200, b"<html>Please log in</html>"))


def chunked(connection: socket.socket, data: bytes) -> None:
    """Send a valid response in chunks."""
    half = len(data) // 2
    pieces = b"".join(f"{len(p):x}\r\n".encode() + p + b"\r\n" for p in (data[:half], data[half:]))
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    connection.sendall(head + pieces + b"0\r\n\r\n")


def cut_chunks(connection: socket.socket, data: bytes) -> None:
    """Begin a valid response in chunks, and close between two chunks."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    connection.sendall(head + f"{len(data):x}\r\n".encode() + data + b"\r\n")
    socket.socket.shutdown(connection, socket.SHUT_RDWR)


def no_tls(connection: socket.socket, _data: bytes) -> None:
    """Respond to a TLS handshake with plain HTTP."""
    connection.recv(1)
    connection.sendall(response_of(400, b"plain HTTP is spoken here"))
    silence(connection, b"")


def closes_after(connection: socket.socket, data: bytes) -> None:
    """Send a valid response, then close the connection without announcing it."""
    connection.sendall(response_of(200, data))
    socket.socket.shutdown(connection, socket.SHUT_RDWR)
