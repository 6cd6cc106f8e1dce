"""The cost of a read of the services file, and the age of its answer.

A freeze is SIGSTOP for both processes, the extension and the reader. The environments take turns:
each is frozen for more than MAX_AGE while the others have their rounds.
"""

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench import extension_neighbours as neighbours
from bench.extension_neighbours import NEEDS, IndexProcess, Platform, RoundTrip, Run
from bench.report import Row, Table
from local.execution_environment import own_arch
from local.processes import ROOT
from testing.held_readers import is_leased

_ENVIRONMENTS = 20
_ROUNDS = 1_000
_ROUNDS_OF_TEN = 200
_ROUNDS_BEFORE = 100
_ROUNDS_OF_MANY = 100
_READS_IN_A_ROW = 300
# The runtime responds after its last read, before the platform can freeze it.
_RESPONSE_S = 0.001
_OF_EACH_LANGUAGE = 10
_ROUNDS_OF_EACH_LANGUAGE = 500
_MAX_AGE_S = 1
_FRESH_READS = 2_000
_READS_A_SECOND = 1_000
_SECONDS = 5
_MOST_WAIT_MS = 0.5
_MOST_OPEN_MS = 0.1
_MOST_CPU = 0.02
_NS_PER_MS = 1_000_000
# Each waits for a line with the file's path, reads the file, and prints the time and the document.
# Only the one in Python measures the time, and reads several times.
_PYTHON = """
import os, sys, time
for line in sys.stdin:
    path, count, gap = line.split()
    times = []
    due = time.monotonic()
    for _ in range(int(count)):
        due += float(gap)
        time.sleep(max(0, due - time.monotonic()))
        began = time.perf_counter_ns()
        fd = os.open(path, os.O_RDONLY)
        times.append(time.perf_counter_ns() - began)
        data = os.read(fd, 1 << 20)
        os.close(fd)
    print(sorted(times)[len(times) // 2], data.decode().replace(chr(10), " "), flush=True)
"""
_SHELL = r"""
while read -r path _; do echo "0 $(tr '\n' ' ' < "$path")"; done
"""
_PERL = r"""
$| = 1;
while (<STDIN>) {
    my ($path) = split;
    open(my $file, "<", $path) or die $!;
    my $text = do { local $/; <$file> };
    close($file);
    $text =~ tr/\n/ /;
    print "0 $text\n";
}
"""
_NODE = r"""
const fs = require("fs");
require("readline").createInterface({ input: process.stdin }).on("line", (line) => {
    const text = fs.readFileSync(line.split(" ")[0], "utf8");
    console.log(`0 ${text.replaceAll("\n", " ")}`);
});
"""
_READERS = {
    "Python": [sys.executable, "-IS", "-c", _PYTHON],
    "Node.js": ["node", "-e", _NODE],
    "Perl": ["perl", "-e", _PERL],
    "shell": ["sh", "-c", _SHELL],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """One read: how long `open` took (the median of several), and the version that was read."""

    open_ms: float
    version: str


class _FrozenEnvironment:
    """An extension, its platform and a reader."""

    def __init__(
        self,
        program: Path,
        index: IndexProcess,
        file: Path,
        language: str = "Python",
        **variables: str,
    ) -> None:
        self.file = file
        self.language = language
        self.platform = Platform()
        self._reader = subprocess.Popen(
            _READERS[language],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self.run = Run(
            self.platform,
            [str(program)],
            {
                "NEEDED_SERVICES": ",".join(NEEDS),
                "SERVICES_FILE": str(file),
                "AWS_ENDPOINT_URL_DYNAMODB": index.url,
                "AWS_CA_BUNDLE": str(index.bundle),
                "AWS_REGION": "eu-west-1",
                "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
                "AWS_SECRET_ACCESS_KEY": "secret",
                **variables,
            },
        )
        self.run.start(None)
        self.read()

    def close(self) -> None:
        """End everything."""
        self.run.end()
        self._reader.kill()
        self._reader.communicate()
        self.platform.close()

    def read(self, path: Path | None = None, *, count: int = 1, gap_s: float = 0) -> _Read:
        """Have the reader open the file."""
        self.begin_read(path, count=count, gap_s=gap_s)
        return self.end_read()

    def begin_read(self, path: Path | None = None, *, count: int = 1, gap_s: float = 0) -> None:
        """Have the reader open the file, without waiting for it."""
        assert self._reader.stdin is not None
        self._reader.stdin.write(f"{path or self.file} {count} {gap_s}\n")

    def end_read(self) -> _Read:
        """Return what was read."""
        assert self._reader.stdout is not None
        taken, _, document = self._reader.stdout.readline().partition(" ")
        version = json.loads(document)[NEEDS[0]]["version"] if NEEDS[0] in document else ""
        return _Read(open_ms=int(taken) / _NS_PER_MS, version=version)

    def freeze(self) -> None:
        """Stop the extension and the reader, and wait until they are stopped."""
        pids = (self.run.pid, self._reader.pid)
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        while any(_state(pid) != "T" for pid in pids):
            time.sleep(0)

    def thaw(self) -> None:
        """Let both continue, the reader first."""
        for pid in (self._reader.pid, self.run.pid):
            os.kill(pid, signal.SIGCONT)


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0]


@dataclass
class _World:
    """Environments in turns, and the index."""

    index: IndexProcess
    environments: list[_FrozenEnvironment]
    frozen_for_s: float
    frozen_at: dict[int, float] = field(default_factory=dict)

    def turns(self, rounds: int) -> "Iterator[tuple[_FrozenEnvironment, str]]":
        """Return each environment in turn, once its last check is due, with a new answer's version.

        It is frozen before and after.
        """
        for number, environment in enumerate(self.environments):
            environment.freeze()
            self.frozen_at[number] = time.monotonic()
        for turn in range(rounds):
            number = turn % len(self.environments)
            environment = self.environments[number]
            time.sleep(max(0, self.frozen_at[number] + self.frozen_for_s - time.monotonic()))
            yield environment, self.index.publish_next()
            environment.freeze()
            self.frozen_at[number] = time.monotonic()
        for environment in self.environments:
            environment.thaw()


@contextmanager
def _world(
    program: Path,
    index: IndexProcess,
    folder: Path,
    *,
    languages: Sequence[str] = ("Python",),
    max_age_s: int,
    **variables: str,
) -> Iterator[_World]:
    """Start an environment for each of *languages*."""
    variables["SERVICE_DISCOVERY_MAX_AGE"] = str(max_age_s)
    with ExitStack() as stack:
        started = []
        for number, language in enumerate(languages):
            file = folder / f"services-{number}.json"
            file.unlink(missing_ok=True)
            started.append(_FrozenEnvironment(program, index, file, language, **variables))
            stack.callback(started[-1].close)
        yield _World(index, started, frozen_for_s=max_age_s + 0.05 if max_age_s else 0)


def tables() -> Iterable[Table]:
    """Measure reads after a freeze, reads of a fresh file, and many reads a second."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        layer = folder / "layer"
        build = [sys.executable, "layer/build.py", "--arch", own_arch(), "--output", str(layer)]
        subprocess.run(build, cwd=ROOT, check=True)
        program = layer / "extensions/service-discovery"
        roots = layer / "service-discovery/roots.der"
        with neighbours.undisturbed(), neighbours.index(folder, roots) as index:
            yield _after_freezes(program, index, folder)
            yield _in_four_languages(program, index, folder)
            yield _fresh(program, index, folder)


def _invoke(environment: _FrozenEnvironment) -> None:
    environment.platform.respond(
        {"eventType": "INVOKE", "deadlineMs": int(time.time() * 1000) + 30_000, "requestId": "r"}
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rounds:
    """The first reads after freezes."""

    old: int
    unleased: int
    waits_ms: list[float]
    trips_ms: list[float]

    @property
    def old_share(self) -> str:
        """The share of old answers."""
        return f"{self.old / len(self.waits_ms):.1%}"

    @property
    def beyond_ms(self) -> float:
        """How much longer than a bare round trip `open` takes: medians."""
        return statistics.median(self.waits_ms) - statistics.median(self.trips_ms)

    def wait_ms(self, percent: int) -> str:
        """Return a percentile of the waits."""
        return f"{statistics.quantiles(self.waits_ms, n=100)[percent - 1]:.2f}"


def _rounds(
    program: Path,
    index: IndexProcess,
    folder: Path,
    *,
    needs: int,
    rounds: int,
    more_reads: int = 0,
    **variables: str,
) -> _Rounds:
    """Thaw, invoke and read; freeze as soon as a platform could.

    Args:
        more_reads: How many reads follow in a row, before the freeze.
    """
    trip = RoundTrip(index)
    old = unleased = 0
    waits = []
    trips = []
    with _world(
        program,
        index,
        folder,
        languages=["Python"] * _ENVIRONMENTS,
        max_age_s=_MAX_AGE_S,
        NEEDED_SERVICES=",".join(NEEDS[:needs]),
        **variables,
    ) as world:
        for environment, version in world.turns(rounds):
            trips.append(trip.take_ms())
            unleased += not is_leased(environment.file)
            read = _thaw_and_read(environment)
            old += read.version != version
            waits.append(read.open_ms)
            if more_reads:
                environment.read(count=more_reads)
                time.sleep(_RESPONSE_S)
    trip.close()
    return _Rounds(old=old, unleased=unleased, waits_ms=waits, trips_ms=trips)


def _thaw_and_read(environment: _FrozenEnvironment) -> _Read:
    """Let the reader open the file as its first instruction, just before INVOKE is sent."""
    environment.begin_read()
    environment.thaw()
    _invoke(environment)
    read = environment.end_read()
    environment.platform.receive()
    return read


def _in_four_languages(program: Path, index: IndexProcess, folder: Path) -> Table:
    rows = []
    for max_age_s in (_MAX_AGE_S, 0):
        old: Counter[str] = Counter()
        with _world(
            program,
            index,
            folder,
            languages=list(_READERS) * _OF_EACH_LANGUAGE,
            max_age_s=max_age_s,
            NEEDED_SERVICES=NEEDS[0],
        ) as world:
            for environment, version in world.turns(_ROUNDS_OF_EACH_LANGUAGE * len(_READERS)):
                old[environment.language] += _thaw_and_read(environment).version != version
        rows.append(
            Row(
                what=f"old answers, MAX_AGE {max_age_s}",
                values=[f"{old[each] / _ROUNDS_OF_EACH_LANGUAGE:.1%}" for each in _READERS],
                limit="none",
                holds=not old.total(),
            )
        )
    return Table(
        title="The same in four languages",
        columns=list(_READERS),
        rows=rows,
        notes=f"{_ROUNDS_OF_EACH_LANGUAGE:,} rounds in each language, with one need.",
    )


def _after_freezes(program: Path, index: IndexProcess, folder: Path) -> Table:
    one = _rounds(program, index, folder, needs=1, rounds=_ROUNDS)
    ten = _rounds(program, index, folder, needs=len(NEEDS), rounds=_ROUNDS_OF_TEN)
    before = _rounds(
        program,
        index,
        folder,
        needs=1,
        rounds=_ROUNDS_BEFORE,
        SERVICE_DISCOVERY_HOLD_MS="0",
    )
    many = _rounds(
        program, index, folder, needs=1, rounds=_ROUNDS_OF_MANY, more_reads=_READS_IN_A_ROW
    )
    every = (one, ten, before, many)
    return Table(
        title="A read as the first thing after a freeze, with a new answer in the table",
        columns=["one need", "ten needs", "not held", f"after {_READS_IN_A_ROW} reads"],
        rows=[
            Row(
                what="old answers",
                values=[each.old_share for each in every],
                limit="one or ten needs: none",
                holds=one.old + ten.old == 0,
            ),
            Row(
                what="frozen without a lease",
                values=[str(one.unleased), str(ten.unleased), "", str(many.unleased)],
            ),
            Row(what="open(), median, ms", values=[each.wait_ms(50) for each in every]),
            Row(
                what="… more than a bare round trip, ms",
                values=[f"{one.beyond_ms:.2f}", f"{ten.beyond_ms:.2f}", "", ""],
                limit=f"one need: at most {_MOST_WAIT_MS:g}",
                holds=one.beyond_ms <= _MOST_WAIT_MS,
            ),
            Row(what="open(), 99th percentile, ms", values=[each.wait_ms(99) for each in every]),
        ],
        notes=f"{_ROUNDS:,} rounds with one need, {_ROUNDS_OF_TEN} with ten, {_ROUNDS_BEFORE} with "
        f"HOLD_MS 0, {_ROUNDS_OF_MANY} in which {_READS_IN_A_ROW} reads in a row come "
        f"{_RESPONSE_S * 1000:.0f} ms before the freeze. A bare round trip takes "
        f"{statistics.median(one.trips_ms):.2f} ms here.",
    )


def _fresh(program: Path, index: IndexProcess, folder: Path) -> Table:
    plain = folder / "plain.json"
    plain.write_text("{}", encoding="utf-8")
    with _world(program, index, folder, max_age_s=86_400) as world:
        (environment,) = world.environments
        leased = environment.read(count=_FRESH_READS, gap_s=0.003).open_ms
        without = environment.read(plain, count=_FRESH_READS, gap_s=0.003).open_ms
        before = environment.run.processor_s()
        count = _READS_A_SECOND * _SECONDS
        began = time.monotonic()
        environment.read(count=count, gap_s=1 / _READS_A_SECOND)
        took = time.monotonic() - began
        share = (environment.run.processor_s() - before) / took
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
        notes=f"{_FRESH_READS:,} reads, 3 ms apart; then {count:,}, 1 ms apart.",
    )
