"""The servers that the measured extensions call: DynamoDB over TLS, and Lambda's Extensions API.

The index runs in a process of its own, the same for every extension, with certificates like AWS's:
a chain of RSA keys of 2,048 bits. The platform runs in this thread, so that nothing delays the
clock after a call arrives.
"""

import contextlib
import datetime as dt
import json
import multiprocessing
import os
import signal
import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from local.processes import LocalStackError
from testing.index_server import IndexServer, item

NEEDS = tuple(f"service-{number}" for number in range(10))
_WITHIN_S = 60
_NS_PER_MS = 1_000_000


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def make_chain(folder: Path, roots: Path) -> tuple[Path, Path]:
    """Make a root, an authority below it and a server's certificate.

    Returns:
        The file for the server, with its key; and a bundle, given to every program, with as many
        roots as AWS's, this one included.
    """
    keys = [rsa.generate_private_key(public_exponent=65_537, key_size=2_048) for _ in range(3)]
    names = ["Bench Root CA", "Bench RSA 2048 M01", "localhost"]
    now = dt.datetime.now(dt.UTC)
    chain = []
    for level, (name, key) in enumerate(zip(names, keys, strict=True)):
        above = max(0, level - 1)
        is_ca = level < 2
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(name))
            .issuer_name(_name(names[above]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(keys[above].public_key()),
                critical=False,
            )
        )
        if not is_ca:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False
            )
        chain.append(builder.sign(keys[above], hashes.SHA256()))
    private = keys[2].private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    server, bundle = folder / "server.pem", folder / "bundle.pem"
    server.write_bytes(private + _pem(chain[2]) + _pem(chain[1]))
    bundle.write_bytes(_in_pem(roots).encode() + _pem(chain[0]))
    return server, bundle


def _in_pem(roots: Path) -> str:
    """Return the roots that the layer ships as a PEM bundle."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=roots.read_bytes())
    return "".join(
        ssl.DER_cert_to_PEM_cert(root) for root in context.get_ca_certs(binary_form=True)
    )


class _Index(IndexServer):
    """The tests' index server without its check of signatures, to respond quickly."""

    def _check_signature(self, path: str, headers: dict[str, str], body: bytes) -> None:
        """Do nothing."""


def _serve_index(chain: Path, ours: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    index = _Index(tls=context, name="localhost")
    for need in NEEDS:
        arn = f"arn:aws:lambda:eu-west-1:123456789012:function:{need}:42"
        index.put(need, "latest", item("1.4.2", arn))
    ours.send(index.url)
    with contextlib.suppress(EOFError):
        while True:
            version = ours.recv()
            if version:
                revision = int(version.split(".")[1])
                index.put(NEEDS[0], "latest", item(version, arn, revision=revision))
            ours.send((index.connections, len(index.requests)))


class IndexProcess:
    """The index in a process of its own."""

    def __init__(self, url: str, theirs: Connection, bundle: Path) -> None:
        """Set its address, the pipe to it, and a bundle with its root."""
        self.url = url
        self.bundle = bundle
        self._theirs = theirs
        self._published = 4

    def counts(self) -> tuple[int, int]:
        """Return how many connections and how many requests there have been."""
        return self._ask("")

    def publish_next(self) -> str:
        """Publish a version of the first need, and return it; its minor part is its revision."""
        self._published += 1
        version = f"1.{self._published}.0"
        self._ask(version)
        return version

    def _ask(self, version: str) -> tuple[int, int]:
        self._theirs.send(version)
        counts: tuple[int, int] = self._theirs.recv()
        return counts


@contextmanager
def undisturbed() -> Iterator[None]:
    """Run this process and its children at a real-time priority, if root runs the benchmark."""
    before = os.sched_getscheduler(0), os.sched_getparam(0)
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    try:
        yield
    finally:
        os.sched_setscheduler(0, *before)


@contextmanager
def index(folder: Path, roots: Path) -> Iterator[IndexProcess]:
    """Serve the index."""
    chain, bundle = make_chain(folder, roots)
    theirs, ours = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(
        target=_serve_index, args=(chain, ours), daemon=True
    )
    server.start()
    ours.close()
    try:
        yield IndexProcess(theirs.recv(), theirs, bundle)
    finally:
        theirs.close()
        server.terminate()
        server.join()


class RoundTrip:
    """A bare round trip: the same request on an open connection, without processing."""

    def __init__(self, index: IndexProcess) -> None:
        """Connect."""
        host, _, port = index.url.removeprefix("https://").partition(":")
        context = ssl.create_default_context(cafile=str(index.bundle))
        raw = socket.create_connection((host, int(port)))
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._stream = context.wrap_socket(raw, server_hostname=host)
        keys = [{"service": {"S": need}, "selector": {"S": "latest"}} for need in NEEDS]
        body = json.dumps({"RequestItems": {"ServiceIndex": {"Keys": keys}}}).encode()
        head = f"POST / HTTP/1.1\r\nhost: {host}\r\ncontent-length: {len(body)}\r\n\r\n"
        self._request = head.encode() + body

    def take_ms(self) -> float:
        """Send the request; return how long the response took."""
        started = time.perf_counter_ns()
        self._stream.sendall(self._request)
        response = b""
        while b"\r\n\r\n" not in response:
            response += self._receive()
        head, _, body = response.partition(b"\r\n\r\n")
        left = int(head.lower().partition(b"content-length:")[2].split()[0]) - len(body)
        while left > 0:
            left -= len(self._receive())
        return (time.perf_counter_ns() - started) / _NS_PER_MS

    def _receive(self) -> bytes:
        data = self._stream.recv(65_536)
        if not data:
            message = "the index has closed the connection"
            raise LocalStackError(message)
        return data

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """The times of the steps of a start, in milliseconds; `file_ms` only if the file was read."""

    registered_ms: float
    file_ms: float


class Platform:
    """Lambda's Extensions API, for one extension at a time, in the thread that measures."""

    def __init__(self) -> None:
        """Listen on loopback."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(_WITHIN_S)
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._peer: socket.socket | None = None
        self.connections = 0
        self.calls = 0

    def close(self) -> None:
        """Stop listening."""
        self._listener.close()

    def hang_up(self) -> None:
        """Close the connections, to be ready for another extension."""
        if self._peer is not None:
            self._peer.close()
        self._peer = None
        self.connections = self.calls = 0

    def receive(self) -> tuple[str, int]:
        """Wait for a call; return its path, and when it arrived."""
        while True:
            if self._peer is None:
                self._peer, _ = self._listener.accept()
                self._peer.settimeout(_WITHIN_S)
                self._peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.connections += 1
            data = self._peer.recv(65_536)
            at = time.perf_counter_ns()
            if data:
                break
            self._peer.close()
            self._peer = None
        self.calls += 1
        head, _, body = data.partition(b"\r\n\r\n")
        for length in head.lower().partition(b"content-length:")[2].split()[:1]:
            while len(body) < int(length):
                body += self._peer.recv(65_536)
        return head.split(b" ", 2)[1].decode().rpartition("/")[2], at

    def respond(self, document: object) -> None:
        """Respond to the call that was received."""
        if self._peer is None:
            message = "no call waits for a response"
            raise LocalStackError(message)
        body = json.dumps(document).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n"
        head += "Lambda-Extension-Identifier: 01234567-89ab-cdef-0123-456789abcdef\r\n\r\n"
        self._peer.sendall(head.encode() + body)


class Run:
    """One run of an extension with the platform."""

    def __init__(
        self,
        platform: Platform,
        command: Sequence[str],
        environment: dict[str, str],
        *,
        log: Path | None = None,
    ) -> None:
        """Start the extension; its log goes to a file, or to this process's stderr."""
        self._platform = platform
        opened = (os.POSIX_SPAWN_OPEN, 2, str(log), os.O_WRONLY | os.O_CREAT, 0o600)
        self._started = time.perf_counter_ns()
        self.pid = os.posix_spawn(
            command[0],
            list(command),
            {**environment, "AWS_LAMBDA_RUNTIME_API": platform.address},
            file_actions=[opened] if log else [],
        )

    def start(self, services_file: Path | None) -> Start:
        """Serve its init; read the file like a function that reads it first."""
        registered = self._received("register")
        self._platform.respond({"functionName": "consumer"})
        file_ms = 0.0
        if services_file is not None:
            document = json.loads(services_file.read_bytes())
            file_ms = self._since_start_ms(time.perf_counter_ns())
            if [document[need]["version"] for need in NEEDS] != ["1.4.2"] * len(NEEDS):
                message = f"the file is not right: {document}"
                raise LocalStackError(message)
        self._received("next")
        return Start(registered_ms=self._since_start_ms(registered), file_ms=file_ms)

    def invoke_ms(self) -> float:
        """Send an INVOKE; return how long the extension took to ask for the next event."""
        event = {
            "eventType": "INVOKE",
            "deadlineMs": int(time.time() * 1000) + 30_000,
            "requestId": "01234567-89ab-cdef-0123-456789abcdef",
            "invokedFunctionArn": "arn:aws:lambda:eu-west-1:123456789012:function:consumer",
        }
        sent = time.perf_counter_ns()
        self._platform.respond(event)
        return (self._received("next") - sent) / _NS_PER_MS

    def resident_kib(self) -> int:
        """Return the process's resident memory."""
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="utf-8")
        return int(status.split("VmRSS:")[1].split()[0])

    def processor_s(self) -> float:
        """Return how much processor time the extension has used."""
        schedule = Path(f"/proc/{self.pid}/schedstat").read_text("utf-8")
        return int(schedule.split()[0]) / 1e9

    def end(self) -> None:
        """End the extension."""
        os.kill(self.pid, signal.SIGKILL)
        self._wait()

    def stop_ms(self, number: signal.Signals | None) -> float:
        """Send a signal, or SHUTDOWN; return how long the extension took to end with status 0."""
        sent = time.perf_counter_ns()
        if number is None:
            self._platform.respond({"eventType": "SHUTDOWN", "shutdownReason": "spindown"})
        else:
            os.kill(self.pid, number)
        status = self._wait()
        if status:
            message = f"the extension ended with the status {status}"
            raise LocalStackError(message)
        return (time.perf_counter_ns() - sent) / _NS_PER_MS

    def _wait(self) -> int:
        _, status = os.waitpid(self.pid, 0)
        self._platform.hang_up()
        return os.waitstatus_to_exitcode(status)

    def _received(self, wanted: str) -> int:
        called, at = self._platform.receive()
        if called != wanted:
            message = f"the extension called {called!r} and not {wanted!r}"
            raise LocalStackError(message)
        return at

    def _since_start_ms(self, at: int) -> float:
        return (at - self._started) / _NS_PER_MS


@contextmanager
def running(platform: Platform, program: Path, environment: dict[str, str]) -> Iterator[Run]:
    """Run an extension, and end it."""
    run = Run(platform, [str(program)], environment)
    try:
        yield run
    finally:
        run.end()


@contextmanager
def platform() -> Iterator[Platform]:
    """Serve the platform."""
    served = Platform()
    try:
        yield served
    finally:
        served.close()
