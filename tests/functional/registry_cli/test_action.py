"""The GitHub Action: its steps, run as by GitHub's runner, against the registry's handler."""

import os
import re
import subprocess
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from samcli.yamlhelper import yaml_parse

from tests.conftest import ROOT
from tests.functional.http_gateway import REGION, HttpGateway, client_environment
from tests.functional.registry_cli.conftest import ARN, OTHER_ARN, Run

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
    """A fake of GitHub's runner, with a job's environment."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        """Set the job's environment."""
        self.folder = folder
        self._environment = environment
        (folder / "temp").mkdir()

    def run(self, index: int, inputs: dict[str, str], **variables: str) -> EndedStep:
        """Run a step of the action, with more environment variables of the job."""
        step = _action()["runs"]["steps"][index]
        defaults = {name: each.get("default", "") for name, each in _action()["inputs"].items()}
        values = {"inputs": defaults | inputs, "github": {"action_path": str(ROOT)}}

        def value_of(match: re.Match[str]) -> str:
            return str(values[match.group(1)][match.group(2)])

        assert step["shell"] == "bash"
        script, outputs = self.folder / "step.sh", self.folder / f"outputs-{index}"
        script.write_text(step["run"])
        outputs.write_text("")
        ended = subprocess.run(
            [*_BASH, str(script)],
            env={
                **self._environment,
                **variables,
                **{name: _EXPRESSION.sub(value_of, text) for name, text in step["env"].items()},
                "RUNNER_TEMP": str(self.folder / "temp"),
                "GITHUB_OUTPUT": str(outputs),
            },
            cwd=self.folder,
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
    """Run the first step: the command line is installed from the action's own checkout."""
    folder = tmp_path_factory.mktemp("runner")
    made = Runner(
        folder,
        {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            **client_environment(),
            "AWS_REGION": REGION,
            "NO_PROXY": "127.0.0.1",
            # The package's requirements are installed already, so nothing is downloaded.
            "PYTHONPATH": sysconfig.get_path("purelib"),
            "PIP_NO_INDEX": "1",
            "PIP_USER": "1",
            "PIP_NO_BUILD_ISOLATION": "0",
        },
    )
    # The steps run in the job's checkout, whose modules must not be imported.
    for name in ("json", "click", "registry_cli"):
        (folder / f"{name}.py").write_text("raise SystemExit('imported')")
    installed = made.run(0, {})
    assert installed.status == 0, installed.log
    return made


@dataclass(frozen=True, kw_only=True)
class Job:
    """A job that publishes one version.

    Attributes:
        gateway: The registry that it publishes to.
        see: Runs the command line, to check the results.
    """

    runner: Runner
    gateway: HttpGateway
    see: Run

    def publish(self, **inputs: str) -> EndedStep:
        """Run the second step; *inputs* replace those of a valid publish."""
        given = {"name": "users", "version": "1.4.2", "arn": ARN, "url": self.gateway.url}
        return self.runner.run(1, given | inputs, AWS_ENDPOINT_URL=self.gateway.url)

    def versions(self) -> list[dict[str, Any]]:
        """Return the versions that the registry has."""
        found: list[dict[str, Any]] = self.see("versions", "users", "--json").document["versions"]
        return found


@pytest.fixture
def job(runner: Runner, gateway: HttpGateway, run: Run) -> Job:
    """Return a job that publishes to a registry without services."""
    return Job(runner=runner, gateway=gateway, see=run)


def test_publish_gives_its_revision_and_outcome(job: Job) -> None:
    """A later step of the job uses the outputs. A job that is repeated changes nothing."""
    first, second = job.publish(), job.publish()

    assert first.status == 0, first.log
    assert first.outputs == {"revision": "1", "outcome": "published"}
    assert "users 1.4.2: outcome=published" in first.log
    assert (second.status, second.outputs) == (0, {"revision": "1", "outcome": "unchanged"})
    (published,) = job.versions()
    assert (published["version"], published["arn"]) == ("1.4.2", ARN)
    assert job.gateway.calls()[0] == ("PUT", "/services/users/versions/1.4.2")


def test_channel_and_metadata_are_published(job: Job) -> None:
    ended = job.publish(channel="beta", metadata="commit=abc=def\n\nteam=a b\n")

    assert ended.status == 0, ended.log
    (published,) = job.versions()
    assert published["metadata"] == {"commit": "abc=def", "team": "a b"}
    service = job.see("show", "users", "--json").document
    assert service["channels"] == {"beta": "1.4.2"}


def test_registry_is_found_by_its_stack(job: Job) -> None:
    """Without a `url`, the stack's outputs are read."""
    ended = job.publish(url="")

    assert ended.status == 0, ended.log
    assert len(job.versions()) == 1


def test_refused_publish_fails_the_job_and_says_so(job: Job) -> None:
    """The job stops, and a step with `if: failure()` can distinguish this from a network fault."""
    assert job.publish().status == 0

    ended = job.publish(arn=OTHER_ARN)

    assert ended.status == 4
    assert ended.outputs == {"outcome": "refused"}
    assert "another ARN" in ended.log
    assert [each["arn"] for each in job.versions()] == [ARN]


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        ({"arn": "nonsense"}, "/arn: 'nonsense' is not an ARN"),
        ({"version": "v1.4.2"}, "write only the number"),
        ({"metadata": "team"}, "use the form KEY=VALUE"),
        ({"url": "http://127.0.0.1:1/v1"}, "the registry did not respond"),
    ],
)
def test_failure_has_its_reason_and_no_outcome(
    job: Job, inputs: dict[str, str], reason: str
) -> None:
    ended = job.publish(**inputs)

    assert ended.status in {1, 2}
    assert ended.outputs == {}
    assert reason in ended.log
    assert "Error: " in ended.log


_HOSTILE = [
    "$(touch {marker})`touch {marker}`; touch {marker}; ${{IFS}}",
    "\"; touch {marker}; \"'; touch {marker}; '",
    "--help",
]
_LINES = ["\ntouch {marker}\n", "a\nrevision=99"]


@pytest.mark.parametrize("text", [*_HOSTILE, *_LINES])
def test_input_is_never_read_as_code(job: Job, tmp_path: Path, text: str) -> None:
    """A branch's name may become a version, and anybody may name a branch."""
    marker = tmp_path / "marker"
    hostile = text.format(marker=marker)

    ended = job.publish(**dict.fromkeys(("name", "version", "arn", "channel", "metadata"), hostile))

    assert not marker.exists()
    assert ended.status != 0
    assert ended.outputs == {}
    assert job.gateway.requests == []


@pytest.mark.parametrize("text", _HOSTILE)
def test_hostile_text_arrives_as_it_is(job: Job, tmp_path: Path, text: str) -> None:
    """The registry gets it unchanged by the shell. A metadata entry ends at the end of its line."""
    marker = tmp_path / "marker"
    hostile = text.format(marker=marker)

    refused = job.publish(arn=hostile)
    published = job.publish(metadata=f"note={hostile}")

    assert not marker.exists()
    assert refused.status == 2
    assert job.gateway.requests[0].document == {"arn": hostile}
    assert published.outputs == {"revision": "1", "outcome": "published"}, published.log
    (record,) = job.versions()
    assert record["metadata"] == {"note": hostile}


def test_no_script_holds_an_expression() -> None:
    """The runner replaces expressions before the shell reads the script."""
    for step in _action()["runs"]["steps"]:
        assert "${{" not in step["run"]


def test_interface_is_the_documented_one() -> None:
    """docs/pipelines.md shows it."""
    action = _action()

    assert list(action["inputs"]) == ["name", "version", "arn", "channel", "metadata", "url"]
    required = [name for name, each in action["inputs"].items() if each.get("required")]
    assert required == ["name", "version", "arn"]
    assert list(action["outputs"]) == ["revision", "outcome"]
    assert action["runs"]["using"] == "composite"
