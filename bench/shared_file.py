"""Four extensions that share one services file, as on EFS, and its readers.

Each writer has a platform of its own, which sends one event after the other. In Lambda,
environments that share a file have separate kernels, and EFS grants no leases: the first column. In
the others all processes have the same kernel, which grants leases.
"""

import errno
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench import extension_programs
from bench.extension_neighbours import NEEDS, Platform, Run
from bench.report import Row, Table
from local.processes import LocalStackError
from testing import refused_leases
from testing.arns import ARN
from testing.index_server import IndexServer, item

_WRITERS = 4
_READERS = 4
_READS = 100_000
# A reader with a MAX_AGE of 0 waits 25 ms for an event at most of its reads.
_READS_OF_EACH_EVENT = 2_000
_EVENT_EVERY_S = 0.002
_CHANGE_EVERY_S = 0.02
_MS_PER_S = 1_000
# Reads the file again and again, and prints how long the reads took together and the longest one.
# It fails if the document is incomplete, or mixes two versions.
_READER = """
import json, sys, time
total = longest = 0
for _ in range(int(sys.argv[2])):
    began = time.perf_counter()
    with open(sys.argv[1], encoding="utf-8") as file:
        text = file.read()
    took = time.perf_counter() - began
    members = json.loads(text)
    assert len(members) == 10 and len({member["version"] for member in members.values()}) == 1, text
    total, longest = total + took, max(longest, took)
    time.sleep(0.0002)
print(json.dumps([total, longest]))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sharing:
    """A way to share the file.

    Attributes:
        name: The column of the table.
        reads: How many reads there are.
        entered_by: The command that starts the writers.
        variables: Their variables.
    """

    name: str
    reads: int = _READS
    entered_by: Sequence[str] = ()
    variables: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shared:
    """What was seen: each number for all writers and readers."""

    reads: int
    failed: int
    errors: int
    events: int
    changes: int
    took_s: float
    mean_ms: float
    longest_ms: float


def tables() -> Iterable[Table]:
    """Read a shared file many times, with and without leases."""
    ways = [
        _Sharing(
            name="no leases (EFS)",
            entered_by=refused_leases.command(errno.EAGAIN),
            variables={"SERVICE_DISCOVERY_MAX_AGE": "0"},
        ),
        _Sharing(
            name="HOLD_MS 0",
            variables={"SERVICE_DISCOVERY_MAX_AGE": "0", "SERVICE_DISCOVERY_HOLD_MS": "0"},
        ),
        _Sharing(name="held, MAX_AGE 1", variables={"SERVICE_DISCOVERY_MAX_AGE": "1"}),
        _Sharing(
            name="held, MAX_AGE 0",
            reads=_READS_OF_EACH_EVENT,
            variables={"SERVICE_DISCOVERY_MAX_AGE": "0"},
        ),
    ]
    with tempfile.TemporaryDirectory() as scratch, closing(IndexServer()) as index:
        folder = Path(scratch)
        program = extension_programs.own(folder / "own").path
        found = []
        for number, way in enumerate(ways):
            shared = folder / str(number)
            shared.mkdir()
            found.append(_share(way, program, index, shared))
        yield _table(ways, found)


def _table(ways: list[_Sharing], found: list[_Shared]) -> Table:
    return Table(
        title=f"{_WRITERS} extensions with one services file",
        columns=[way.name for way in ways],
        rows=[
            Row(
                what="reads",
                values=[f"{each.reads:,}" for each in found],
                limit=f"{_READS:,}; the last one: {_READS_OF_EACH_EVENT:,}",
                holds=all(each.reads == way.reads for each, way in zip(found, ways, strict=True)),
            ),
            Row(
                what="… that found no complete document of one version",
                values=[str(each.failed) for each in found],
                limit="none",
                holds=not any(each.failed for each in found),
            ),
            Row(
                what="log lines at ERROR",
                values=[str(each.errors) for each in found],
                limit="none",
                holds=not any(each.errors for each in found),
            ),
            Row(what="changes meanwhile", values=[f"{each.changes:,}" for each in found]),
            Row(what="events meanwhile", values=[f"{each.events:,}" for each in found]),
            Row(
                what="reads a second", values=[f"{each.reads / each.took_s:,.0f}" for each in found]
            ),
            Row(what="a read, mean, ms", values=[f"{each.mean_ms:.2f}" for each in found]),
            Row(what="… the longest, ms", values=[f"{each.longest_ms:.0f}" for each in found]),
        ],
        notes=f"{_READERS} readers; a change every {_CHANGE_EVERY_S * _MS_PER_S:.0f} ms, and "
        f"{_EVENT_EVERY_S * _MS_PER_S:.0f} ms between two events of a writer.",
    )


class _ChangingIndex:
    """Publishes versions of all needs at one moment."""

    def __init__(self, index: IndexServer) -> None:
        self._index = index
        self.changes = 0
        self.publish()

    def publish(self) -> None:
        """Let all needs resolve to the next version."""
        self.changes += 1
        version = item(f"1.{self.changes}.0", ARN, revision=self.changes)
        self._index.items = {(need, "latest"): version for need in NEEDS}


class _Writer:
    """An extension with its platform, which sends it events until it is stopped."""

    def __init__(self, command: Sequence[str], environment: dict[str, str], log: Path) -> None:
        self.log = log
        self.events = 0
        self._platform = Platform()
        self._run = Run(self._platform, command, environment, log=log)
        self._run.start(None)
        self._is_stopped = threading.Event()
        self._thread = threading.Thread(target=self._send)

    def begin(self) -> None:
        """Send events from now on."""
        self._thread.start()

    def _send(self) -> None:
        while not self._is_stopped.wait(_EVENT_EVERY_S):
            self._run.invoke_ms()
            self.events += 1

    def stop(self) -> None:
        """Send no more events; wait for the last one."""
        self._is_stopped.set()
        self._thread.join()

    def close(self) -> None:
        """End the extension."""
        self._run.end()
        self._platform.close()


def _share(way: _Sharing, program: Path, index: IndexServer, folder: Path) -> _Shared:
    published = _ChangingIndex(index)
    file = folder / "services.json"
    with _writing(way, program, index, folder, file) as writers:
        began = time.monotonic()
        command = [sys.executable, "-IS", "-c", _READER, str(file), str(way.reads // _READERS)]
        readers = [
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for _ in range(_READERS)
        ]
        for writer in writers:
            writer.begin()
        while any(reader.poll() is None for reader in readers):
            time.sleep(_CHANGE_EVERY_S)
            published.publish()
        took_s = time.monotonic() - began
        for writer in writers:
            writer.stop()
    ended = [reader.communicate() for reader in readers]
    times = [json.loads(output) for output, _ in ended if output]
    for _, errors in ended:
        print(errors, end="", file=sys.stderr)
    if not times:
        message = "no reader has finished; the readers' errors are above"
        raise LocalStackError(message)
    reads = len(times) * (way.reads // _READERS)
    return _Shared(
        reads=reads,
        failed=len(readers) - len(times),
        errors=sum(writer.log.read_text("utf-8").count("ERROR") for writer in writers),
        events=sum(writer.events for writer in writers),
        changes=published.changes,
        took_s=took_s,
        mean_ms=sum(total for total, _ in times) / reads * _MS_PER_S,
        longest_ms=max(longest for _, longest in times) * _MS_PER_S,
    )


@contextmanager
def _writing(
    way: _Sharing, program: Path, index: IndexServer, folder: Path, file: Path
) -> Iterator[list[_Writer]]:
    """Start one writer after the other: in Lambda, each one has its own /tmp for its init mark."""
    environment = {
        "NEEDED_SERVICES": ",".join(NEEDS),
        "SERVICES_FILE": str(file),
        "AWS_ENDPOINT_URL_DYNAMODB": index.url,
        "AWS_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "AKID",
        "AWS_SECRET_ACCESS_KEY": "SECRET",
        "AWS_SESSION_TOKEN": "TOKEN",
        **way.variables,
    }
    with ExitStack() as stack:
        writers = []
        for number in range(_WRITERS):
            command = [*way.entered_by, str(program)]
            writers.append(_Writer(command, environment, folder / f"log-{number}"))
            stack.callback(writers[-1].close)
            # A reader is held until the first resolve has ended.
            file.read_bytes()
        yield writers
