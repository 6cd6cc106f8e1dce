"""Every fault of networks and services, at init and on INVOKE, over verified TLS.

With each of them the extension keeps running, the file is right, the deadline is kept, the log has
one clear line, and the extension recovers when the fault ends.
"""

import re
import socket
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from testing import index_server
from testing.certificates import Certificates
from testing.index_server import Fault, IndexServer
from testing.lambda_api import LambdaApi
from testing.waiting import wait_for
from tests.functional.extension.conftest import Extension, Start

_TIMEOUT_MS = 600
# Much more than 600 ms, for busy machines, but much less than any of the faults would take.
_ENDS_WITHIN_MS = 5_000


@dataclass(frozen=True)
class Case:
    """A fault: how it begins, and what the log line must contain."""

    begin: Callable[[IndexServer, Certificates, Certificates], None]
    message: str


def _responds(fault: Fault, message: str) -> Case:
    """Return a case whose fault is in the response."""

    def begin(server: IndexServer, *_: Certificates) -> None:
        server.fault = fault

    return Case(begin, message)


def _connecting(fault: Fault, message: str) -> Case:
    """Return a case whose fault begins when a client connects."""

    def begin(server: IndexServer, *_: Certificates) -> None:
        server.at_connect = fault
        server.drop()

    return Case(begin, message)


def _refusing(kind: str, status: int = 400) -> Case:
    message = f"response of localhost:.*: status {status}, {kind}: said {kind}"
    return _responds(index_server.refuses(kind, status), message)


def _forbid(connection: socket.socket, _data: bytes) -> None:
    connection.sendall(index_server.response_of(403, b"<html>\r\nForbidden</html>"))


def _refuse(server: IndexServer, *_: Certificates) -> None:
    server.close()


def _vanish(server: IndexServer, *_: Certificates) -> None:
    server.vanish()


def _leave_unprocessed(server: IndexServer, *_: Certificates) -> None:
    server.unprocessed = 1


def _use_another_ca(server: IndexServer, _: Certificates, other: Certificates) -> None:
    server.tls = other.good
    server.drop()


def _use_another_host_name(server: IndexServer, own: Certificates, _: Certificates) -> None:
    server.tls = own.other_name
    server.drop()


def _use_expired_certificate(server: IndexServer, own: Certificates, _: Certificates) -> None:
    server.tls = own.expired
    server.drop()


_SILENT = "response of localhost:\\d+: no response in time"
_BROKEN = "response of localhost:\\d+: .*(truncated|reset|closed)"
CASES = {
    "refused": Case(_refuse, "connection to localhost:\\d+: connection refused .*VPC"),
    "unreachable": Case(_vanish, "connection to localhost:\\d+: no response in time .*VPC"),
    "accepted and silent": _connecting(index_server.silence, "TLS with .*: no response in time"),
    "no TLS": _connecting(index_server.no_tls, "TLS with localhost:\\d+: "),
    "handshake cut": _connecting(index_server.hang_up, "TLS with .*: connection (closed|reset)"),
    "another CA": Case(_use_another_ca, "TLS with .*(?i:certificate).*AWS_CA_BUNDLE"),
    "wrong host name": Case(_use_another_host_name, "TLS with .*(?i:certificate|hostname)"),
    "expired certificate": Case(_use_expired_certificate, "TLS with .*(?i:certificate)"),
    "asked and silent": _responds(index_server.silence, _SILENT),
    "asked and gone": _responds(index_server.hang_up, _BROKEN),
    "reset in mid-answer": _responds(index_server.reset, _BROKEN),
    "cut in mid-answer": _responds(index_server.cut, "truncated"),
    "cut between chunks": _responds(index_server.cut_chunks, "truncated"),
    "slow drip": _responds(index_server.drip, _SILENT),
    "length too long": _responds(index_server.promise_more, _SILENT),
    "length too short": _responds(index_server.send_more, "malformed"),
    "garbage": _responds(index_server.garbage, "not HTTP"),
    "truncated document": _responds(index_server.cut_json, "malformed"),
    "no document": _responds(index_server.not_json, "malformed"),
    "throttled": _refusing("ProvisionedThroughputExceededException"),
    "too many requests": _refusing("ThrottlingException", 429),
    "throttled request": _refusing("RequestThrottled"),
    "throttled by exception": _refusing("ThrottledException"),
    "prior request": _refusing("PriorRequestNotComplete"),
    "expired token": _refusing("ExpiredTokenException"),
    "expired signature": _refusing("RequestExpired"),
    "unknown client": _refusing("UnrecognizedClientException"),
    "access denied": _refusing("AccessDeniedException"),
    "no such table": _refusing("ResourceNotFoundException"),
    "request timeout": _refusing("RequestTimeout", 408),
    "page of a proxy": _responds(_forbid, "response of localhost:.*: status 403"),
    "500": _refusing("InternalServerError", 500),
    "503": _refusing("ServiceUnavailable", 503),
    "unprocessed for ever": Case(_leave_unprocessed, "left it unprocessed"),
}


@pytest.fixture
def registry(tls_index: IndexServer) -> IndexServer:
    """Return an index with two services."""
    tls_index.publish("users", "1.0.0")
    tls_index.publish("billing", "2.0.0")
    return tls_index


@pytest.mark.parametrize("moment", ["init", "INVOKE"])
@pytest.mark.parametrize("name", CASES)
def test_extension_survives_and_recovers_from_each_fault(
    start: Start,
    lambda_api: LambdaApi,
    registry: IndexServer,
    certificates: Certificates,
    other_certificates: Certificates,
    name: str,
    moment: str,
) -> None:
    """The extension keeps running, keeps the deadline, logs one clear line and recovers."""
    case = CASES[name]
    if moment == "init":
        case.begin(registry, certificates, other_certificates)
    extension = start(
        "users,billing",
        AWS_ENDPOINT_URL_DYNAMODB=registry.url,
        AWS_CA_BUNDLE=str(certificates.bundle),
        SERVICE_DISCOVERY_TIMEOUT_MS=str(_TIMEOUT_MS),
    )
    lambda_api.wait_until_ready()

    if moment == "init":
        _assert_unavailable_members(extension, name)
    else:
        before = _file(extension)
        case.begin(registry, certificates, other_certificates)
        lambda_api.invoke()
        assert _file(extension) == before, "a failed check keeps the file, its time included"
    _assert_one_clear_line(extension, case.message)
    _end_fault(registry, certificates)
    wait_for(lambda: _has_recovered(lambda_api, extension), "the recovery")

    assert extension.is_running()
    assert {member["status"] for member in extension.document().values()} == {"active"}
    assert extension.services_file.stat().st_mtime > 0
    assert extension.log().count("needs resolved again") == 1
    for secret in ("SECRET", "TOKEN", "Signature"):
        assert secret not in extension.log()


def _end_fault(server: IndexServer, certificates: Certificates) -> None:
    server.fault = server.at_connect = None
    server.unprocessed = 0
    server.tls = certificates.good
    server.reopen()


def _file(extension: Extension) -> tuple[bytes, int]:
    return extension.services_file.read_bytes(), extension.services_file.stat().st_mtime_ns


def _assert_unavailable_members(extension: Extension, name: str) -> None:
    document = extension.document()
    expected = {"unavailable"} | ({"active"} if name == "unprocessed for ever" else set())
    assert {member["status"] for member in document.values()} == expected
    assert all("error" in each for each in document.values() if each["status"] != "active")
    assert extension.services_file.stat().st_mtime == 0
    assert extension.services_file.stat().st_mode & 0o7777 == 0o644


def _assert_one_clear_line(extension: Extension, message: str) -> None:
    """Check that one line has the table, the Region, the stage and the duration."""
    (line,) = [each for each in extension.log().splitlines() if " INFO " not in each]
    assert " WARN service-discovery: needs not resolved " in line
    assert re.search(message, line), line
    assert "table ServiceIndex in eu-west-1" in line
    (took_ms,) = re.findall(r"took_ms=(\d+)", line)
    assert int(took_ms) < _ENDS_WITHIN_MS


def _has_recovered(lambda_api: LambdaApi, extension: Extension) -> bool:
    lambda_api.invoke()
    return "needs resolved again" in extension.log()


def _close_client_connections(server: IndexServer) -> None:
    server.drop()


def _leave_one_unprocessed_once(server: IndexServer) -> None:
    def leave(connection: socket.socket, data: bytes) -> None:
        connection.sendall(index_server.response_of(200, data))
        server.unprocessed = 0
        server.fault = None

    server.unprocessed = 1
    server.fault = leave


def _responding(fault: Fault) -> Callable[[IndexServer], None]:
    def begin(server: IndexServer) -> None:
        server.fault = fault

    return begin


ODDITIES: dict[str, Callable[[IndexServer], None]] = {
    "idle connection closed": _close_client_connections,
    "chunked": _responding(index_server.chunked),
    "closed after each response": _responding(index_server.closes_after),
    "unprocessed once": _leave_one_unprocessed_once,
}


@pytest.mark.parametrize("name", ODDITIES)
def test_unusual_but_valid_response_is_no_fault(
    start: Start,
    lambda_api: LambdaApi,
    registry: IndexServer,
    certificates: Certificates,
    name: str,
) -> None:
    """Unusual responses that HTTP and DynamoDB allow are accepted."""
    ODDITIES[name](registry)
    extension = start(
        "users,billing",
        AWS_ENDPOINT_URL_DYNAMODB=registry.url,
        AWS_CA_BUNDLE=str(certificates.bundle),
    )
    lambda_api.wait_until_ready()
    for number in range(3):
        registry.publish("users", f"1.{number}.0", revision=number + 1)
        ODDITIES[name](registry)
        lambda_api.invoke()

        assert extension.document()["users"]["version"] == f"1.{number}.0"

    assert extension.document()["billing"]["status"] == "active"
    assert "WARN" not in extension.log()
