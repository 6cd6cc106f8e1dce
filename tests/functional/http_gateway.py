"""The registry's API on a real socket: verifies signatures, then calls the handler.

Tests can script API Gateway's own refusals, and failures of the network.
"""

import json
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from registry_client.signed_http import SignedHttp
from tests.functional.registry_api.gateway import Handler, event, response_of

KEY_ID, SECRET_KEY, TOKEN = "AKIAEXAMPLE", "secret", "session-token"
# The keys of an IAM user have no session token.
USER_KEY_ID = "AKIAUSER"
_CREDENTIALS = {
    KEY_ID: Credentials(KEY_ID, SECRET_KEY, TOKEN),
    USER_KEY_ID: Credentials(USER_KEY_ID, SECRET_KEY),
}
REGION = "eu-west-1"


def client_environment() -> dict[str, str]:
    """Return environment variables with the credentials of a role."""
    return {
        "AWS_ACCESS_KEY_ID": KEY_ID,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_SESSION_TOKEN": TOKEN,
    }


def signed_http(url: str, **options: Any) -> SignedHttp:
    """Return a client of the API at *url* that signs with the credentials of a role."""
    return SignedHttp(url, credentials=_CREDENTIALS[KEY_ID], region=REGION, proxies={}, **options)


@dataclass(frozen=True, kw_only=True)
class Canned:
    """A response to send instead of the handler's.

    Attributes:
        status: The status; 0 closes the connection without a response.
        calls_handler_first: Whether the handler processes the request before.
    """

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    calls_handler_first: bool = False


@dataclass(frozen=True, kw_only=True)
class SeenRequest:
    """A request as received."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        """The body's JSON; None if it is empty."""
        return json.loads(self.body) if self.body else None


@dataclass(frozen=True, kw_only=True)
class HttpGateway:
    """A running gateway, its requests, and the responses to send instead of the handler's."""

    url: str
    requests: list[SeenRequest]
    script: deque[Canned]

    def calls(self) -> list[tuple[str, str]]:
        """Return each request's method and target."""
        return [(each.method, each.target) for each in self.requests]


def signature_fault(seen: SeenRequest) -> str | None:
    """Return why a request's signature is not valid; None if it is valid.

    botocore computes the expected signature.
    """
    authorization = seen.headers.get("authorization", "")
    if not authorization.startswith("AWS4-HMAC-SHA256 "):
        return "the request is not signed"
    parts = dict(part.strip().split("=", 1) for part in authorization.split(" ", 1)[1].split(","))
    signed = parts["SignedHeaders"].split(";")
    if not set(signed) <= set(seen.headers):
        return "a signed header was not sent"
    credentials = _CREDENTIALS.get(parts["Credential"].partition("/")[0])
    if credentials is None or seen.headers.get("x-amz-security-token") != credentials.token:
        return "The security token included in the request is invalid."
    request = AWSRequest(
        method=seen.method,
        url="http://" + seen.headers["host"] + seen.target,
        data=seen.body,
        headers={name: seen.headers[name] for name in signed},
    )
    request.context["timestamp"] = seen.headers["x-amz-date"]
    signer = SigV4Auth(credentials, "execute-api", REGION)
    scope = f"{credentials.access_key}/{signer.credential_scope(request)}"
    expected = signer.signature(
        signer.string_to_sign(request, signer.canonical_request(request)), request
    )
    if parts["Credential"] != scope:
        return f"Credential should be scoped to {scope}"
    is_valid = parts["Signature"] == expected
    return None if is_valid else "The calculated signature does not match the one of the request."


def _forbidden(detail: str) -> bytes:
    return json.dumps(
        {"type": "about:blank", "title": "Forbidden", "status": 403, "detail": detail}
    ).encode()


Other = Callable[[SeenRequest], Canned | None]


def _nothing_else(_seen: SeenRequest) -> None:
    return None


@contextmanager
def http_gateway(
    handler: Handler, *, prefix: str = "", other: Other = _nothing_else
) -> Iterator[HttpGateway]:
    """Serve the handler on a port of this machine.

    Args:
        prefix: A path prefix of the API, which the handler does not get.
        other: Responds to requests that are not for the API.
    """
    requests: list[SeenRequest] = []
    script: deque[Canned] = deque()
    one_at_a_time = threading.Lock()

    class _GatewayRequest(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            seen = SeenRequest(
                method=self.command,
                target=self.path,
                headers={name.lower(): value for name, value in self.headers.items()},
                body=self.rfile.read(length),
            )
            requests.append(seen)
            canned = other(seen) or (script.popleft() if script else None)
            if canned is not None and not canned.calls_handler_first:
                self._respond(canned.status, canned.headers, canned.body)
                return
            fault = signature_fault(seen)
            if fault is not None:
                self._respond(403, {"Content-Type": "application/problem+json"}, _forbidden(fault))
                return
            parts = urlsplit(seen.target)
            with one_at_a_time:
                response = response_of(
                    handler,
                    event(
                        seen.method,
                        unquote(parts.path.removeprefix(prefix)),
                        body=seen.body.decode() or None,
                        headers=seen.headers,
                        query=dict(parse_qsl(parts.query)) or None,
                    ),
                )
            if canned is not None:
                self._respond(canned.status, canned.headers, canned.body)
                return
            body = b"" if response.document is None else json.dumps(response.document).encode()
            self._respond(response.status, response.headers, body)

        do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = _serve  # noqa: N815  # http.server's

        def _respond(self, status: int, headers: dict[str, str], body: bytes) -> None:
            if not status:
                self.close_connection = True
                return
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if status not in {204, 304}:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # http.server's
            """Do not write to the tests' output."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), _GatewayRequest)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_port}"
        yield HttpGateway(url=url, requests=requests, script=script)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
