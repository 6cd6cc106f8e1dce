"""The GitHub Action: its steps as GitHub's runner runs them."""

import json
import os
import re
import subprocess
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from samcli.yamlhelper import yaml_parse

from testing.arns import ARN as _ARN
from tests.conftest import ROOT
from tests.functional.http_gateway import (
    KEY_ID,
    REGION,
    SECRET_KEY,
    TOKEN,
    Canned,
    HttpGateway,
    http_gateway,
)

_EXPRESSION = re.compile(r"\$\{\{ *(inputs|github)\.([a-z_-]+) *\}\}")
# What the runner runs for `shell: bash` (GitHub's workflow syntax, "jobs.<job_id>.steps[*].shell").
_BASH = ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail"]


def _action() -> dict[str, Any]:
    action: dict[str, Any] = yaml_parse((ROOT / "action.yml").read_text("utf-8"))
    return action


@dataclass(frozen=True)
class EndedStep:
    """A step that has ended."""

    status: int
    outputs: dict[str, str]
    log: str


class Runner:
    """A machine of GitHub's with a job's environment."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        """Set the job's environment."""
        self._folder = folder
        self._environment = environment
        (folder / "temp").mkdir()

    def run(self, index: int, inputs: dict[str, str]) -> EndedStep:
        """Run a step of the action."""
        step = _action()["runs"]["steps"][index]
        defaults = {name: each.get("default", "") for name, each in _action()["inputs"].items()}
        values = {"inputs": defaults | inputs, "github": {"action_path": str(ROOT)}}

        def value_of(match: re.Match[str]) -> str:
            return str(values[match.group(1)][match.group(2)])

        assert step["shell"] == "bash"
        script, outputs = self._folder / "step.sh", self._folder / f"outputs-{index}"
        script.write_text(step["run"])
        outputs.write_text("")
        ended = subprocess.run(
            [*_BASH, str(script)],
            env={
                **self._environment,
                **{name: _EXPRESSION.sub(value_of, text) for name, text in step["env"].items()},
                "RUNNER_TEMP": str(self._folder / "temp"),
                "GITHUB_OUTPUT": str(outputs),
            },
            cwd=self._folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        pairs = [line.partition("=") for line in outputs.read_text().splitlines()]
        return EndedStep(
            status=ended.returncode,
            outputs={name: value for name, _, value in pairs},
            log=ended.stdout + ended.stderr,
        )


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Runner:
    """Run the first step: it installs the command line from the action's own checkout."""
    folder = tmp_path_factory.mktemp("runner")
    made = Runner(
        folder,
        {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "AWS_ACCESS_KEY_ID": KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_SESSION_TOKEN": TOKEN,
            "AWS_REGION": REGION,
            "NO_PROXY": "127.0.0.1",
            # The packages that it needs are installed already: nothing is downloaded.
            "PYTHONPATH": sysconfig.get_path("purelib"),
            "PIP_NO_INDEX": "1",
            "PIP_NO_BUILD_ISOLATION": "0",
        },
    )
    installed = made.run(0, {})
    assert installed.status == 0, installed.log
    return made


@pytest.fixture
def gateway() -> Iterator[HttpGateway]:
    """Serve a registry whose responses are scripted."""
    with http_gateway(lambda _event, _context: {}) as found:
        yield found


def _inputs(gateway: HttpGateway, **others: str) -> dict[str, str]:
    return {"name": "users", "version": "1.4.2", "arn": _ARN, "url": gateway.url} | others


def _responds(gateway: HttpGateway, status: int, **members: Any) -> None:
    document = {"name": "users", "version": "1.4.2", "arn": _ARN, "status": "active"} | members
    gateway.script.append(
        Canned(
            status=status,
            body=json.dumps(document).encode(),
            headers={"Content-Type": "application/json"},
        )
    )


@pytest.mark.parametrize(("status", "outcome"), [(201, "published"), (200, "unchanged")])
def test_publish_gives_its_revision_and_outcome(
    runner: Runner, gateway: HttpGateway, status: int, outcome: str
) -> None:
    """A later step of the job uses them."""
    _responds(gateway, status, revision=7)

    ended = runner.run(1, _inputs(gateway))

    assert ended.status == 0, ended.log
    assert ended.outputs == {"revision": "7", "outcome": outcome}
    (seen,) = gateway.requests
    assert (seen.method, seen.target) == ("PUT", "/services/users/versions/1.4.2")
    assert seen.document == {"arn": _ARN}


def test_channel_and_metadata_are_sent(runner: Runner, gateway: HttpGateway) -> None:
    _responds(gateway, 201, revision=1)
    metadata = "commit=abc=def\n\nteam=a b\n"

    ended = runner.run(1, _inputs(gateway, channel="beta", metadata=metadata))

    assert ended.status == 0, ended.log
    assert gateway.requests[0].document == {
        "arn": _ARN,
        "channel": "beta",
        "metadata": {"commit": "abc=def", "team": "a b"},
    }


def test_refused_publish_fails_the_job_and_says_so(runner: Runner, gateway: HttpGateway) -> None:
    """The job stops, and a step with `if: failure()` can distinguish it from a network fault."""
    _responds(gateway, 409, title="Conflict", detail="version 1.4.2 is published with another ARN")

    ended = runner.run(1, _inputs(gateway))

    assert ended.status == 4
    assert ended.outputs == {"outcome": "refused"}
    assert "another ARN" in ended.log


def test_failure_has_no_outcome(runner: Runner, gateway: HttpGateway) -> None:
    _responds(gateway, 422, title="Unprocessable Content", detail="/arn: is no ARN")

    ended = runner.run(1, _inputs(gateway, arn="nonsense"))

    assert (ended.status, ended.outputs) == (1, {})


_HOSTILE = [
    "$(touch {marker})",
    "`touch {marker}`",
    '"; touch {marker}; "',
    "'; touch {marker}; '",
    "\ntouch {marker}\n",
    "--help",
    "-h",
    "${{IFS}}",
    "a\nrevision=99",
]


@pytest.mark.parametrize("text", _HOSTILE)
def test_input_is_never_read_as_code(
    runner: Runner, gateway: HttpGateway, tmp_path: Path, text: str
) -> None:
    """A branch's name may become a version, and anybody may name a branch."""
    marker = tmp_path / "marker"
    hostile = text.format(marker=marker)
    inputs = dict.fromkeys(("name", "version", "arn", "channel", "metadata"), hostile)

    ended = runner.run(1, _inputs(gateway, **inputs))

    assert not marker.exists()
    assert ended.status != 0
    assert ended.outputs == {}
    assert gateway.requests == []


@pytest.mark.parametrize("name", ["arn", "metadata"])
def test_hostile_text_arrives_as_it_is(
    runner: Runner, gateway: HttpGateway, tmp_path: Path, name: str
) -> None:
    """The registry judges the text, not the shell."""
    marker = tmp_path / "marker"
    hostile = f'x=$(touch {marker}) `touch {marker}` "; touch {marker}'
    _responds(gateway, 201, revision=1)

    ended = runner.run(1, _inputs(gateway, **{name: hostile}))

    assert ended.status == 0, ended.log
    assert not marker.exists()
    assert hostile.removeprefix("x=") in json.dumps(gateway.requests[0].document).replace(
        '\\"', '"'
    )


def test_no_script_holds_an_expression() -> None:
    """The runner replaces expressions before the shell reads the script."""
    for step in _action()["runs"]["steps"]:
        assert "${{" not in step["run"]


def test_interface_is_the_documented_one() -> None:
    """docs/pipelines.md describes it."""
    action = _action()

    assert list(action["inputs"]) == ["name", "version", "arn", "channel", "metadata", "url"]
    required = [name for name, each in action["inputs"].items() if each.get("required")]
    assert required == ["name", "version", "arn"]
    assert list(action["outputs"]) == ["revision", "outcome"]
    assert action["runs"]["using"] == "composite"
