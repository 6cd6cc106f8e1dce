"""A permanent failure is not retried; a temporary one is retried within the timeout."""

import datetime as dt
import json
import socket
from email.utils import format_datetime
from pathlib import Path

import pytest

from testing import index_server
from testing.certificates import Certificates
from testing.index_server import IndexServer, response_of
from testing.lambda_api import LambdaApi
from tests.functional.extension.conftest import Extension, Start

_HOUR = dt.timedelta(hours=1)


def _reason(extension: Extension) -> str:
    extension.wait_for_log("needs not resolved")
    (line,) = [each for each in extension.log().splitlines() if " WARN " in each]
    return line


@pytest.mark.parametrize("name", ["another CA", "wrong host", "expired"])
def test_chain_that_does_not_verify_is_tried_once(
    start: Start,
    lambda_api: LambdaApi,
    tls_index: IndexServer,
    certificates: Certificates,
    other_certificates: Certificates,
    name: str,
) -> None:
    """Further handshakes would fail too, and take the whole timeout of a cold start."""
    tls_index.tls = {
        "another CA": other_certificates.good,
        "wrong host": certificates.other_name,
        "expired": certificates.expired,
    }[name]

    extension = start(
        "users",
        AWS_ENDPOINT_URL_DYNAMODB=tls_index.url,
        AWS_CA_BUNDLE=str(certificates.bundle),
    )
    lambda_api.wait_until_ready()

    assert "TLS with localhost" in _reason(extension)
    assert tls_index.connections == 1


def test_missing_bundle_is_tried_once_and_named(
    start: Start, lambda_api: LambdaApi, tls_index: IndexServer, tmp_path: Path
) -> None:
    path = tmp_path / "no-such-bundle.pem"

    extension = start(
        "users",
        AWS_ENDPOINT_URL_DYNAMODB=tls_index.url,
        AWS_CA_BUNDLE=str(path),
        SERVICE_DISCOVERY_TIMEOUT_MS="5000",
    )
    lambda_api.wait_until_ready()

    assert int(_reason(extension).partition("took_ms=")[2]) < 3_000, "it waits for nothing"
    assert f"AWS_CA_BUNDLE {path} can't be read: no such file or folder" in _reason(extension)
    assert "Errno" not in extension.log()
    assert tls_index.connections == 0


@pytest.mark.parametrize(
    ("kind", "cure"),
    [
        ("AccessDeniedException", "IndexReadPolicyArn"),
        ("ResourceNotFoundException", "SERVICE_DISCOVERY_TABLE"),
        ("ValidationException", ""),
    ],
)
def test_permanent_refusal_is_not_retried(
    start: Start, lambda_api: LambdaApi, index: IndexServer, kind: str, cure: str
) -> None:
    """The log names the policy or the name to check."""
    index.fault = index_server.refuses(kind)

    extension = start("users")
    lambda_api.wait_until_ready()

    assert cure in _reason(extension)
    assert len(index.requests) == 1


def test_unknown_client_is_retried_once(
    start: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    """New credentials may be unknown for a moment."""
    index.fault = index_server.refuses("UnrecognizedClientException")

    extension = start("users")
    lambda_api.wait_until_ready()
    extension.wait_for_log("needs not resolved")

    assert len(index.requests) == 2


def _refuses_once(server: IndexServer, fault: index_server.Fault) -> index_server.Fault:
    def refuse(connection: socket.socket, data: bytes) -> None:
        server.fault = None
        fault(connection, data)

    return refuse


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("UnrecognizedClientException", 400),
        ("RequestThrottled", 400),
        ("RequestThrottledException", 400),
        ("ThrottledException", 400),
        ("PriorRequestNotComplete", 400),
        ("RequestExpired", 400),
        ("RequestTimeout", 408),
        ("SomethingElse", 502),
    ],
)
def test_temporary_refusal_does_not_fail_the_resolve(
    start: Start, lambda_api: LambdaApi, index: IndexServer, kind: str, status: int
) -> None:
    index.publish("users", "1.4.2")
    index.fault = _refuses_once(index, index_server.refuses(kind, status))

    extension = start("users")
    lambda_api.wait_until_ready()

    assert extension.document()["users"]["status"] == "active", extension.log()
    assert len(index.requests) == 2
    assert "WARN" not in extension.log()


def _expires(
    server: IndexServer, ahead: dt.timedelta, code: str, message: str
) -> index_server.Fault:
    """Refuse signatures whose time differs from the time in the server's Date header."""

    def answer(connection: socket.socket, data: bytes) -> None:
        now = dt.datetime.now(dt.UTC) + ahead
        signed = dt.datetime.strptime(server.dates[-1], "%Y%m%dT%H%M%SZ").replace(tzinfo=dt.UTC)
        if abs(now - signed) < dt.timedelta(minutes=5):
            connection.sendall(response_of(200, data))
            return
        body = json.dumps({"__type": f"com.amazon.coral.service#{code}", "message": message})
        head = f"HTTP/1.1 400 X\r\nDate: {format_datetime(now, usegmt=True)}\r\n"
        head += f"Content-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body.encode())

    return answer


@pytest.mark.parametrize("ahead", [_HOUR, -_HOUR, 400 * 24 * _HOUR])
@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("InvalidSignatureException", "Signature expired: 20260101T000000Z is now earlier than"),
        ("InvalidSignatureException", "Signature not yet current: 20260101T000000Z is still later"),
        ("RequestTimeTooSkewed", "The difference between the request time and the time"),
    ],
)
def test_request_is_signed_again_with_the_servers_clock(
    start: Start,
    lambda_api: LambdaApi,
    index: IndexServer,
    ahead: dt.timedelta,
    code: str,
    message: str,
) -> None:
    """A wrong clock costs one more request, in the first resolve only."""
    index.publish("users", "1.4.2")
    index.fault = _expires(index, ahead, code, message)

    extension = start("users")
    lambda_api.wait_until_ready()
    lambda_api.invoke()

    assert extension.document()["users"]["status"] == "active", extension.log()
    assert len(index.requests) == 3
    assert "WARN" not in extension.log()


def test_request_with_a_wrong_secret_is_not_retried(
    start: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    """The server's clock agrees with this one, so a new signature would be wrong, too."""

    def refuse(connection: socket.socket, _data: bytes) -> None:
        message = "The request signature we calculated does not match: TOKEN\nThe Canonical String"
        body = json.dumps({"__type": "x#InvalidSignatureException", "message": message})
        date = format_datetime(dt.datetime.now(dt.UTC), usegmt=True)
        head = f"HTTP/1.1 400 X\r\nDate: {date}\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body.encode())

    index.fault = refuse

    extension = start("users")
    lambda_api.wait_until_ready()

    assert len(index.requests) == 1
    assert "does not match" in _reason(extension)
    assert "TOKEN" not in extension.log()


def test_message_of_the_service_is_shown_on_one_visible_line(
    start: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    """A text from the server cannot add a line to the log, or be invisible there."""

    def refuse(connection: socket.socket, _data: bytes) -> None:
        body = json.dumps({"__type": "x#Odd\r\nCode", "message": "a\u202eb\u200b\x1b[31mc\r\nd"})
        connection.sendall(response_of(400, body.encode()))

    index.fault = refuse

    extension = start("users")
    lambda_api.wait_until_ready()

    extension.wait_for_log("needs not resolved")
    (line,) = extension.log().splitlines()
    assert line.isprintable(), line
    assert "\\u202e" in line
    assert "\\u202e" in extension.document()["users"]["error"]
