"""`service-registry` with the deployed app, run as by a user at another terminal."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from local import processes
from local.deployment import STACK
from local.processes import ROOT
from testing import example_tools
from tests.docs.listings import listings
from tests.e2e.conftest import App, arn

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(app: App) -> Run:
    """Run the command line, which finds the registry by its stack on the emulator."""

    def _run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "registry_cli", *arguments],
            cwd=ROOT,
            env=app.emulator.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    return _run


def _document(ended: "subprocess.CompletedProcess[str]", status: int = 0) -> Any:
    assert ended.returncode == status, ended.stderr
    return json.loads(ended.stdout)


def test_published_version_is_resolved_pinned_and_explained(app: App, run: Run) -> None:
    """A user publishes, reads, rolls back, and reads the history."""
    for version in ("1.0.0", "1.1.0"):
        ended = run("publish", "shell", version, "--arn", arn("shell", version), "--json")
        assert _document(ended)["outcome"] == "published"
    app.wait_for_index(
        "shell",
        {
            "latest": "1.1.0",
            "1.x": "1.1.0",
            "1.0.x": "1.0.0",
            "1.1.x": "1.1.0",
            "1.0.0": "1.0.0",
            "1.1.0": "1.1.0",
        },
    )
    assert _document(run("resolve", "shell==1.x", "--json"))["arn"] == arn("shell", "1.1.0")

    planned = _document(run("pin", "shell", "1.0.0", "--dry-run", "--json"))
    assert planned["changes"] == [{"selector": "latest", "from": "1.1.0", "to": "1.0.0"}]
    assert run("pin", "shell", "1.0.0").returncode == 0

    def is_pinned() -> bool:
        member: dict[str, Any] = _document(run("resolve", "shell", "--json"))
        return bool(member["version"] == "1.0.0")

    processes.wait_until(is_pinned, within_s=60, what="the index has the pinned version")
    events = _document(run("history", "shell", "--json"))["events"]
    assert [each["action"] for each in events] == ["set-channel", "publish", "publish"]
    assert run("resolve", "shell==9.x").returncode == 3
    assert run("publish", "shell", "1.0.0", "--arn", arn("shell", "9.9.9")).returncode == 4
    assert "did you mean 'shell'" in run("show", "shel").stderr


def test_index_is_rebuilt_and_verified_by_the_stacks_function(app: App, run: Run) -> None:
    """The function is found by its name in the template."""
    app.publish("verified", "1.0.0")
    assert _document(run("rebuild", "--service", "verified", "--json"))["complete"]

    found = _document(run("verify", "--service", "verified", "--json"))

    assert (found["services"], found["differences"]) == (1, 0)


def test_policies_name_the_deployed_api_and_index(app: App, run: Run) -> None:
    """The API and the index table are read from the stack's outputs."""
    url = app.deployment.outputs["RegistryUrl"]
    api = url.removeprefix("https://").partition(".")[0]

    policy = _document(run("policy", "publisher", "shell"))

    (statement,) = policy["Statement"]
    (resource,) = statement["Resource"]
    assert resource.endswith(f":{api}/v1/PUT/services/shell/versions/*")
    assert resource.startswith("arn:aws:execute-api:us-east-1:000000000000:")


@pytest.mark.timeout(600)
def test_aws_cli_of_version_1_invokes_the_rebuild_as_documented(app: App, tmp_path: Path) -> None:
    """Versions 1 and 2 encode a payload differently, unless it is in a file."""
    aws = example_tools.python_with("awscli==1.46.3").with_name("aws")
    app.publish("by-aws-cli", "1.0.0")
    resource = app.emulator.cloudformation().describe_stack_resource(
        StackName=STACK, LogicalResourceId="IndexRebuildFunction"
    )
    function = resource["StackResourceDetail"]["PhysicalResourceId"]
    (listing,) = [
        each.text for each in listings(ROOT / "docs/operations.md") if "lambda invoke" in each.text
    ]

    invoked = subprocess.run(
        ["bash", "-euc", listing.replace("FUNCTION", function)],
        env=app.emulator.environment() | {"PATH": f"{aws.parent}:{os.environ['PATH']}"},
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )

    assert invoked.returncode == 0, invoked.stderr
    result = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    assert result["services"] >= 1
    assert "differences" in result
