"""The extension, compared with other extensions.

Each round measures every program once, in a random order, so that other load on the machine affects
all of them equally. Interference only adds time, so the figures are first deciles.
`docs/performance.md` explains the results.
"""

import os
import random
import re
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from bench import extension_neighbours as neighbours
from bench import extension_programs
from bench.extension_neighbours import NEEDS, IndexProcess, Platform, RoundTrip, Run
from bench.extension_programs import Program, Programs
from bench.report import Row, Table
from local.execution_environment import Function, execution_environment
from local.processes import LocalStackError
from testing.shell_runtime import write_bootstrap

_START_ROUNDS = 100
_INVOKE_ROUNDS = 10
_INVOKES = 30
_EMULATOR_ROUNDS = 80
# Programs that take a hundred times as long are measured in every fifth round only.
_SLOW_EVERY = 5
_MANY = 10_000
_SETTLED_AFTER = 500
_YEAR_S = 86_400
_INIT = re.compile(r"INIT REPORT\(durationMs: ([0-9.]+)\)")

_MOST_INIT_MS = 1.0
_MOST_REGISTER_MS = 0.5
_INIT_SHARE = 30
_FILE_SHARE = 35
_MOST_KIB = 1_536
_MOST_GROWTH_KIB = 64
_MOST_INVOKE_MS = 0.15
_MOST_CHECK_MS = 1.5

Samples = dict[str, list[float]]


def tables() -> Iterable[Table]:
    """Measure everything; return the tables."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        programs = extension_programs.build(folder / "programs")
        roots = programs.own.layer / "service-discovery/roots.der"
        with (
            neighbours.undisturbed(),
            neighbours.index(folder, roots) as index,
            neighbours.platform() as platform,
        ):
            bench = _Bench(programs, index, platform, folder)
            yield bench.starts()
            yield bench.invocations()
            yield bench.many_invocations()
            yield bench.cold_starts()


def _typical(values: Sequence[float]) -> float:
    """Return the time without interference: the first decile."""
    return statistics.quantiles(values, n=10, method="inclusive")[0]


class _Bench:
    """Everything that is measured, with the same index, platform and needs."""

    def __init__(
        self, programs: Programs, index: IndexProcess, platform: Platform, folder: Path
    ) -> None:
        self._programs = programs
        self._index = index
        self._platform = platform
        self._folder = folder
        self._file = folder / "services.json"
        self._bootstrap = write_bootstrap(folder)
        self._columns = [program.name for program in programs.all()]

    def cold_starts(self) -> Table:
        """Measure the init duration that Lambda reports, including the function's init.

        The function is a shell script: the init of a larger runtime varies by more than what the
        extensions add to it. `slow_registry.py` measures one in Python, too.
        """
        programs = self._programs
        nothing = Program(name="no extension", layer=self._folder / "nothing", resolves=False)
        nothing.layer.mkdir()
        init: Samples = defaultdict(list)
        for program in self._rounds(_EMULATOR_ROUNDS, nothing):
            init[program.name].append(self._init_ms(program))
        added = {
            name: _typical(times) - _typical(init[nothing.name]) for name, times in init.items()
        }
        more = added[programs.own.name] - added[programs.idle_c.name]
        share = added[programs.boto3.name] / added[programs.own.name]
        rows = [
            self._row("init, ms", lambda name: f"{_typical(init[name]):.2f}"),
            self._row("added to the init, ms", lambda name: f"{added[name]:.2f}"),
            self._promise(
                "more than the idle extension in C, ms",
                f"{more:.2f}",
                f"at most {_MOST_INIT_MS:g}",
                holds=more <= _MOST_INIT_MS,
            ),
            self._promise(
                "boto3 adds so many times as much",
                f"{share:.0f}",
                f"at least {_INIT_SHARE}",
                holds=share >= _INIT_SHARE,
            ),
        ]
        if programs.idle_go:
            less = added[programs.idle_go.name] - added[programs.own.name]
            rows.append(
                self._promise(
                    "less than the idle extension in Go, ms",
                    f"{less:.2f}",
                    "more than 0",
                    holds=less > 0,
                )
            )
        return Table(
            title="A cold start under AWS's Runtime Interface Emulator",
            columns=self._columns,
            rows=rows,
            notes=f"A shell function; without an extension {_typical(init[nothing.name]):.2f} ms; "
            f"{len(NEEDS)} needs over TLS; {_EMULATOR_ROUNDS} rounds, of the "
            f"slow ones every {_SLOW_EVERY}th.",
        )

    def starts(self) -> Table:
        """Measure the time from the process's start to the file."""
        programs = self._programs
        registered: Samples = defaultdict(list)
        file: Samples = defaultdict(list)
        resident: Samples = defaultdict(list)
        for program in self._rounds(_START_ROUNDS):
            with self._running(program, _YEAR_S) as run:
                start = run.start(self._file if program.resolves else None)
                registered[program.name].append(start.registered_ms)
                file[program.name].append(start.file_ms)
                resident[program.name].append(run.resident_kib())
        own, idle_c = registered[programs.own.name], registered[programs.idle_c.name]
        more = _typical(own) - _typical(idle_c)
        share = _typical(file[programs.boto3.name]) / _typical(file[programs.own.name])
        most_kib = max(resident[programs.own.name])
        return Table(
            title="A start beside a bare Extensions API",
            columns=self._columns,
            rows=[
                self._row("registers after, ms", lambda name: f"{_typical(registered[name]):.2f}"),
                self._promise(
                    "more than the idle extension in C, ms",
                    f"{more:.2f}",
                    f"at most {_MOST_REGISTER_MS:g}",
                    holds=more <= _MOST_REGISTER_MS,
                ),
                self._row(
                    "a function can read the file after, ms",
                    lambda name: f"{_typical(file[name]):.2f}" if any(file[name]) else "",
                ),
                self._promise(
                    "boto3 takes so many times as long",
                    f"{share:.0f}",
                    f"at least {_FILE_SHARE}",
                    holds=share >= _FILE_SHARE,
                ),
                self._row("resident, KiB", lambda name: f"{_typical(resident[name]):,.0f}"),
                self._promise(
                    "at most, KiB",
                    f"{most_kib:,.0f}",
                    f"at most {_MOST_KIB:,}",
                    holds=most_kib <= _MOST_KIB,
                ),
            ],
            notes=f"{len(NEEDS)} needs over TLS; {_START_ROUNDS} rounds, of the slow "
            f"ones every {_SLOW_EVERY}th.",
        )

    def invocations(self) -> Table:
        """Measure how long an invocation waits for the extension."""
        programs = self._programs
        plain: Samples = defaultdict(list)
        checked: Samples = defaultdict(list)
        trips = []
        trip = RoundTrip(self._index)
        for _ in range(_INVOKE_ROUNDS):
            for program in programs.all():
                plain[program.name].append(self._invoke_ms(program, _YEAR_S))
                if program.resolves:
                    checked[program.name].append(self._invoke_ms(program, 0))
            trips.append(_typical([trip.take_ms() for _ in range(_INVOKES)]))
        trip.close()
        more = _typical(plain[programs.own.name]) - _typical(plain[programs.idle_c.name])
        beyond = _typical(checked[programs.own.name]) - _typical(trips)
        return Table(
            title="An invocation beside a bare Extensions API",
            columns=self._columns,
            rows=[
                self._row("without a check, ms", lambda name: f"{_typical(plain[name]):.3f}"),
                self._promise(
                    "more than the idle extension in C, ms",
                    f"{more:.3f}",
                    f"at most {_MOST_INVOKE_MS:g}",
                    holds=more <= _MOST_INVOKE_MS,
                ),
                self._row(
                    "with a check, ms",
                    lambda name: f"{_typical(checked[name]):.3f}" if checked[name] else "",
                ),
                self._promise(
                    "more than a bare round trip, ms",
                    f"{beyond:.3f}",
                    f"at most {_MOST_CHECK_MS:g}",
                    holds=beyond <= _MOST_CHECK_MS,
                ),
            ],
            notes=f"A bare round trip: the same request on an open connection, "
            f"{_typical(trips):.3f} ms. {_INVOKE_ROUNDS} rounds of {_INVOKES}.",
        )

    def many_invocations(self) -> Table:
        """Count the requests, and measure the memory, over many invocations with a check each."""
        connections, requests = self._index.counts()
        with self._running(self._programs.own, 0) as run:
            run.start(self._file)
            for _ in range(_SETTLED_AFTER):
                run.invoke_ms()
            settled = run.resident_kib()
            for _ in range(_MANY - _SETTLED_AFTER):
                run.invoke_ms()
            resident = run.resident_kib()
            after = self._index.counts()
            connected, asked = after[0] - connections, after[1] - requests
            platform = self._platform
            calls, calls_on = platform.calls, platform.connections
        limit = f"at most {_MOST_KIB:,} KiB, and {_MOST_GROWTH_KIB} more"
        return Table(
            title=f"{_MANY:,} invocations, each with a check",
            columns=["first", "last"],
            rows=[
                Row(
                    what=f"resident after {_SETTLED_AFTER}, and after all, KiB",
                    values=[f"{settled:,}", f"{resident:,}"],
                    limit=limit,
                    holds=resident <= _MOST_KIB and resident - settled <= _MOST_GROWTH_KIB,
                ),
                Row(
                    what="connections to the table, requests on them",
                    values=[f"{connected:,}", f"{asked:,}"],
                    limit=f"1, and {_MANY + 1:,}: one for the init, one for each check",
                    holds=(connected, asked) == (1, _MANY + 1),
                ),
                Row(
                    what="connections to the platform, calls on them",
                    values=[f"{calls_on:,}", f"{calls:,}"],
                    limit=f"1, and {_MANY + 2:,}: register, and next for each event",
                    holds=(calls_on, calls) == (1, _MANY + 2),
                ),
            ],
        )

    def _row(self, what: str, value: Callable[[str], str]) -> Row:
        return Row(what=what, values=[value(name) for name in self._columns])

    def _promise(self, what: str, value: str, limit: str, *, holds: bool) -> Row:
        """Return a limit on the first column, the extension's."""
        values = [value] + [""] * (len(self._columns) - 1)
        return Row(what=f"… {what}", values=values, limit=limit, holds=holds)

    def _rounds(self, rounds: int, *besides: Program) -> Iterator[Program]:
        """Yield the programs for each round, in a random order.

        A large program fills the processor's caches, which slows the next one down.
        """
        slow = (self._programs.boto3, self._programs.cpython)
        order = random.Random(rounds)  # noqa: S311  # for a random order
        programs = [*besides, *self._programs.all()]
        for number in range(rounds):
            order.shuffle(programs)
            for program in programs:
                if program not in slow or number % _SLOW_EVERY == 0:
                    yield program

    def _environment(self, max_age_s: int) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "NEEDED_SERVICES": ",".join(NEEDS),
            "SERVICES_FILE": str(self._file),
            "SERVICE_DISCOVERY_MAX_AGE": str(max_age_s),
            "AWS_ENDPOINT_URL_DYNAMODB": self._index.url,
            "AWS_CA_BUNDLE": str(self._index.bundle),
            "AWS_REGION": "eu-west-1",
            "AWS_DEFAULT_REGION": "eu-west-1",
            "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_SESSION_TOKEN": "token" * 150,
        }

    def _running(self, program: Program, max_age_s: int) -> AbstractContextManager[Run]:
        self._file.unlink(missing_ok=True)
        return neighbours.running(self._platform, program.path, self._environment(max_age_s))

    def _invoke_ms(self, program: Program, max_age_s: int) -> float:
        with self._running(program, max_age_s) as run:
            run.start(self._file if program.resolves else None)
            return _typical([run.invoke_ms() for _ in range(_INVOKES)])

    def _init_ms(self, program: Program) -> float:
        """Start an environment, invoke its function; return the init time by its log."""
        self._file.unlink(missing_ok=True)
        if not program.resolves:
            # The handler reads the file.
            self._file.write_text("{}", encoding="utf-8")
        function = Function(
            name="consumer",
            command=[str(self._bootstrap), "handler"],
            variables=self._environment(_YEAR_S),
        )
        work = self._folder / "environment"
        with execution_environment(function, program.layer, work) as environment:
            invocation = environment.invoke()
            log = environment.log.read_text(encoding="utf-8")
        environment.log.unlink()
        found = _INIT.search(log)
        if invocation.status != 200 or found is None:
            message = f"no good start with {program.name}: {invocation}\n{log}"
            raise LocalStackError(message)
        return float(found[1])
