"""The listings of docs/recipes.md, run against AWS's own SDKs and the emulator."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from service_discovery.testing import services

from local.emulator import ACCOUNT, REGION, Emulator, credentials, emulator
from local.services import deploy_service
from testing import node_packages
from tests.conftest import ROOT
from tests.docs.listings import listings

_RECIPES = listings(ROOT / "docs/recipes.md")
_GONE = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:gone:7"


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """Run an emulator without the app: these tests only call functions."""
    with emulator(tmp_path_factory.mktemp("recipes") / "aws") as found:
        yield found


@pytest.fixture(scope="module")
def users(aws: Emulator) -> str:
    """Return the ARN of a function version that can be called."""
    return deploy_service(aws, "users", "1.4.2")


def _listing(language: str, contains: str) -> str:
    (found,) = [
        each.text for each in _RECIPES if each.language == language and contains in each.text
    ]
    return found


def _client(aws: Emulator, service: Any) -> Any:
    return boto3.client(
        service,
        region_name=REGION,
        endpoint_url=aws.url,
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )


def _environment(aws: Emulator) -> dict[str, str]:
    return {
        **credentials(),
        "AWS_ENDPOINT_URL": aws.url,
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT / "helpers/python"),
        "SERVICES_FILE": os.environ["SERVICES_FILE"],
    }


def _run(aws: Emulator, *command: str) -> str:
    """Run a command with the emulator's AWS; return its output."""
    return subprocess.run(
        command,
        env=_environment(aws),
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
    ).stdout


def _python(aws: Emulator, listing: str, program: str) -> str:
    """Run a listing with a program after it; return its output."""
    return _run(aws, sys.executable, "-c", f"{listing}\n{program}")


def test_boto3_recipe_returns_the_result_or_raises(aws: Emulator, users: str) -> None:
    listing = _listing("python", 'raise RuntimeError(f"{name} failed: {document}")\n    return')
    program = """
print(json.dumps(call("users", {"id": 7})))
try:
    call("users", {"fail": True})
except RuntimeError as error:
    print(error)
"""
    with services({"users": users}):
        answer, failure = _python(aws, listing, program).splitlines()

    assert json.loads(answer)["name"] == "Ada"
    assert "users failed: " in failure
    assert "as asked for" in failure


def test_javascript_recipe_returns_the_result_or_throws(
    aws: Emulator, users: str, tmp_path: Path
) -> None:
    modules = tmp_path / "node_modules"
    modules.mkdir()
    (modules / "service-discovery").symlink_to(ROOT / "helpers/node")
    for each in node_packages.node_modules().iterdir():
        (modules / each.name).symlink_to(each)
    program = """
console.log(JSON.stringify(await call("users", { id: 7 })));
await call("users", { fail: true }).catch((error) => console.log(error.message));
"""
    module = tmp_path / "recipe.mjs"
    module.write_text(_listing("js", "InvokeCommand") + program, encoding="utf-8")
    with services({"users": users}):
        answer, failure = _run(aws, node_packages.node(), str(module)).splitlines()

    assert json.loads(answer)["name"] == "Ada"
    assert "users failed: " in failure


def test_queue_recipe_sends_messages(aws: Emulator) -> None:
    sqs = _client(aws, "sqs")
    url = sqs.create_queue(QueueName="orders")["QueueUrl"]
    arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:orders"

    with services({"orders": arn}):
        _python(aws, _listing("python", "queue_url"), 'send("orders", "one"); send("orders", "2")')

    received = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    assert {message["Body"] for message in received} <= {"one", "2"}
    assert received


def test_state_machine_recipe_starts_an_execution(aws: Emulator) -> None:
    client = _client(aws, "stepfunctions")
    definition = {"StartAt": "Done", "States": {"Done": {"Type": "Pass", "End": True}}}
    arn = client.create_state_machine(
        name="checkout",
        definition=json.dumps(definition),
        roleArn=f"arn:aws:iam::{ACCOUNT}:role/checkout",
    )["stateMachineArn"]

    with services({"checkout": arn}):
        printed = _python(
            aws, _listing("python", "start_execution"), 'print(start("checkout", {"id": 7}))'
        )

    execution = client.describe_execution(executionArn=printed.strip())
    assert json.loads(execution["input"]) == {"id": 7}


_ANSWER_CHANGES = """
answers = iter({answers})
get_arn = lambda name: next(answers)
try:
    print(call("users", {{"id": 7}})["name"])
except lambda_client.exceptions.ResourceNotFoundException as error:
    print("not found")
"""


@pytest.mark.parametrize(
    ("second", "expected"), [("users", "Ada\n"), ("gone", "not found\n")], ids=["fresh", "same"]
)
def test_deleted_version_is_called_once_more_with_another_arn(
    aws: Emulator, users: str, second: str, expected: str
) -> None:
    """The second ARN is called once, and only if it differs."""
    answers = [_GONE, users if second == "users" else _GONE]
    listing = _listing("python", "ResourceNotFoundException")

    with services({"users": users}):
        printed = _python(aws, listing, _ANSWER_CHANGES.format(answers=answers))

    assert printed == expected


def test_circuit_breaker_recipe_has_a_circuit_for_each_service(aws: Emulator, users: str) -> None:
    """Five failures of one service open its circuit, and leave the other's closed."""
    _client(aws, "dynamodb").create_table(
        TableName="CircuitBreakerState",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    program = """
for _ in range(6):
    try:
        call("failing", {"fail": True})
    except Exception as error:
        print(type(error).__name__)
print(call("users", {"id": 7})["name"])
"""
    with services({"users": users, "failing": users}):
        printed = _python(aws, _listing("python", "circuit_breaker"), program)

    assert printed.split() == ["RuntimeError"] * 5 + ["CircuitBreakerOpenError", "Ada"]
