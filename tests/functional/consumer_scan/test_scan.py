"""The scan function records the consumers that it finds or gets."""

import contextlib
import importlib
import io
import json
import logging
import socket
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError
from urllib3 import HTTPResponse

from consumer_scan.requests import ScanRequestError
from testing import tables
from testing.aws import aws
from testing.functions import REGION, SECRET, change_needs, create_function

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_lambda import LambdaClient

PREFIX = "123456789012:eu-west-1:"
_TRACE = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
Scan = Callable[..., dict[str, Any]]


class Context:
    """The parts of Lambda's context that the function reads."""

    function_name = "consumer-scan"
    memory_limit_in_mb = 512
    invoked_function_arn = "arn:aws:lambda:eu-west-1:123456789012:function:consumer-scan"
    aws_request_id = "request"


@pytest.fixture
def dynamodb(monkeypatch: pytest.MonkeyPatch) -> Iterator["DynamoDBClient"]:
    monkeypatch.setenv("CONSUMERS_TABLE", tables.CONSUMERS)
    with aws() as client:
        yield client


@pytest.fixture
def functions(dynamodb: "DynamoDBClient") -> "LambdaClient":  # noqa: ARG001  # moto is on
    return boto3.client("lambda", region_name=REGION)


@pytest.fixture
def scan(dynamodb: "DynamoDBClient") -> Scan:  # noqa: ARG001  # moto is on
    sys.modules.pop("consumer_scan.handler", None)
    handler = importlib.import_module("consumer_scan.handler").handler

    def invoke(**event: Any) -> dict[str, Any]:
        result: dict[str, Any] = handler(event, Context())
        return result

    return invoke


def _heads(client: "DynamoDBClient") -> dict[str, str]:
    items = client.scan(TableName=tables.CONSUMERS)["Items"]
    return {item["consumer"]["S"]: item["needed"]["S"] for item in items if "needed" in item}


def test_scan_records_what_the_accounts_functions_need(
    functions: "LambdaClient", scan: Scan, dynamodb: "DynamoDBClient"
) -> None:
    create_function(functions, "orders", "users==1.x")
    create_function(functions, "idle", None)

    summary = scan(source="aws.events")

    assert summary == {
        "functions": 2,
        "written": 1,
        "unchanged": 0,
        "declared": 0,
        "removed": 0,
    }
    assert _heads(dynamodb) == {f"{PREFIX}orders": "users==1.x"}


def test_scan_follows_functions_that_change_and_go(
    functions: "LambdaClient", scan: Scan, dynamodb: "DynamoDBClient"
) -> None:
    for name in ("changes", "goes", "stays", "stops"):
        create_function(functions, name, "users==1.x")
    scan()
    change_needs(functions, "changes", "users==2.x")
    change_needs(functions, "stops", None)
    functions.delete_function(FunctionName="goes")

    summary = scan()

    assert summary["removed"] == 2
    assert _heads(dynamodb) == {f"{PREFIX}changes": "users==2.x", f"{PREFIX}stays": "users==1.x"}


def test_record_stays_if_the_needs_can_not_be_read_any_more(
    functions: "LambdaClient", scan: Scan, dynamodb: "DynamoDBClient"
) -> None:
    create_function(functions, "orders", "users==1.x")
    scan()
    change_needs(functions, "orders", "users=1.2")

    scan()

    assert _heads(dynamodb) == {f"{PREFIX}orders": "users==1.x"}


def test_nothing_but_the_needs_is_stored_logged_or_traced(
    functions: "LambdaClient",
    dynamodb: "DynamoDBClient",
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    """With `LogLevel` DEBUG Lambda's runtime gives that level to every logger, botocore's too."""
    create_function(functions, "orders", "users==1.x")
    create_function(functions, "broken", "users=1.2")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as daemon:
        daemon.bind(("127.0.0.1", 0))
        daemon.settimeout(0)
        monkeypatch.setenv("AWS_XRAY_DAEMON_ADDRESS", f"127.0.0.1:{daemon.getsockname()[1]}")
        monkeypatch.setenv("LAMBDA_TASK_ROOT", "/var/task")
        monkeypatch.setenv("_X_AMZN_TRACE_ID", _TRACE)
        caplog.set_level(logging.NOTSET, "botocore")
        scan: Scan = request.getfixturevalue("scan")
        caplog.set_level(logging.DEBUG)
        caplog.clear()

        scan()

        traced = b""
        with contextlib.suppress(BlockingIOError):
            while True:
                traced += daemon.recv(65_536)
    logged = caplog.text + repr([vars(record) for record in caplog.records])
    assert "function not read" in logged
    assert SECRET not in logged
    assert SECRET.encode() not in traced
    assert SECRET not in json.dumps(dynamodb.scan(TableName=tables.CONSUMERS)["Items"])


def test_throttled_listing_is_tried_again(
    functions: "LambdaClient", scan: Scan, dynamodb: "DynamoDBClient"
) -> None:
    """Lambda's control plane allows 15 requests a second in the whole account."""
    create_function(functions, "orders", "users==1.x")
    refusals = iter([True, True])

    def refuse(request: Any, **_: object) -> AWSResponse | None:
        if not next(refusals, False):
            return None
        body = io.BytesIO(b'{"Type": "User", "message": "Rate exceeded"}')
        headers: Any = {"x-amzn-ErrorType": "TooManyRequestsException"}
        return AWSResponse(request.url, 429, headers, HTTPResponse(body, preload_content=False))

    events = sys.modules["consumer_scan.handler"]._lambda.meta.events
    events.register_first("before-send.lambda.ListFunctions", refuse)

    summary = scan()

    assert next(refusals, None) is None
    assert (summary["functions"], summary["written"]) == (1, 1)
    assert _heads(dynamodb) == {f"{PREFIX}orders": "users==1.x"}


def test_scan_that_does_not_come_to_its_end_removes_nothing(
    functions: "LambdaClient",
    scan: Scan,
    dynamodb: "DynamoDBClient",
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    create_function(functions, "orders", "users==1.x")
    scan()
    functions.delete_function(FunctionName="orders")
    refusal = ClientError({"Error": {"Code": "AccessDenied", "Message": ""}}, "ListFunctions")

    def refuse(*_arguments: object) -> None:
        raise refusal

    monkeypatch.setattr(sys.modules["consumer_scan.handler"], "list_consumers", refuse)

    with pytest.raises(ClientError):
        scan()

    assert _heads(dynamodb) == {f"{PREFIX}orders": "users==1.x"}


def test_operator_records_the_functions_of_another_account(
    scan: Scan, dynamodb: "DynamoDBClient"
) -> None:
    """Of that account's consumers, those that the scan no longer lists are removed."""
    scope = {"account_id": "210987654321", "region": "us-east-1"}
    prefix = "210987654321:us-east-1:"

    def found(name: str) -> dict[str, str]:
        return {"name": prefix + name, "needed": "users", "arn": "arn:aws:lambda:::" + name}

    scan(action="record", consumers=[found("a"), found("b")], **scope)
    own = {"name": f"{PREFIX}c", "needed": "users", "arn": "arn:aws:lambda:::c"}
    scan(action="record", consumers=[own], account_id="123456789012", region="eu-west-1")

    summary = scan(action="remove-gone", present=[prefix + "a"], **scope)

    assert summary["removed"] == 1
    assert set(_heads(dynamodb)) == {prefix + "a", f"{PREFIX}c"}


@pytest.mark.parametrize(
    ("event", "fault"),
    [
        ({"action": "remove"}, "'action' is 'remove'"),
        ({"action": "record", "region": "eu-west-1"}, "'account_id' is None"),
        ({"action": "record", "account_id": "1", "region": "eu-west-1"}, "'account_id' is '1'"),
        (
            {"action": "record", "account_id": "123456789012", "region": "x"},
            "'region' is 'x'",
        ),
        (
            {"action": "record", "account_id": "123456789012", "region": "eu-west-1"},
            "'consumers' should be a list",
        ),
        (
            {
                "action": "record",
                "account_id": "123456789012",
                "region": "eu-west-1",
                "consumers": [{"name": "orders", "needed": "users", "arn": ""}],
            },
            "it should start with '123456789012:eu-west-1:'",
        ),
        (
            {
                "action": "record",
                "account_id": "123456789012",
                "region": "eu-west-1",
                "consumers": [{"name": f"{PREFIX}orders", "needed": "users=1", "arn": ""}],
            },
            "unknown operator '='",
        ),
        (
            {
                "action": "record",
                "account_id": "123456789012",
                "region": "eu-west-1",
                "consumers": [
                    {
                        "name": f"{PREFIX}orders",
                        "needed": ",".join(f"s{number}" for number in range(1_001)),
                        "arn": "",
                    }
                ],
            },
            "1,000 can be recorded",
        ),
    ],
)
def test_malformed_request_is_refused_with_the_member_at_fault(
    scan: Scan, dynamodb: "DynamoDBClient", event: dict[str, Any], fault: str
) -> None:
    with pytest.raises(ScanRequestError, match=fault):
        scan(**event)

    assert _heads(dynamodb) == {}
