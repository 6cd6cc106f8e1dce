"""What a read of the services file costs, and how old its answer is.

SIGSTOP and SIGCONT freeze and thaw both processes, the extension and the reader.
"""

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.report import Row, Table
from local.execution_environment import own_arch
from local.processes import ROOT
from testing.arns import ARN as _ARN
from testing.held_readers import is_leased
from testing.index_server import IndexServer, item
from testing.lambda_api import LambdaApi
from testing.waiting import wait_for

_ROUNDS = 1_000
_ROUNDS_BEFORE = 100
_FRESH_READS = 2_000
_READS_A_SECOND = 1_000
_SECONDS = 5
_MOST_WAIT_MS = 0.5
_MOST_OPEN_MS = 0.1
_MOST_CPU = 0.02
_NS_PER_MS = 1_000_000
# Waits for a line, opens the file at that path, and prints how long that took and the document.
_READER = """
import os, sys, time
for line in sys.stdin:
    path, count, pause = line.split()
    times = []
    for _ in range(int(count)):
        time.sleep(float(pause))
        began = time.perf_counter_ns()
        fd = os.open(path, os.O_RDONLY)
        times.append(time.perf_counter_ns() - began)
        data = os.read(fd, 1 << 20)
        os.close(fd)
    print(sorted(times)[len(times) // 2], data.decode().replace(chr(10), " "), flush=True)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """One read: how long `open` took (the median of several), and the version that was read."""

    open_ms: float
    version: str


class _World:
    """An extension, its neighbours and a reader."""

    def __init__(self, program: Path, folder: Path, **variables: str) -> None:
        self.holds = variables.get("SERVICE_DISCOVERY_HOLD_MS") != "0"
        self.api = LambdaApi()
        self._server = self.api.start()
        self.index = IndexServer()
        self.publish(0)
        self.file = folder / "services.json"
        self.file.unlink(missing_ok=True)
        self._reader = subprocess.Popen(
            [sys.executable, "-c", _READER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self.extension = subprocess.Popen(
            [str(program)],
            env={
                "AWS_LAMBDA_RUNTIME_API": self.api.address,
                "AWS_ENDPOINT_URL_DYNAMODB": self.index.url,
                "AWS_REGION": "eu-west-1",
                "AWS_ACCESS_KEY_ID": "AKID",
                "AWS_SECRET_ACCESS_KEY": "SECRET",
                "AWS_SESSION_TOKEN": "TOKEN",
                "NEEDED_SERVICES": "users",
                "SERVICES_FILE": str(self.file),
                **variables,
            },
        )
        self.api.wait_until_ready()
        self.read()

    def close(self) -> None:
        """End everything."""
        for process in (self.extension, self._reader):
            process.kill()
            process.wait()
        self.index.close()
        self._server.shutdown()
        self._server.server_close()

    def publish(self, minor: int) -> None:
        """Change the answer."""
        self.index.put("users", "latest", item(f"1.{minor}.0", _ARN, revision=minor + 1))

    def read(self, path: Path | None = None, *, count: int = 1, pause_s: float = 0) -> _Read:
        """Have the reader open the file."""
        self.begin_read(path, count=count, pause_s=pause_s)
        return self.end_read()

    def begin_read(self, path: Path | None = None, *, count: int = 1, pause_s: float = 0) -> None:
        """Have the reader open the file, without waiting for it."""
        assert self._reader.stdin is not None
        self._reader.stdin.write(f"{path or self.file} {count} {pause_s}\n")

    def end_read(self) -> _Read:
        """Return what was read."""
        assert self._reader.stdout is not None
        taken, _, document = self._reader.stdout.readline().partition(" ")
        version = json.loads(document)["users"]["version"] if "users" in document else ""
        return _Read(open_ms=int(taken) / _NS_PER_MS, version=version)

    def freeze(self) -> None:
        """Stop extension and reader, and wait until they stand still.

        Lambda freezes no environment within the millisecond after a read in which the file is not
        leased yet.
        """
        if self.holds:
            wait_for(lambda: is_leased(self.file), "the lease")
        pids = (self.extension.pid, self._reader.pid)
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        wait_for(lambda: all(_state(pid) == "T" for pid in pids), "both processes frozen")

    def thaw(self) -> None:
        """Let both go on."""
        for pid in (self.extension.pid, self._reader.pid):
            os.kill(pid, signal.SIGCONT)

    def processor_s(self) -> float:
        """Return how much processor time the extension has used."""
        fields = Path(f"/proc/{self.extension.pid}/stat").read_text("utf-8").rpartition(")")[2]
        user, system = fields.split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0]


@contextmanager
def _world(program: Path, folder: Path, **variables: str) -> Iterator[_World]:
    world = _World(program, folder, **variables)
    try:
        yield world
    finally:
        world.close()


def tables() -> Iterable[Table]:
    """Measure reads after a freeze, reads of a fresh file, and many reads a second."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        layer = folder / "layer"
        build = [sys.executable, "layer/build.py", "--arch", own_arch(), "--output", str(layer)]
        subprocess.run(build, cwd=ROOT, check=True)
        program = layer / "extensions/service-discovery"
        yield _after_freezes(program, folder)
        yield _fresh(program, folder)


def _rounds(world: _World, rounds: int) -> tuple[float, list[float]]:
    """Freeze, publish, thaw, invoke and read; return the share of old answers, and the waits."""
    old = 0
    waits = []
    for number in range(1, rounds + 1):
        world.freeze()
        world.publish(number)
        asked = world.api.asks
        world.thaw()
        world.api.events.put({"eventType": "INVOKE", "requestId": "r"})
        read = world.read()
        old += read.version != f"1.{number}.0"
        waits.append(read.open_ms)
        world.api.wait_until_ready(asked + 1)
    return old / rounds, waits


def _check_ms(world: _World) -> float:
    """Return how long an INVOKE with a check takes: one round trip, and what the platform adds."""
    times = []
    for _ in range(100):
        began = time.perf_counter_ns()
        world.api.invoke()
        times.append((time.perf_counter_ns() - began) / _NS_PER_MS)
    return statistics.median(times)


def _after_freezes(program: Path, folder: Path) -> Table:
    with _world(program, folder, SERVICE_DISCOVERY_MAX_AGE="0") as world:
        old, waits = _rounds(world, _ROUNDS)
        check_ms = _check_ms(world)
    with _world(
        program, folder, SERVICE_DISCOVERY_MAX_AGE="0", SERVICE_DISCOVERY_HOLD_MS="0"
    ) as world:
        old_before, waits_before = _rounds(world, _ROUNDS_BEFORE)
    beyond = statistics.median(waits) - check_ms
    return Table(
        title="A read as the first thing after a freeze, with a new answer in the table",
        columns=["held", "not held"],
        rows=[
            Row(
                what="old answers",
                values=[f"{old:.1%}", f"{old_before:.0%}"],
                limit="none",
                holds=old == 0,
            ),
            Row(
                what="open(), median, ms",
                values=[f"{statistics.median(each):.2f}" for each in (waits, waits_before)],
            ),
            Row(
                what="… more than an event's check, ms",
                values=[f"{beyond:.2f}", ""],
                limit=f"at most {_MOST_WAIT_MS:g}",
                holds=beyond <= _MOST_WAIT_MS,
            ),
            Row(
                what="open(), 99th percentile, ms",
                values=[
                    f"{statistics.quantiles(each, n=100)[98]:.2f}" for each in (waits, waits_before)
                ],
            ),
        ],
        notes=f"{_ROUNDS:,} rounds; not held (HOLD_MS 0): {_ROUNDS_BEFORE}. An event's check takes "
        f"{check_ms:.2f} ms here.",
    )


def _fresh(program: Path, folder: Path) -> Table:
    plain = folder / "plain.json"
    plain.write_text("{}", encoding="utf-8")
    with _world(program, folder, SERVICE_DISCOVERY_MAX_AGE="86400") as world:
        leased = world.read(count=_FRESH_READS, pause_s=0.003).open_ms
        without = world.read(plain, count=_FRESH_READS, pause_s=0.003).open_ms
        before = world.processor_s()
        count = _READS_A_SECOND * _SECONDS
        began = time.monotonic()
        world.read(count=count, pause_s=0.0008)
        took = time.monotonic() - began
        share = (world.processor_s() - before) / took
    more = leased - without
    return Table(
        title="A read of a fresh file",
        columns=["with the layer", "without"],
        rows=[
            Row(what="open(), median, ms", values=[f"{leased:.3f}", f"{without:.3f}"]),
            Row(
                what="… more",
                values=[f"{more:.3f}", ""],
                limit=f"at most {_MOST_OPEN_MS:g}",
                holds=more <= _MOST_OPEN_MS,
            ),
            Row(
                what=f"the extension's share of a core at {count / took:,.0f} reads a second",
                values=[f"{share:.1%}", ""],
                limit=f"at most {_MOST_CPU:.0%}",
                holds=share <= _MOST_CPU,
            ),
        ],
        notes=f"{_FRESH_READS:,} reads, 3 ms apart; then {count:,} without a pause to speak of.",
    )
