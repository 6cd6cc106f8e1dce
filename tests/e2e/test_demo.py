"""`make demo` and `make run`, run as by a new user."""

import os
import re
import shutil
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from pathlib import Path

import interpreter_build
import pytest

from local import processes
from local.deployment import registry_at
from tests.conftest import ROOT

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """Create the folder for a run's temporary files."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    return folder


@pytest.fixture
def start(temporary: Path) -> Iterator[Start]:
    """Start a command, with settings of the user, which must have no effect."""
    started: list[subprocess.Popen[str]] = []

    def _start(command: str, **variables: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-m", "local", command],
            cwd=ROOT,
            env={
                **os.environ,
                "TMPDIR": str(temporary),
                "AWS_PROFILE": "somebodys-own",
                "AWS_ACCESS_KEY_ID": "somebodys-own",
                "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
                "HTTP_PROXY": "http://127.0.0.1:1",
                "http_proxy": "http://127.0.0.1:1",
                **variables,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield _start
    for process in started:
        processes.end(process)


def test_demo_tells_the_whole_story_and_leaves_nothing(start: Start, temporary: Path) -> None:
    """Two commands lead from a fresh machine to a working product."""
    demo = start("demo")

    told, _ = demo.communicate(timeout=230)

    assert demo.returncode == 0, told
    assert told.count("still runtime process") == 2, told
    assert "000000000000:function:users:1" in told
    assert "000000000000:function:users:2" in told
    svg = ET.fromstring((ROOT / "docs/images/demo.svg").read_text(encoding="utf-8"))
    picture = "".join(svg.itertext()).replace("\xa0", " ")
    steps = re.findall(r"^(?:\d+\. | {3}PUT ).*", told, re.MULTILINE)
    assert [step for step in steps if step not in picture] == [], "make the picture again"
    assert _left_behind(temporary) == []


def test_run_keeps_the_registry_up_until_ctrl_c_and_leaves_nothing(
    start: Start, temporary: Path
) -> None:
    """The printed commands for calling the registry work when they are pasted."""
    run = start("run")
    told = _read_until(run, "Ctrl-C stops everything")

    (url,) = re.findall(r"^  export REGISTRY=(\S+)$", told, re.MULTILINE)
    latest = registry_at(url).send("GET", "/services/users").document["latest"]
    pasted = _paste(told) if shutil.which("curl") else ""
    run.send_signal(signal.SIGINT)
    rest, _ = run.communicate(timeout=120)

    assert latest["version"] == "1.5.0"
    if pasted:
        assert re.search(r"billing +1\.0\.0", pasted)
        assert "published users 1.6.0 = arn:aws:lambda:us-east-1" in pasted
        assert '"at_start"' in pasted
        assert "users latest is pinned to 1.5.0" in pasted
        assert '"channels": {"latest": "1.5.0"}' in pasted
        # `users==1.x` does not follow the pin of `latest`.
        assert '"greeting": "Hello, Ada!", "users": "1.6.0"' in pasted
    assert run.returncode == 0, rest
    assert "no process and no file of this run is left" in rest
    assert _left_behind(temporary) == []


@pytest.mark.parametrize("at", ["1. Start", "2. sam build", "3. sam deploy"])
def test_demo_that_is_told_to_end_leaves_nothing(
    start: Start, temporary: Path, tmp_path: Path, at: str
) -> None:
    """An interrupted run must leave no emulator running."""
    no_build_yet = {
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "SERVICE_DISCOVERY_CACHE": str(interpreter_build.cache_folder()),
    }
    demo = start("demo", **(no_build_yet if "build" in at else {}))
    told = _read_until(demo, at)

    demo.send_signal(signal.SIGTERM)
    rest, _ = demo.communicate(timeout=120)

    assert demo.returncode == 130, told + rest
    assert _left_behind(temporary) == []


def _read_until(process: "subprocess.Popen[str]", text: str) -> str:
    assert process.stdout is not None
    told = ""
    while text not in told:
        line = process.stdout.readline()
        assert line, told
        told += line
    return told


# A person's actions at the other terminals: invoke the function as printed, then Ctrl-C.
_INVOKE_OWN = """
said=$(mktemp)
{run} > "$said" &
until grep -q 'Its log' "$said"; do sleep 0.1; done
eval "$(grep 'curl' "$said")"
kill -INT %1
wait %1 || test $? = 130
rm "$said"
"""


def _paste(told: str) -> str:
    """Run the printed commands unchanged, except the one for the AWS CLI."""
    lines = told[told.index("  unset AWS_PROFILE") :].splitlines()
    until = next(number for number, line in enumerate(lines) if "from any language" in line)
    (run,) = (line for line in lines if line.startswith("  run-function "))
    script = "\n".join(["set -m", *lines[:until], _INVOKE_OWN.format(run=run)])
    done = subprocess.run(
        ["bash", "-euc", script], capture_output=True, text=True, check=True, timeout=120
    )
    return done.stdout


def _left_behind(temporary: Path) -> list[str]:
    """Return the files that a run has left, and the processes whose environment has its folder."""
    left = [path.name for path in temporary.iterdir()]
    for path in Path("/proc").iterdir():
        if path.name.isdecimal() and int(path.name) != os.getpid():
            try:
                environment = (path / "environ").read_bytes()
                command = (path / "cmdline").read_bytes()
            except OSError:
                continue
            if str(temporary).encode() in environment:
                left.append(command.replace(b"\0", b" ").decode(errors="replace"))
    return left
