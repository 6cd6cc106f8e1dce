"""A cold start, and an end, while the registry is slow or silent.

The cold start is measured under AWS's Runtime Interface Emulator. The function reads the services
file in its handler and not in module code. Each round measures every case once, in a random order.
`docs/performance.md` explains the results.
"""

import random
import re
import signal
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from bench import extension_neighbours, extension_programs
from bench.extension_neighbours import Run
from bench.extension_programs import Program
from bench.report import Row, Table
from extension.init_mark import InitMark
from local.execution_environment import Function, execution_environment, python_function
from local.processes import LocalStackError
from testing import index_server
from testing.arns import ARN
from testing.index_server import IndexServer, item
from testing.shell_runtime import write_bootstrap

_ROUNDS = 100
_NEED = "users"
_SLOW_S = 0.3
# A silent registry ends the first resolve after this time.
_TIMEOUT_MS = 600
_MOST_MORE_MS = 1.0
# The boot of a large runtime varies by more than that.
_MOST_MORE_SHARE = 0.05
_MOST_TIMES = 1.1
_END_ROUNDS = 20
_MOST_END_MS = 200
_INIT = re.compile(r"INIT REPORT\(durationMs: ([0-9.]+)\)")
_HANDLER = """
import os

def handler(event, context):
    with open(os.environ["SERVICES_FILE"], encoding="utf-8") as file:
        return file.read()
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _RegistryCase:
    """An extension, and a registry that takes some time; `silent` never responds."""

    name: str
    program: Program
    delay_s: float = 0
    is_silent: bool = False


def tables() -> Iterable[Table]:
    """Measure inits with two runtimes."""
    with (
        tempfile.TemporaryDirectory() as scratch,
        closing(IndexServer()) as index,
        extension_neighbours.undisturbed(),
    ):
        folder = Path(scratch)
        index.put(_NEED, "latest", item("1.4.2", ARN))
        nothing = Program(name="no extension", layer=folder / "nothing", resolves=False)
        nothing.layer.mkdir()
        own = extension_programs.own(folder / "own")
        cases = [
            _RegistryCase(name="no extension", program=nothing),
            _RegistryCase(name="idle, in C", program=extension_programs.idle_c(folder / "idle_c")),
            _RegistryCase(name="ours, responding", program=own),
            _RegistryCase(name=f"ours, {_SLOW_S * 1000:.0f} ms", program=own, delay_s=_SLOW_S),
            _RegistryCase(name="ours, silent", program=own, is_silent=True),
        ]
        measurement = _InitMeasurement(cases, index, folder)
        yield measurement.inits()
        yield measurement.ends(own)


class _InitMeasurement:
    """Inits with all cases and both runtimes."""

    def __init__(self, cases: list[_RegistryCase], index: IndexServer, folder: Path) -> None:
        self._cases = cases
        self._index = index
        self._folder = folder
        self._file = folder / "services.json"
        variables = {
            "NEEDED_SERVICES": _NEED,
            "SERVICES_FILE": str(self._file),
            "SERVICE_DISCOVERY_TIMEOUT_MS": str(_TIMEOUT_MS),
            "AWS_ENDPOINT_URL_DYNAMODB": index.url,
            "AWS_REGION": "eu-west-1",
            "AWS_ACCESS_KEY_ID": "AKID",
            "AWS_SECRET_ACCESS_KEY": "SECRET",
            "AWS_SESSION_TOKEN": "TOKEN",
        }
        self._variables = variables
        bootstrap = write_bootstrap(folder)
        (folder / "app.py").write_text(_HANDLER, encoding="utf-8")
        self._functions = {
            "shell": Function(
                name="consumer", command=[str(bootstrap), "handler"], variables=variables
            ),
            "Python": python_function(
                "consumer", "app.handler", {**variables, "PYTHONPATH": str(folder)}
            ),
        }

    def inits(self) -> Table:
        """Measure the init duration that Lambda reports, including the function's init."""
        samples: dict[tuple[str, str], list[float]] = defaultdict(list)
        runs = [(runtime, case) for runtime in self._functions for case in self._cases]
        order = random.Random(_ROUNDS)  # noqa: S311  # for a random order
        for _ in range(_ROUNDS):
            order.shuffle(runs)
            for runtime, case in runs:
                samples[runtime, case.name].append(self._init_ms(self._functions[runtime], case))
        rows = []
        for runtime in self._functions:
            rows += self._rows(
                runtime, [_typical(samples[runtime, case.name]) for case in self._cases]
            )
        return Table(
            title="The init beside a slow registry, under AWS's Runtime Interface Emulator",
            columns=[case.name for case in self._cases],
            rows=rows,
            notes=f"One need; the silent registry accepts connections, and the first resolve gives "
            f"up after {_TIMEOUT_MS} ms. {_ROUNDS} rounds, first deciles.",
        )

    def ends(self, own: Program) -> Table:
        """Measure how long the extension takes to end, in two states."""
        stops = {"SHUTDOWN": None, "SIGTERM": signal.SIGTERM, "SIGINT": signal.SIGINT}
        rows = []
        for what, is_silent in (("waiting for an event", False), ("in the first resolve", True)):
            self._index.delay_s = 0
            self._index.fault = index_server.silence if is_silent else None
            most_ms = [
                max(self._end_ms(own, number) for _ in range(_END_ROUNDS))
                for number in stops.values()
            ]
            rows.append(
                Row(
                    what=f"{what}, ms",
                    values=[f"{each:.1f}" for each in most_ms],
                    limit=f"at most {_MOST_END_MS}, status 0",
                    holds=max(most_ms) <= _MOST_END_MS,
                )
            )
        return Table(
            title="The end of our extension",
            columns=list(stops),
            rows=rows,
            notes=f"The longest of {_END_ROUNDS}.",
        )

    def _end_ms(self, own: Program, number: signal.Signals | None) -> float:
        self._file.unlink(missing_ok=True)
        with extension_neighbours.platform() as platform:
            log = self._folder / "log"
            run = Run(platform, [str(own.path)], self._variables, log=log)
            run.start(None)
            if self._index.fault is None:
                # Held until the first resolve has ended.
                self._file.read_bytes()
            took_ms = run.stop_ms(number)
        # The first resolve was not ended.
        InitMark(str(self._file)).end()
        return took_ms

    def _rows(self, runtime: str, times_ms: list[float]) -> list[Row]:
        bare_ms, idle_ms, responding_ms, *slow_ms = times_ms
        more_ms = [each - idle_ms for each in (responding_ms, *slow_ms)]
        ratios = [each / responding_ms for each in slow_ms]
        return [
            Row(what=f"{runtime}: init, ms", values=[f"{each:.2f}" for each in times_ms]),
            Row(
                what="… added, ms",
                values=["", *(f"{each - bare_ms:.2f}" for each in times_ms[1:])],
            ),
            Row(
                what="… more than the idle extension adds, ms",
                values=["", "", *(f"{each:.2f}" for each in more_ms)],
                limit=f"at most {_MOST_MORE_MS:g}, or {_MOST_MORE_SHARE:.0%} of the init",
                holds=max(more_ms) <= max(_MOST_MORE_MS, _MOST_MORE_SHARE * idle_ms),
            ),
            Row(
                what="… times the init beside a responding registry",
                values=["", "", "", *(f"{each:.2f}" for each in ratios)],
                limit=f"at most {_MOST_TIMES:g}",
                holds=max(ratios) <= _MOST_TIMES,
            ),
        ]

    def _init_ms(self, function: Function, case: _RegistryCase) -> float:
        """Start an environment, invoke its function; return the init time by its log."""
        self._file.unlink(missing_ok=True)
        if not case.program.resolves:
            # The handler reads the file.
            self._file.write_text("{}", encoding="utf-8")
        self._index.delay_s = case.delay_s
        self._index.fault = index_server.silence if case.is_silent else None
        work = self._folder / "environment"
        with execution_environment(function, case.program.layer, work) as environment:
            invocation = environment.invoke()
            log = environment.log.read_text(encoding="utf-8")
        environment.log.unlink()
        InitMark(str(self._file)).end()
        found = _INIT.search(log)
        if invocation.status != 200 or found is None:
            message = f"no good start with {case.name}: {invocation}\n{log}"
            raise LocalStackError(message)
        return float(found[1])


def _typical(values: list[float]) -> float:
    """Return the time without interference: the first decile."""
    return statistics.quantiles(values, n=10, method="inclusive")[0]
