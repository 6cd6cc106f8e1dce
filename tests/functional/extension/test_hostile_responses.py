"""Responses of a broken or hostile server: none of them delays the function."""

import contextlib
import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from testing import index_server
from testing.certificates import Certificates
from testing.index_server import Fault, IndexServer
from testing.lambda_api import LambdaApi
from testing.waiting import wait_for
from tests.functional.extension.conftest import Extension, Start

_HEAD = b"HTTP/1.1 200 OK\r\n"
_CHUNKED = _HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


def _endless(head: bytes, piece: bytes) -> Fault:
    def send(connection: socket.socket, _data: bytes) -> None:
        connection.sendall(head)
        while True:
            connection.sendall(piece)

    return send


def _body(text: str) -> Fault:
    response = index_server.response_of(200, text.encode())
    return lambda connection, _: connection.sendall(response)


ENDLESS = {
    "small chunks": _endless(_CHUNKED, b"1\r\nx\r\n" * 2000),
    "headers": _endless(_HEAD, b"X: y\r\n" * 2000),
    "provisional answers": _endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 500),
    "blanks": _endless(b"", b" " * 10_000),
    "trailers": _endless(_CHUNKED + b"0\r\n", b"X: y\r\n" * 2000),
}
ABSURD = {
    "a number of a million digits": _body('{"Responses":' + "9" * 1_000_000 + "}"),
    "nested a hundred thousand deep": _body("[" * 100_000 + "]" * 100_000),
    "objects a hundred thousand deep": _body('{"a":' * 100_000 + "1" + "}" * 100_000),
    "a message that is a tower": _body('{"__type":' + "[" * 9_000 + "]" * 9_000 + "}"),
    "numbers for names": _body('{"Responses":{1:[],2:[]}}'),
    "items that are none": _body('{"Responses":{"ServiceIndex":[null,1,"x",[]]}}'),
    "a list for responses": _body('{"Responses":[],"UnprocessedKeys":[1]}'),
    "an empty body": _body(""),
}


def _has_recovered(lambda_api: LambdaApi, extension: Extension) -> bool:
    lambda_api.invoke()
    return "needs resolved again" in extension.log()


@pytest.mark.parametrize("name", ENDLESS | ABSURD)
def test_absurd_response_ends_at_the_deadline(
    start: Start, lambda_api: LambdaApi, index: IndexServer, name: str
) -> None:
    """The deadline applies even if the peer sends fast, and the parsers have limits."""
    index.publish("users", "1.0.0")
    index.fault = (ENDLESS | ABSURD)[name]

    extension = start("users", SERVICE_DISCOVERY_TIMEOUT_MS="300")
    lambda_api.wait_until_ready()

    assert extension.document()["users"]["status"] == "unavailable"
    (line,) = [each for each in extension.log().splitlines() if " INFO " not in each]
    assert " WARN service-discovery: needs not resolved " in line
    index.fault = None
    wait_for(lambda: _has_recovered(lambda_api, extension), "the recovery")


@pytest.mark.parametrize("name", ENDLESS)
def test_signal_ends_a_long_response(start: Start, index: IndexServer, name: str) -> None:
    """SIGTERM ends the process while a response arrives."""
    index.fault = ENDLESS[name]
    extension = start("users", SERVICE_DISCOVERY_TIMEOUT_MS="30000")
    wait_for(lambda: bool(index.requests), "the first resolve")

    os.kill(extension.process.pid, signal.SIGTERM)

    assert extension.wait_for_exit() == 0


def test_secrets_in_a_response_are_not_logged(
    start: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    """If a signature is wrong, AWS's response repeats all signed headers, with the token."""
    message = (
        "The request signature we calculated does not match for AKIDWXYZ, SECRETWXYZ, TOKENWXYZ.\n"
        "\nThe Canonical String for this request should have been\n'POST\n/\n\n"
        "x-amz-security-token:TOKENWXYZ\n'"
    )
    kind = "com.amazon.coral.service#InvalidSignatureException"
    body = json.dumps({"__type": kind, "message": message}).encode()
    index.unchecked_fault = lambda connection, _: connection.sendall(
        index_server.response_of(400, body)
    )

    extension = start(
        "users",
        AWS_ACCESS_KEY_ID="AKIDWXYZ",
        AWS_SECRET_ACCESS_KEY="SECRETWXYZ",
        AWS_SESSION_TOKEN="TOKENWXYZ",
        SERVICE_DISCOVERY_LOG_LEVEL="DEBUG",
    )
    lambda_api.wait_until_ready()
    lambda_api.invoke()

    seen = extension.log() + extension.services_file.read_text()
    assert "InvalidSignatureException" in extension.document()["users"]["error"]
    assert "does not match" in seen
    assert "WXYZ" not in seen
    assert "x-amz" not in seen


def test_missing_credentials_fail_at_once(
    start: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    """Further attempts would take the whole timeout of every cold start."""
    extension = start(
        "users",
        AWS_ACCESS_KEY_ID="",
        AWS_SECRET_ACCESS_KEY="",
        AWS_SESSION_TOKEN="",
        SERVICE_DISCOVERY_TIMEOUT_MS="30000",
    )
    # Well before the timeout.
    lambda_api.wait_until_ready()

    assert "no credentials" in extension.document()["users"]["error"]
    assert "AWS_ACCESS_KEY_ID" in extension.log()
    assert "table ServiceIndex in eu-west-1" in extension.log()
    assert index.connections == 0


def _once(index: IndexServer, fault: Fault) -> Fault:
    def answer(connection: socket.socket, data: bytes) -> None:
        index.fault = None
        fault(connection, data)

    return answer


def _page(status: int) -> Fault:
    response = index_server.response_of(status, b"<html>Slow down</html>")
    return lambda connection, _: connection.sendall(response)


PASSING: dict[str, Fault] = {
    "throttled": index_server.refuses("ThrottlingException"),
    "throughput exceeded": index_server.refuses("ProvisionedThroughputExceededException"),
    "request limit": index_server.refuses("RequestLimitExceeded"),
    "a proxy's 429": _page(429),
    "a proxy's 502": _page(502),
    "500": index_server.refuses("InternalServerError", 500),
    "503": index_server.refuses("ServiceUnavailable", 503),
    "reset": index_server.reset,
    "hung up": index_server.hang_up,
    "cut": index_server.cut,
    "garbage": index_server.garbage,
}


@pytest.mark.parametrize("name", PASSING)
def test_temporary_failure_is_retried_within_the_timeout(
    start: Start, lambda_api: LambdaApi, index: IndexServer, name: str
) -> None:
    """A short failure of the network or the table does not fail the resolve."""
    index.publish("users", "1.0.0")
    index.fault = _once(index, PASSING[name])

    extension = start("users", SERVICE_DISCOVERY_TIMEOUT_MS="20000")
    lambda_api.wait_until_ready()

    assert extension.document()["users"]["version"] == "1.0.0"
    assert len(index.requests) == 2
    assert "WARN" not in extension.log()


@pytest.mark.parametrize("kind", ["AccessDeniedException", "ResourceNotFoundException"])
def test_refusal_is_not_retried(
    start: Start, lambda_api: LambdaApi, index: IndexServer, kind: str
) -> None:
    """A lasting refusal costs a cold start one round trip."""
    index.fault = index_server.refuses(kind)

    start("users", SERVICE_DISCOVERY_TIMEOUT_MS="20000")
    lambda_api.wait_until_ready()

    assert len(index.requests) == 1


def test_response_may_have_the_tables_plain_name(
    start: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    """The request has the table's ARN."""
    arn = "arn:aws:dynamodb:eu-west-1:123456789012:table/ServiceIndex"
    index.publish("users", "1.0.0")

    def rename(connection: socket.socket, data: bytes) -> None:
        connection.sendall(
            index_server.response_of(200, data.replace(arn.encode(), b"ServiceIndex"))
        )

    index.fault = rename
    extension = start("users", SERVICE_DISCOVERY_TABLE=arn)
    lambda_api.wait_until_ready()

    assert extension.document()["users"]["version"] == "1.0.0"


def test_response_without_processed_keys_may_lack_the_table(
    start: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    """The keys are asked for again, and no service is missing."""
    index.publish("users", "1.0.0")
    left = {"service": {"S": "users"}, "selector": {"S": "latest"}}
    document = {"Responses": {}, "UnprocessedKeys": {"ServiceIndex": {"Keys": [left]}}}
    index.fault = _once(index, _body(json.dumps(document)))

    extension = start("users", SERVICE_DISCOVERY_TIMEOUT_MS="20000")
    lambda_api.wait_until_ready()

    assert extension.document()["users"]["version"] == "1.0.0"
    assert "missing" not in extension.log()


def test_response_without_the_table_makes_no_service_missing(
    start_resolved: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    extension = start_resolved("users", SERVICE_DISCOVERY_TIMEOUT_MS="300")
    for text in ('{"Responses":{}}', '{"Responses":{"Other":[]}}', "{}"):
        index.fault = _body(text)
        lambda_api.invoke()

        assert extension.document()["users"]["status"] == "active"


def test_malformed_item_costs_only_its_own_need(
    start: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    """Only one answer is missing, and the log names the attribute."""
    index.publish("good", "1.0.0")
    index.publish("bad", "1.0.0", status={"S": "happy"})
    index.publish("odd", "one")

    extension = start("good,bad,least:odd>=1")
    lambda_api.wait_until_ready()

    document = extension.document()
    assert document["good"]["status"] == "active"
    assert "'status' is 'happy'" in document["bad"]["error"]
    assert "malformed" in document["least"]["error"]
    assert extension.services_file.stat().st_mtime == 0


def test_one_call_of_three_that_fails_costs_only_its_own_needs(
    start: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    """With more than a hundred needs, the answers of the other calls count."""
    for number in range(250):
        index.publish(f"s{number}", f"1.0.{number}")

    def refuse_the_second(connection: socket.socket, data: bytes) -> None:
        if len(index.requests) == 2:
            index_server.refuses("AccessDeniedException")(connection, data)
        else:
            connection.sendall(index_server.response_of(200, data))

    index.fault = refuse_the_second
    extension = start(",".join(f"s{number}" for number in range(250)))
    lambda_api.wait_until_ready()

    statuses = [member["status"] for member in extension.document().values()]
    assert statuses.count("active") == 100
    assert statuses.count("unavailable") == 150
    assert extension.services_file.stat().st_mtime == 0


def test_many_needs_with_one_key_are_asked_for_once(
    start: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    """A call has up to a hundred distinct keys, for any number of needs."""
    index.publish("users", "1.9.0", selector="1.x")
    needs = ",".join(f"n{number}:users~=1.{number % 3}" for number in range(150))

    extension = start(needs)
    lambda_api.wait_until_ready()

    ((keys,),) = [
        [each["Keys"] for each in request["RequestItems"].values()] for request in index.requests
    ]
    assert len(keys) == 1
    assert {each["version"] for each in extension.document().values()} == {"1.9.0"}


def test_strict_init_with_a_partial_response_fails(
    start: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    """The error names only the needs that stayed unprocessed."""
    index.publish("a", "1.0.0")
    index.publish("b", "1.0.0")
    index.unprocessed = 1

    extension = start("a,b", SERVICE_DISCOVERY_STRICT="true", SERVICE_DISCOVERY_TIMEOUT_MS="300")

    assert extension.wait_for_exit() == 1
    (error,) = lambda_api.posted("init/error")
    # The table may answer either of the two first.
    assert error["errorMessage"].count("left it unprocessed") == 1
    (headers,) = [headers for path, headers, _ in lambda_api.calls if path == "init/error"]
    assert headers["lambda-extension-function-error-type"] == "Extension.ResolveError"


def test_variable_that_is_no_text_fails_the_init_with_its_name(
    start: Start, lambda_api: LambdaApi
) -> None:
    """A variable that is not UTF-8 is a configuration error."""
    extension = start(os.fsdecode(b"users,\xff\xfe"), SERVICES_FILE="x")

    assert extension.wait_for_exit() == 1
    (error,) = lambda_api.posted("init/error")
    assert "NEEDED_SERVICES: it is not UTF-8" in error["errorMessage"]
    assert "SERVICES_FILE: 'x'" in error["errorMessage"]


@pytest.mark.parametrize("is_named", [True, False])
def test_address_must_be_in_the_certificate(
    start: Start,
    lambda_api: LambdaApi,
    certificates: Certificates,
    is_named: bool,  # noqa: FBT001
) -> None:
    """A certificate is verified for a numeric address, too."""
    context = certificates.good if is_named else certificates.other_name
    server = IndexServer(tls=context, name="127.0.0.1")
    server.publish("users", "1.0.0")

    extension = start(
        "users",
        AWS_ENDPOINT_URL_DYNAMODB=server.url,
        AWS_CA_BUNDLE=str(certificates.bundle),
        SERVICE_DISCOVERY_TIMEOUT_MS="5000" if is_named else "300",
    )
    lambda_api.wait_until_ready()
    server.close()

    expected = "active" if is_named else "unavailable"
    assert extension.document()["users"]["status"] == expected
    assert bool(server.requests) is is_named


@pytest.fixture
def silent_name_server(tmp_path: Path) -> Iterator[list[str]]:
    """Return the command that starts a process whose name server never responds."""
    configuration = tmp_path / "resolv.conf"
    address = f"127.9.{os.getpid() % 250}.9"
    configuration.write_text(f"nameserver {address}\n")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        # If another user has the port, no server responds there either.
        with contextlib.suppress(PermissionError):
            server.bind((address, 53))
        enter = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'
        namespace = ["unshare", "--user", "--map-root-user", "--mount"]
        yield [*namespace, "sh", "-c", enter, str(configuration)]


def test_silent_name_server_ends_at_the_deadline(
    start: Start, lambda_api: LambdaApi, silent_name_server: list[str]
) -> None:
    """The C library's look-up blocks for ten seconds, in a thread."""
    extension = start(
        "users",
        *silent_name_server,
        AWS_ENDPOINT_URL_DYNAMODB="http://registry.example",
        SERVICE_DISCOVERY_TIMEOUT_MS="300",
    )
    began = time.monotonic()
    lambda_api.wait_until_ready()
    lambda_api.invoke()
    assert time.monotonic() - began < 5
    assert extension.document()["users"]["status"] == "unavailable"

    lambda_api.shut_down()

    assert extension.wait_for_exit() == 0


def test_signal_is_heard_while_a_name_is_looked_up(
    start: Start, lambda_api: LambdaApi, silent_name_server: list[str]
) -> None:
    """The look-up's thread does not delay the end of the process."""
    extension = start(
        "users",
        *silent_name_server,
        AWS_ENDPOINT_URL_DYNAMODB="http://registry.example",
        SERVICE_DISCOVERY_TIMEOUT_MS="30000",
    )
    wait_for(lambda: bool(lambda_api.posted("register")), "the registration")
    threads = Path(f"/proc/{extension.process.pid}/task")
    wait_for(lambda: len(list(threads.iterdir())) > 1, "the look-up's thread")

    os.kill(extension.process.pid, signal.SIGTERM)

    assert extension.wait_for_exit() == 0
