"""Processes of the local stack: started in groups of their own, and always ended."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_LOG_TAIL_LINES = 30
_GRACE_S = 10


class LocalStackError(Exception):
    """A step of the local stack did not do what it should; the message says what was seen."""


def free_ports(count: int) -> list[int]:
    """Find ports on loopback that nobody listens on, all different."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def tail(log: Path) -> str:
    """Read the last lines of a log, for a message."""
    if not log.exists():
        return f"({log.name} was never written)"
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(f"    {line}" for line in lines[-_LOG_TAIL_LINES:]) or "    (empty)"


def wait_until(condition: Callable[[], bool], *, within_s: float, what: str) -> None:
    """Wait for a condition.

    Raises:
        LocalStackError: It did not come true in time.
    """
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            message = f"{what}: not within {within_s:g} s"
            raise LocalStackError(message)
        time.sleep(0.02)


def descendants(pid: int) -> list[int]:
    """Name the processes that *pid* and its children have started."""
    children: list[int] = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            children += map(int, (task / "children").read_text().split())
    return [each for child in children for each in (child, *descendants(child))]


def command_line(pid: int) -> list[str]:
    """Read a process's command line; empty if it is gone."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return []
    return [word.decode(errors="replace") for word in words if word]


def started_at(pid: int) -> str:
    """Read when a process was started, in the kernel's ticks; with its id it is unique."""
    status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    return status.rpartition(")")[2].split()[19]


@contextmanager
def running(
    command: list[str], *, environment: dict[str, str], log: Path, cwd: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command beside the caller, with its output in *log*; end it and all its children."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            env=environment,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        end(process)


def end(process: "subprocess.Popen[bytes]") -> None:
    """End a process and everything below it: asked to at first, then made to."""
    below = [process.pid, *descendants(process.pid)]
    for sent, grace_s in ((signal.SIGTERM, _GRACE_S), (signal.SIGKILL, _GRACE_S)):
        for pid in below:
            with suppress(ProcessLookupError):
                os.kill(pid, sent)
        deadline = time.monotonic() + grace_s
        while time.monotonic() < deadline:
            process.poll()
            if not any(_is_alive(pid) for pid in below):
                return
            time.sleep(0.02)


def _is_alive(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def run_to_end(
    command: list[str], *, environment: dict[str, str], log: Path, cwd: Path, within_s: float
) -> None:
    """Run a command to its end.

    Raises:
        LocalStackError: It failed, or took too long; with the tail of its output.
    """
    with running(command, environment=environment, log=log, cwd=cwd) as process:
        try:
            status = process.wait(within_s)
        except subprocess.TimeoutExpired as error:
            message = f"`{' '.join(command[:3])}` has not ended within {within_s:g} s\n{tail(log)}"
            raise LocalStackError(message) from error
    if status:
        message = f"`{' '.join(command[:3])}` failed with status {status}:\n{tail(log)}"
        raise LocalStackError(message)
