"""`make demo`, as a newcomer runs it."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from local import processes
from tests.conftest import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.xdist_group("e2e")


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """Make the folder that a run has for its temporary files."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    return folder


@pytest.fixture
def demo(temporary: Path) -> "Iterator[subprocess.Popen[str]]":
    """Start the demo, with settings of the user's own that must not matter."""
    process = subprocess.Popen(
        [sys.executable, "-m", "local", "demo"],
        cwd=ROOT,
        env={
            **os.environ,
            "TMPDIR": str(temporary),
            "AWS_PROFILE": "somebodys-own",
            "AWS_ACCESS_KEY_ID": "somebodys-own",
            "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
            "HTTP_PROXY": "http://127.0.0.1:1",
            "http_proxy": "http://127.0.0.1:1",
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    yield process
    processes.end(process)


def test_demo_tells_the_whole_story_and_leaves_nothing(
    demo: "subprocess.Popen[str]", temporary: Path
) -> None:
    """Two commands from an empty machine to the product doing its one job."""
    told, _ = demo.communicate(timeout=230)

    assert demo.returncode == 0, told
    assert told.count("still runtime process") == 2, told
    assert "function:users:42" in told
    assert "function:users:43" in told
    assert list(temporary.iterdir()) == []
    assert _of_session(demo.pid) == []


@pytest.mark.parametrize(
    ("sent", "at"),
    [(signal.SIGTERM, "2. sam build"), (signal.SIGINT, "3. sam deploy"), (signal.SIGINT, "6. ")],
)
def test_interrupted_demo_leaves_nothing(
    demo: "subprocess.Popen[str]", temporary: Path, sent: signal.Signals, at: str
) -> None:
    """Ctrl-C is how most runs end."""
    assert demo.stdout is not None
    told = ""
    while at not in told:
        line = demo.stdout.readline()
        assert line, told
        told += line

    demo.send_signal(sent)
    rest, _ = demo.communicate(timeout=60)

    assert demo.returncode == 130, told + rest
    assert list(temporary.iterdir()) == []
    assert _of_session(demo.pid) == []


def _of_session(leader: int) -> list[int]:
    """Name the processes whose environment is the demo's or below it, by its sessions."""
    found = []
    for path in Path("/proc").iterdir():
        if path.name.isdecimal() and int(path.name) != leader:
            try:
                fields = (path / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == leader:
                found.append(int(path.name))
    return found
