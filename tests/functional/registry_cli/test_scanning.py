"""`consumers scan`, with the recording function behind Lambda's API."""

import importlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from testing import tables
from testing.aws import renew_tables
from testing.stream_world import items_of, lambda_context
from tests.functional.http_gateway import REGION, HttpGateway
from tests.functional.registry_cli.aws_server import ACCOUNT, AwsServer
from tests.functional.registry_cli.conftest import Run, silence

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_SECRET = "not-to-be-kept"


def function(name: str, needed: str | None, version: str = "$LATEST") -> dict[str, Any]:
    """Return a function as ListFunctions has it."""
    own = {} if needed is None else {"NEEDED_SERVICES": needed}
    return {
        "FunctionName": name,
        "FunctionArn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}:{version}",
        "Version": version,
        "Environment": {"Variables": {"PASSWORD": _SECRET, **own}},
    }


@pytest.fixture(autouse=True)
def _scan_function(
    one_dynamodb: "DynamoDBClient", aws_server: AwsServer, environment: pytest.MonkeyPatch
) -> Iterator[None]:
    """Add the stack's function, and some functions of the account."""
    environment.setenv("CONSUMERS_TABLE", tables.CONSUMERS)
    with environment.context() as patch:
        patch.delenv("AWS_ENDPOINT_URL")
        patch.setenv("AWS_DEFAULT_REGION", REGION)
        module = importlib.reload(importlib.import_module("consumer_scan.handler"))
    silence(module, environment)
    aws_server.invoke = lambda payload: module.handler(payload, lambda_context(900))
    aws_server.functions = [
        function("orders", "users==1.x,billing"),
        function("orders", "users==0.x", "1"),
        function("mail", "users=1"),
        function("plain", None),
    ]
    assert one_dynamodb.list_tables()["TableNames"]
    yield
    renew_tables()


_ORDERS = f"{ACCOUNT}:{REGION}:orders"


def test_needs_of_all_functions_are_recorded(
    run: Run, one_dynamodb: "DynamoDBClient", aws_server: AwsServer, gateway: HttpGateway
) -> None:
    """Versions and aliases whose needs differ have records of their own."""
    ended = run("consumers", "scan", "--json")

    document = ended.document
    assert ended.status == 0
    assert (document["functions"], document["written"], document["removed"]) == (3, 3, 0)
    assert {each["consumer"]: each["needed"] for each in document["consumers"]} == {
        _ORDERS: "users==1.x,billing",
        f"{_ORDERS}:1": "users==0.x",
        f"{_ORDERS}:live": "users==0.x",
    }
    assert _ORDERS in str(items_of(one_dynamodb, tables.CONSUMERS))
    assert aws_server.invoked == ["ConsumerScanFunction"] * 2
    sent = b"".join(each.body for each in gateway.requests)
    assert _SECRET.encode() not in sent
    assert _SECRET not in ended.out + ended.err


def test_malformed_variable_is_a_warning_and_loses_nothing_else(run: Run) -> None:
    ended = run("consumers", "scan")

    assert ended.status == 0
    assert "3 functions, 3 consumers, 3 written" in ended.out
    assert f"Warning: {ACCOUNT}:{REGION}:mail: NEEDED_SERVICES is malformed" in ended.err
    assert "1 function read" in ended.err


def test_records_of_a_deleted_function_are_removed(run: Run, aws_server: AwsServer) -> None:
    run("consumers", "scan")
    aws_server.functions = aws_server.functions[2:]

    assert run("consumers", "scan", "--json").document["removed"] == 3


def test_dry_run_records_nothing(run: Run, aws_server: AwsServer) -> None:
    ended = run("consumers", "scan", "--dry-run")

    assert "3 functions, 3 consumers\n" in ended.out
    assert aws_server.payloads == []


def test_functions_of_another_region_are_recorded_in_this_registry(
    run: Run, aws_server: AwsServer
) -> None:
    run("consumers", "scan", "--functions-region", "us-east-1")

    assert {each["region"] for each in aws_server.payloads} == {"us-east-1"}
    assert {each["account_id"] for each in aws_server.payloads} == {ACCOUNT}


def test_missing_right_to_list_functions_is_named(run: Run, aws_server: AwsServer) -> None:
    """Nothing is removed, since the list is not complete."""
    aws_server.denied = {"ListFunctions"}

    ended = run("consumers", "scan")

    assert (ended.status, ended.out) == (1, "")
    assert "lambda:ListFunctions on *" in ended.err
    assert aws_server.payloads == []
