"""Starts processes of the local stack, each in its own session, and ends all of them."""

import atexit
import ctypes
import fcntl
import os
import random
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
_KERNELS_PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")
_MIN_PORTS_END = 12_000
_RESERVED: list[socket.socket] = []
# prctl(2): a descendant whose parent ends becomes this process's child, not init's.
_PR_SET_CHILD_SUBREAPER = 36


@atexit.register
def _release_ports() -> None:
    for reservation in _RESERVED:
        reservation.close()


class LocalStackError(Exception):
    """A step of the local stack failed; the message has what was observed."""


def free_ports(count: int) -> list[int]:
    """Return free ports on loopback, and reserve them against other runs.

    The kernel may give a port of its range to another process before a server here binds it. So
    these are below that range, and an abstract socket reserves each one while this process runs.
    """
    below = int(_KERNELS_PORTS.read_text(encoding="ascii").split()[0])
    ports = range(10_000, below) if below > _MIN_PORTS_END else range(10_000, 60_000)
    found: list[int] = []
    for port in random.sample(ports, len(ports)):
        if len(found) == count:
            break
        reservation = socket.socket(socket.AF_UNIX)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            reservation.bind(f"\0service-discovery-port-{port}")
            _RESERVED.append(reservation)
            found.append(port)
            continue
        reservation.close()
    return found


def tail(log: Path) -> str:
    """Return the last lines of a log, for a message."""
    if not log.exists():
        return f"({log.name} was never written)"
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(f"    {line}" for line in lines[-_LOG_TAIL_LINES:]) or "    (empty)"


def wait_until(condition: Callable[[], bool], *, within_s: float, what: str) -> None:
    """Wait for a condition.

    Raises:
        LocalStackError: It does not become true in time.
    """
    deadline = time.monotonic() + within_s
    pause_s = 0.02
    while not condition():
        if time.monotonic() > deadline:
            message = f"after {within_s:g} s still not true: {what}"
            raise LocalStackError(message)
        time.sleep(pause_s)
        # Grows, so that the polling does not slow down what it waits for.
        pause_s = min(pause_s * 1.2, 0.2)


def descendants(pid: int) -> list[int]:
    """Return the processes that *pid* and its children have started."""
    children: list[int] = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            children += map(int, (task / "children").read_text().split())
    return [each for child in children for each in (child, *descendants(child))]


def command_line(pid: int) -> list[str]:
    """Return a process's command line; empty if the process has ended."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return []
    return [word.decode(errors="replace") for word in words if word]


def started_at(pid: int) -> str:
    """Return the start time of a process in the kernel's ticks; with the id it is unique."""
    status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    return status.rpartition(")")[2].split()[19]


def is_same_process(pid: int, started: str) -> bool:
    """Return whether the process that was started at that time still runs."""
    try:
        return started_at(pid) == started
    except OSError:
        return False


@contextmanager
def running(
    command: list[str], *, environment: dict[str, str], log: Path, cwd: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command with its output in *log*; at the end, end it and all its children."""
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


def end(process: "subprocess.Popen[bytes] | subprocess.Popen[str]") -> None:
    """End a process and all its descendants, with SIGTERM at first, then with SIGKILL.

    Raises:
        LocalStackError: One of them still runs.
    """
    end_all([process.pid, *descendants(process.pid)])
    with suppress(subprocess.TimeoutExpired):
        process.wait(_GRACE_S)


def end_all(pids: list[int]) -> None:
    """End processes, with SIGTERM at first, then with SIGKILL.

    Raises:
        LocalStackError: One of them still runs.
    """
    for sent in (signal.SIGTERM, signal.SIGKILL):
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, sent)
        deadline = time.monotonic() + _GRACE_S
        while time.monotonic() < deadline:
            if not any(_is_alive(pid) for pid in pids):
                return
            time.sleep(0.02)
    message = f"processes that do not end: {[pid for pid in pids if _is_alive(pid)]}"
    raise LocalStackError(message)


@contextmanager
def one_at_a_time(lock: Path) -> Iterator[None]:
    """Wait until no other process holds the file *lock*, and hold it."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def adopt_orphans() -> None:
    """Become the parent of every descendant whose parent ends, so that all can be found."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def left_over() -> list[int]:
    """Return the descendants of this process that still run."""
    return [pid for pid in descendants(os.getpid()) if _is_alive(pid)]


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
        LocalStackError: It failed or took too long; the message has the end of its output.
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
