"""DynamoDB's BatchGetItem on a real socket, played by the tests: right answers, and every fault.

The one thing that it is strict about is what DynamoDB is strict about: the signature (compared with
botocore's), the wire format, at most 100 keys, no key twice.
"""

import contextlib
import json
import re
import socket
import ssl
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.functional.extension.certificates import Chain
from tests.functional.extension.conditions import wait_until

REGION = "eu-central-1"
TABLE = "ServiceIndex"
ACCESS_KEY = "AKIDEXAMPLEOFTESTS01"
SECRET_KEY = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYSECRETKEY1"
TOKEN = "IQoJb3JpZ2luX2VjEPT//////////TESTSESSIONTOKEN/wEaCXVzLWVhc3QtMSJHMEUC=="
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request, ?"
    r"SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})"
)
_MUST_BE_SIGNED = {"host", "x-amz-date", "x-amz-target"}
_MOST_KEYS = 100

Key = tuple[str, str]
Document = dict[str, Any]


def arn_of(service: str, version: str) -> str:
    """Spell the ARN that the tests' services have."""
    return f"arn:aws:lambda:{REGION}:123456789012:function:{service}:{version.replace('.', '-')}"


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request that came."""

    at: float
    connection: int
    headers: dict[str, str]
    body: bytes

    @property
    def table(self) -> str:
        """The table that was asked."""
        (name,) = json.loads(self.body)["RequestItems"]
        return str(name)

    @property
    def keys(self) -> list[Key]:
        """The keys that were asked for."""
        wanted = json.loads(self.body)["RequestItems"][self.table]["Keys"]
        return [(key["service"]["S"], key["selector"]["S"]) for key in wanted]

    @property
    def region(self) -> str:
        """The Region that the request is signed for."""
        match = _AUTHORIZATION.fullmatch(self.headers["authorization"])
        assert match is not None
        return match[3]

    @property
    def access_key(self) -> str:
        """The access key that the request is signed with."""
        match = _AUTHORIZATION.fullmatch(self.headers["authorization"])
        assert match is not None
        return match[1]


class Connection:
    """One accepted connection, as a fault sees it."""

    def __init__(self, server: "IndexServer", sock: socket.socket, number: int) -> None:
        """Take the server, the socket and the connection's number, from 1."""
        self.server = server
        self.sock = sock
        self.number = number
        self.is_open = True

    def send(self, data: bytes) -> None:
        """Send all of *data*; a peer that is gone ends the connection."""
        try:
            self.sock.sendall(data)
        except OSError:
            self.close()

    def close(self) -> None:
        """Close it in an orderly way."""
        self.is_open = False

    def reset(self) -> None:
        """Close it such that the peer gets a reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def wait_for_the_end(self) -> None:
        """Stay silent until the peer gives up."""
        with contextlib.suppress(OSError):
            while self.sock.recv(65_536):
                pass
        self.close()


# A fault has the connection and the request, and does what it is named after.
Fault = Callable[[Connection, Request], None]


def http(
    status: int, body: bytes, *, length: int | None = None, headers: tuple[str, ...] = ()
) -> bytes:
    """Spell an answer."""
    lines = [
        f"HTTP/1.1 {status} Said",
        "Content-Type: application/x-amz-json-1.0",
        f"Content-Length: {len(body) if length is None else length}",
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


class IndexServer:
    """An index table behind DynamoDB's API."""

    def __init__(self, chain: Chain | None = None) -> None:
        """Listen on a free port of the loopback, with TLS if there is a chain to show."""
        self.items: dict[Key, Document] = {}
        self.requests: list[Request] = []
        self.complaints: list[str] = []
        self.accepted = 0
        self.keys = {ACCESS_KEY: (SECRET_KEY, TOKEN)}
        self.table = TABLE
        self.region = REGION
        # What to do with requests: first these, each once, then the lasting one.
        self.faults: deque[Fault] = deque()
        self.fault: Fault | None = None
        # Whether a connection gets no further than being accepted: no handshake, no answer.
        self.is_mute = False
        self.ascii_json = True
        self._context: ssl.SSLContext | None = None
        if chain is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(chain.path)
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._released = threading.Event()
        self._listener: socket.socket | None = None
        self._port = 0
        self.accept()

    @property
    def url(self) -> str:
        """What AWS_ENDPOINT_URL_DYNAMODB says."""
        host = "https://localhost" if self._context else "http://127.0.0.1"
        return f"{host}:{self._port}"

    def put(
        self,
        service: str,
        selector: str,
        version: str,
        *,
        arn: str | None = None,
        status: str = "active",
        reason: str | None = None,
        metadata: dict[str, str] | None = None,
        revision: int | None = None,
        copies: int | None = None,
        copy: int = 0,
    ) -> None:
        """Put an index item, with the next revision unless one is given."""
        partition = f"#{copy}#{service}" if copy else service
        before = self.items.get((partition, selector), {"revision": {"N": "0"}})
        item: Document = {
            "service": {"S": partition},
            "selector": {"S": selector},
            "version": {"S": version},
            "arn": {"S": arn or arn_of(service, version)},
            "status": {"S": status},
            "revision": {"N": str(revision or int(before["revision"]["N"]) + 1)},
            "updated_at": {"S": "2026-11-23T08:00:00.000000Z"},
        }
        if reason is not None:
            item["reason"] = {"S": reason}
        if metadata:
            item["metadata"] = {"M": {name: {"S": text} for name, text in metadata.items()}}
        if copies is not None:
            item["copies"] = {"N": str(copies)}
        self.items[partition, selector] = item

    def remove(self, service: str, selector: str) -> None:
        """Take an index item away."""
        del self.items[service, selector]

    def accept(self) -> None:
        """Listen, on the same port as before."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self._port))
        listener.listen(128)
        self._port = listener.getsockname()[1]
        self._listener = listener
        self._start(self._accept_all, listener)

    def refuse(self) -> None:
        """Refuse connections, and reset those that are open."""
        self._stop_listening()
        self.drop_connections()

    def drop_connections(self) -> None:
        """Close every open connection, as a freeze or a load balancer does."""
        with self._lock:
            connections = list(self._open)
        for sock in connections:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        wait_until(lambda: not self._open, "the connections to be closed")

    def release(self) -> None:
        """Let requests that `held` keeps waiting have their answers."""
        self._released.set()

    def wait_for_requests(self, count: int) -> None:
        """Wait until *count* requests have come."""
        wait_until(lambda: len(self.requests) >= count, f"{count} requests to the index")

    def wait_for_connections(self, count: int) -> None:
        """Wait until *count* connections have come."""
        wait_until(lambda: self.accepted >= count, f"{count} connections to the index")

    def stop(self) -> None:
        """Close everything."""
        self._released.set()
        self._stop_listening()
        with self._lock:
            connections = list(self._open)
        for sock in connections:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)

    def answer(self, request: Request, *, unprocessed: int = 0) -> Document:
        """Tell the right answer, with as many keys left unprocessed as said."""
        taken = request.keys[: len(request.keys) - unprocessed]
        left = request.keys[len(request.keys) - unprocessed :]
        items = [self.items[key] for key in taken if key in self.items]
        document: Document = {"Responses": {request.table: items}, "UnprocessedKeys": {}}
        if left:
            keys = [{"service": {"S": key[0]}, "selector": {"S": key[1]}} for key in left]
            document["UnprocessedKeys"] = {request.table: {"Keys": keys}}
        return document

    def encode(self, document: Document) -> bytes:
        """Spell a document as JSON."""
        return json.dumps(document, ensure_ascii=self.ascii_json).encode()

    @property
    def was_released(self) -> threading.Event:
        """Set once `release` was called, or everything is being closed."""
        return self._released

    def _start(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _stop_listening(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def _accept_all(self, listener: socket.socket) -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self.accepted += 1
                number = self.accepted
                self._open.add(sock)
            self._start(self._serve, sock, number)

    def _serve(self, raw: socket.socket, number: int) -> None:
        sock = raw
        try:
            if self.is_mute:
                Connection(self, raw, number).wait_for_the_end()
            elif self._context is not None:
                sock = self._context.wrap_socket(raw, server_side=True)
                with self._lock:
                    self._open.discard(raw)
                    self._open.add(sock)
                self._serve_requests(Connection(self, sock, number))
            else:
                self._serve_requests(Connection(self, sock, number))
        except OSError:
            # The peer is gone, or refused what it was shown.
            return
        finally:
            sock.close()
            raw.close()
            with self._lock:
                self._open.discard(raw)
                self._open.discard(sock)

    def _serve_requests(self, connection: Connection) -> None:
        buffer = b""
        while connection.is_open:
            while b"\r\n\r\n" not in buffer:
                piece = connection.sock.recv(65_536)
                if not piece:
                    return
                buffer += piece
            head, _, buffer = buffer.partition(b"\r\n\r\n")
            lines = head.decode("latin-1").split("\r\n")
            headers = dict(self._header(line) for line in lines[1:])
            length = int(headers.get("content-length", "0"))
            while len(buffer) < length:
                piece = connection.sock.recv(65_536)
                if not piece:
                    return
                buffer += piece
            body, buffer = buffer[:length], buffer[length:]
            request = Request(
                at=time.monotonic(), connection=connection.number, headers=headers, body=body
            )
            with self._lock:
                self.requests.append(request)
                complaint = self._complaint(lines[0], request)
                fault = self.faults.popleft() if self.faults else self.fault
            if complaint:
                self.complaints.append(complaint)
                connection.send(http(400, self._error("ValidationException", complaint)))
            else:
                (fault or right)(connection, request)

    @staticmethod
    def _header(line: str) -> tuple[str, str]:
        name, _, value = line.partition(":")
        return name.lower(), value.strip()

    @staticmethod
    def _error(kind: str, message: str) -> bytes:
        text = {"__type": f"com.amazonaws.dynamodb.v20120810#{kind}", "message": message}
        return json.dumps(text).encode()

    def _complaint(self, request_line: str, request: Request) -> str:
        """Say what DynamoDB would refuse; empty if nothing."""
        if request_line != "POST / HTTP/1.1":
            return f"the request line {request_line!r}"
        expected = {
            "content-type": "application/x-amz-json-1.0",
            "x-amz-target": "DynamoDB_20120810.BatchGetItem",
        }
        for name, value in expected.items():
            if request.headers.get(name) != value:
                return f"{name}: {request.headers.get(name)!r}"
        try:
            items = json.loads(request.body)["RequestItems"]
            keys = request.keys
        except (KeyError, TypeError, ValueError) as error:
            return f"the body {request.body[:80]!r}: {error!r}"
        if list(items) != [self.table] or set(items[self.table]) - {"Keys", "ConsistentRead"}:
            return f"RequestItems of {list(items)}"
        if items[self.table].get("ConsistentRead"):
            return "a strongly consistent read costs twice"
        if not 0 < len(keys) <= _MOST_KEYS:
            return f"{len(keys)} keys in one request"
        if len(set(keys)) != len(keys):
            return "a key twice"
        return self._signature_fault(request)

    def _signature_fault(self, request: Request) -> str:
        """Compare the signature with botocore's own; say what is wrong, empty if nothing."""
        match = _AUTHORIZATION.fullmatch(request.headers.get("authorization", ""))
        if match is None:
            return "no signature"
        access_key, _, region, service, names, signature = match.groups()
        if (region, service) != (self.region, "dynamodb"):
            return f"signed for {service} in {region}"
        if access_key not in self.keys:
            return f"signed with the unknown key {access_key}"
        secret, token = self.keys[access_key]
        if (request.headers.get("x-amz-security-token") or None) != token:
            return "the session's token is another one"
        signed = names.split(";")
        must = _MUST_BE_SIGNED | ({"x-amz-security-token"} if token else set())
        if must - set(signed):
            return f"not signed: {must - set(signed)}"
        scheme = "https" if self._context else "http"
        again = AWSRequest(
            method="POST",
            url=f"{scheme}://{request.headers['host']}/",
            headers={name: request.headers[name] for name in signed},
            data=request.body,
        )
        again.context["timestamp"] = request.headers["x-amz-date"]
        signer = SigV4Auth(Credentials(access_key, secret, token), "dynamodb", region)
        text = signer.string_to_sign(again, signer.canonical_request(again))
        if signer.signature(text, again) != signature:
            return "the signature is another one than botocore's"
        sent = time.strptime(request.headers["x-amz-date"] + " UTC", "%Y%m%dT%H%M%SZ %Z")
        if abs(time.mktime(sent) - time.mktime(time.gmtime())) > 60:
            return f"signed at {request.headers['x-amz-date']}"
        return ""


def right(connection: Connection, request: Request) -> None:
    """Answer as it should be."""
    server = connection.server
    connection.send(http(200, server.encode(server.answer(request))))


def held(connection: Connection, request: Request) -> None:
    """Answer as it should be, but only once the test says so."""
    connection.server.was_released.wait(60)
    right(connection, request)


def silent(connection: Connection, request: Request) -> None:  # noqa: ARG001  # a Fault
    """Take the request, and never say a word."""
    connection.wait_for_the_end()


def close_without_answer(connection: Connection, request: Request) -> None:  # noqa: ARG001
    """Take the request and close."""
    connection.close()


def close_after_answer(connection: Connection, request: Request) -> None:
    """Answer as it should be, then close the idle connection without having announced it."""
    right(connection, request)
    connection.close()


def reset_in_answer(connection: Connection, request: Request) -> None:
    """Reset the connection in the middle of an answer."""
    server = connection.server
    answer = http(200, server.encode(server.answer(request)))
    connection.send(answer[: len(answer) - 20])
    connection.reset()


def drip(connection: Connection, request: Request) -> None:
    """Send an answer as it should be, a byte now and then: it never ends in time."""
    server = connection.server
    for byte in http(200, server.encode(server.answer(request))):
        connection.send(bytes([byte]))
        if not connection.is_open or server.was_released.wait(0.04):
            break
    connection.close()


def length_too_long(connection: Connection, request: Request) -> None:
    """Announce more than is sent."""
    server = connection.server
    body = server.encode(server.answer(request))
    connection.send(http(200, body, length=len(body) + 7))
    connection.close()


def length_too_short(connection: Connection, request: Request) -> None:
    """Announce less than is sent."""
    server = connection.server
    body = server.encode(server.answer(request))
    connection.send(http(200, body, length=len(body) - 30))


def length_unreadable(connection: Connection, request: Request) -> None:
    """Announce a length that is no number."""
    body = connection.server.encode(connection.server.answer(request))
    said = http(200, body).replace(b"Content-Length: ", b"Content-Length: -")
    connection.send(said)
    connection.close()


def chunked(connection: Connection, request: Request) -> None:
    """Answer as it should be, in chunks: nothing is wrong with that."""
    body = connection.server.encode(connection.server.answer(request))
    head = "HTTP/1.1 200 Said\r\nTransfer-Encoding: chunked\r\n\r\n"
    pieces = [body[at : at + 11] for at in range(0, len(body), 11)]
    sent = b"".join(b"%x;note=1\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    connection.send(head.encode() + sent + b"0\r\nTrailer: 1\r\n\r\n")


def chunked_cut(connection: Connection, request: Request) -> None:
    """Close before the last chunk."""
    body = connection.server.encode(connection.server.answer(request))
    head = "HTTP/1.1 200 Said\r\nTransfer-Encoding: chunked\r\n\r\n"
    connection.send(head.encode() + b"%x\r\n%s\r\n" % (len(body), body))
    connection.close()


def garbage(connection: Connection, request: Request) -> None:  # noqa: ARG001  # a Fault
    """Answer with what is no HTTP."""
    connection.send(b"\x16\x03\x01\x00\xa5\x00\xff what is this?\n\n\x00")
    connection.close()


def endless_head(connection: Connection, request: Request) -> None:  # noqa: ARG001  # a Fault
    """Send headers for ever."""
    connection.send(b"HTTP/1.1 200 Said\r\n")
    line = b"X-Padding: " + b"a" * 1000 + b"\r\n"
    while connection.is_open and not connection.server.was_released.is_set():
        connection.send(line * 16)


def endless_continue(connection: Connection, request: Request) -> None:  # noqa: ARG001
    """Say `100 Continue` for ever."""
    while connection.is_open and not connection.server.was_released.is_set():
        connection.send(b"HTTP/1.1 100 Continue\r\n\r\n" * 500)


def endless_trailer(connection: Connection, request: Request) -> None:
    """Send a chunked answer whose trailer never ends."""
    body = connection.server.encode(connection.server.answer(request))
    head = "HTTP/1.1 200 Said\r\nTransfer-Encoding: chunked\r\n\r\n"
    connection.send(head.encode() + b"%x\r\n%s\r\n0\r\n" % (len(body), body))
    while connection.is_open and not connection.server.was_released.is_set():
        connection.send(b"X-Padding: aaaaaaaaaaaaaaaa\r\n" * 500)


def json_cut(connection: Connection, request: Request) -> None:
    """Send JSON without its last bracket, with the length that it has."""
    body = connection.server.encode(connection.server.answer(request))
    connection.send(http(200, body[:-1]))


def json_of_another_kind(connection: Connection, request: Request) -> None:  # noqa: ARG001
    """Send JSON that is no object."""
    connection.send(http(200, b'["a list"]'))


def json_without_responses(connection: Connection, request: Request) -> None:  # noqa: ARG001
    """Send an object that says nothing of the table."""
    connection.send(http(200, b"{}"))


def no_json(connection: Connection, request: Request) -> None:  # noqa: ARG001  # a Fault
    """Send a proxy's page."""
    connection.send(http(200, b"<html><body>Welcome to the airport's WLAN</body></html>"))


def redirect(connection: Connection, request: Request) -> None:  # noqa: ARG001  # a Fault
    """Send the client elsewhere, where no signed request must follow."""
    connection.send(http(302, b"", headers=("Location: http://127.0.0.1:9/",)))


def error(status: int, kind: str, message: str = "said by the test") -> Fault:
    """Answer with DynamoDB's own error."""

    def answer_with_error(connection: Connection, request: Request) -> None:  # noqa: ARG001
        text = {"__type": f"com.amazonaws.dynamodb.v20120810#{kind}", "message": message}
        connection.send(http(status, json.dumps(text).encode()))

    return answer_with_error


def html_error(status: int) -> Fault:
    """Answer with a load balancer's page."""

    def answer_with_page(connection: Connection, request: Request) -> None:  # noqa: ARG001
        connection.send(http(status, b"<html>no healthy upstream</html>"))

    return answer_with_page


def unprocessed(count: int) -> Fault:
    """Leave the last *count* keys unprocessed."""

    def answer_in_part(connection: Connection, request: Request) -> None:
        server = connection.server
        left = min(count, len(request.keys))
        connection.send(http(200, server.encode(server.answer(request, unprocessed=left))))

    return answer_in_part


def unless_asked_for(service: str, fault: Fault) -> Fault:
    """Answer as it should be, but with *fault* where *service* is among the keys."""

    def choose(connection: Connection, request: Request) -> None:
        asked = any(key[0] == service for key in request.keys)
        (fault if asked else right)(connection, request)

    return choose
