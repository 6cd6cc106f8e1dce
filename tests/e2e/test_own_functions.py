"""`run-function` with the deployed app: the two functions of README, and faults."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from local import loopback, processes
from local.services import deploy_service
from testing import node_packages
from tests.conftest import ROOT
from tests.docs.listings import the_listing
from tests.e2e.conftest import App

pytestmark = pytest.mark.xdist_group("e2e")

_WITHIN_S = 60
_URL = re.compile(r"curl -s (\S+) ")


@pytest.fixture(scope="module")
def users(app: App) -> str:
    """Publish a service that can be called, with a unique name."""
    arn = deploy_service(app.emulator, "own-users", "1.4.2")
    app.publish("own-users", "1.4.2", arn=arn)
    app.wait_for_index("own-users", dict.fromkeys(("latest", "1.x", "1.4.x", "1.4.2"), "1.4.2"))
    return arn


class StartedFunction:
    """A function that runs."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        """Read the command's output, until the function's log begins."""
        assert process.stdout is not None
        self.printed = ""
        while "Its log:" not in self.printed:
            line = process.stdout.readline()
            assert line, self.printed
            self.printed += line

    def invoke(self, event: object) -> Any:
        """Invoke the function at the URL in the printed command."""
        found = _URL.search(self.printed)
        assert found
        request = urllib.request.Request(found[1], data=json.dumps(event).encode(), method="POST")
        with loopback.urlopen(request, timeout=_WITHIN_S) as response:
            return json.load(response)


def _command(app: App, *arguments: str) -> list[str]:
    layer = ["--layer", str(app.deployment.layer)]
    return [sys.executable, "-m", "local", "function", *layer, *arguments]


@contextmanager
def _running(app: App, *arguments: str) -> Iterator[StartedFunction]:
    process = subprocess.Popen(
        _command(app, *arguments),
        cwd=ROOT,
        env=app.emulator.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield StartedFunction(process)
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=_WITHIN_S)
        assert process.returncode == 130
        assert "Stopped." in rest
        assert "(rapid)" not in rest
    finally:
        processes.end(process)


def _ended(
    app: App, variables: dict[str, str], *arguments: str
) -> "subprocess.CompletedProcess[str]":
    """Run the command to its end."""
    return subprocess.run(
        _command(app, *arguments),
        cwd=ROOT,
        env={**os.environ, **app.emulator.environment(), **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=_WITHIN_S,
    )


def _python(folder: Path) -> None:
    (folder / "app.py").write_text(the_listing("README.md", "python"), encoding="utf-8")


def _node(folder: Path) -> None:
    (folder / "app.mjs").write_text(the_listing("README.md", "js"), encoding="utf-8")
    # As after `npm install @aws-sdk/client-lambda`.
    (folder / "node_modules").symlink_to(node_packages.node_modules())


def _common_js(folder: Path) -> None:
    code = 'const { getService } = require("service-discovery");\n'
    code += 'exports.handler = async () => ({ name: "Ada", ...getService("users") });\n'
    (folder / "app.js").write_text(code, encoding="utf-8")


@pytest.mark.parametrize("write", [_python, _node, _common_js])
def test_function_from_the_readme_calls_the_service(
    app: App, users: str, tmp_path: Path, write: Callable[[Path], None]
) -> None:
    """The function is copied from README, and run with the command in docs/local.md."""
    if write is not _python:
        node_packages.node()
    write(tmp_path)

    with _running(app, str(tmp_path), "--needed", "users:own-users==1.x") as function:
        result = function.invoke({"user": 7})

    assert users
    assert result["name"] == "Ada"


def test_custom_runtime_runs_with_variables_of_its_own(app: App, users: str) -> None:
    """`--env` sets NEEDED_SERVICES for the example's `bootstrap`, in place of `--needed`."""
    folder = ROOT / "examples/consumers/sam-shell/src"

    with _running(app, str(folder), "--env", "NEEDED_SERVICES=users:own-users==1.x") as function:
        result = function.invoke({})

    assert result == {"status": 200, "users": users}


@pytest.mark.parametrize(
    ("folder", "file", "variables", "expected"),
    [
        (".", "main.py", {}, "has no app.py, app.mjs, app.js, app.cjs or bootstrap"),
        (".", "bootstrap", {}, "bootstrap is not executable: chmod +x "),
        ("sorce", "app.py", {}, "there is no folder "),
        (".", "app.py", {"AWS_ENDPOINT_URL": ""}, "start `make run`, and paste the lines"),
    ],
)
def test_mistake_is_reported_with_the_way_out(
    app: App, tmp_path: Path, folder: str, file: str, variables: dict[str, str], expected: str
) -> None:
    (tmp_path / file).write_text("", encoding="utf-8")

    ended = _ended(app, variables, str(tmp_path / folder))

    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("Error: ")
    assert expected in ended.stderr


def test_malformed_option_is_named_before_the_function_starts(app: App, tmp_path: Path) -> None:
    """The runtime and the extension would name it at the first invocation only."""
    (tmp_path / "app.py").write_text("", encoding="utf-8")

    handler = _ended(app, {}, str(tmp_path), "--handler", "app")
    needs = _ended(app, {}, str(tmp_path), "--needed", "users=1.2")

    assert (handler.returncode, needs.returncode) == (1, 2)
    assert "--handler 'app': give it as FILE.FUNCTION, such as app.handler" in handler.stderr
    assert "argument --needed: at 0: 'users=1.2': unknown operator '='" in needs.stderr
