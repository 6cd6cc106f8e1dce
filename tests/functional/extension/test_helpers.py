"""The layer's helpers with the real extension: their answers are at most `MAX_AGE` old."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from testing import index_server
from testing.index_server import IndexServer, item
from testing.lambda_api import LambdaApi
from tests.conftest import ROOT
from tests.functional.extension.conftest import Start

_ARN = "arn:aws:lambda:eu-west-1:123456789012:function:users:"
# Each line of input is one call, with one line of output.
_PYTHON = """
import json, sys
from service_discovery import ServiceDiscoveryError, get_service
for line in sys.stdin:
    try:
        users = get_service("users")
        print(json.dumps({"arn": users.arn, "age": users.age}), flush=True)
    except ServiceDiscoveryError as error:
        print(json.dumps({"error": type(error).__name__, "message": str(error)}), flush=True)
"""
_NODE = """
const { getService } = require(process.argv[1]);
require("node:readline").createInterface({ input: process.stdin }).on("line", () => {
  try {
    const { arn, age } = getService("users");
    console.log(JSON.stringify({ arn, age }));
  } catch (error) {
    console.log(JSON.stringify({ error: error.name, message: error.message }));
  }
});
"""


@pytest.fixture(params=["python", "node"])
def command(request: pytest.FixtureRequest) -> list[str]:
    """Return the command line of a program that calls the helper once for each line."""
    if request.param == "python":
        return [sys.executable, "-c", _PYTHON]
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed here")
    return [node, "-e", _NODE, str(ROOT / "helpers/node")]


class _Caller:
    """A process with the helper, which keeps the parsed file from one call to the next."""

    def __init__(self, command: list[str], services_file: Path) -> None:
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(ROOT / "helpers/python"),
                "SERVICES_FILE": str(services_file),
            },
        )

    def call(self) -> dict[str, Any]:
        """Call the helper once, and return what it returned or raised."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer


Call = Callable[[Path], _Caller]


@pytest.fixture
def caller(command: list[str]) -> Iterator[Call]:
    """Start a process with the helper: `caller(services_file)`."""
    started: list[_Caller] = []

    def _start(services_file: Path) -> _Caller:
        started.append(_Caller(command, services_file))
        return started[-1]

    yield _start
    for each in started:
        each.process.kill()
        each.process.communicate()


def test_first_call_waits_for_the_first_resolve(
    start: Start, lambda_api: LambdaApi, index: IndexServer, caller: Call
) -> None:
    """A function may call the helper as soon as its module is loaded."""
    index.put("users", "1.x", item("1.0.0", _ARN + "1"))
    extension = start("users==1.x", SERVICE_DISCOVERY_MAX_AGE="600")
    lambda_api.wait_until_ready()

    first = caller(extension.services_file).call()

    assert first["arn"] == _ARN + "1"
    assert 0 <= first["age"] < 60


def test_call_after_a_pause_returns_what_the_registry_has_now(
    start: Start, lambda_api: LambdaApi, index: IndexServer, caller: Call
) -> None:
    """The call begins the check that is due and waits for it, without an INVOKE."""
    index.put("users", "1.x", item("1.0.0", _ARN + "1"))
    extension = start("users==1.x", SERVICE_DISCOVERY_MAX_AGE="1", SERVICE_DISCOVERY_HOLD_MS="5000")
    lambda_api.wait_until_ready()
    function = caller(extension.services_file)
    seen = [function.call()["arn"]]

    for version in ("2", "3"):
        index.put("users", "1.x", item(f"1.{version}.0", _ARN + version, revision=int(version)))
        time.sleep(1.2)
        seen.append(function.call()["arn"])

    assert seen == [_ARN + "1", _ARN + "2", _ARN + "3"]


def test_call_returns_the_last_good_answer_while_the_registry_is_down(
    start: Start, lambda_api: LambdaApi, index: IndexServer, caller: Call
) -> None:
    """An outage of the registry is not one of the function; the age shows how old the answer is."""
    index.put("users", "1.x", item("1.0.0", _ARN + "1"))
    extension = start("users==1.x", SERVICE_DISCOVERY_MAX_AGE="1")
    lambda_api.wait_until_ready()
    function = caller(extension.services_file)
    function.call()
    index.close()
    time.sleep(1.5)

    answer = function.call()

    assert answer["arn"] == _ARN + "1"
    assert answer["age"] >= 1


def test_call_says_why_nothing_was_ever_resolved(
    start: Start, lambda_api: LambdaApi, index: IndexServer, caller: Call
) -> None:
    """The function's own error has the extension's reason."""
    index.fault = index_server.refuses("AccessDeniedException")
    extension = start("users==1.x")
    lambda_api.wait_until_ready()

    answer = caller(extension.services_file).call()

    assert answer["error"] == "ServiceUnavailableError"
    assert "'users' is not resolved yet" in answer["message"]
    assert "AccessDeniedException" in answer["message"]
