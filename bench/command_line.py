"""How long the command line takes to show its help. Shell completion starts it often."""

import resource
import subprocess
import sys
import time
from collections.abc import Iterable
from statistics import median

from bench.report import Row, Table
from local.processes import ROOT

_ROUNDS = 15
_LIMIT_S = 0.15

_PROGRAMS = {
    "python -c pass": ["-c", "pass"],
    "import click": ["-c", "import click"],
    "service-registry --help": ["-m", "registry_cli", "--help"],
    "service-registry publish --help": ["-m", "registry_cli", "publish", "--help"],
}
_PROMISED = "service-registry --help"


def tables() -> Iterable[Table]:
    """Measure fresh interpreters, in turn.

    Their processor time hardly depends on the machine's load.
    """
    readings: dict[str, list[tuple[float, float]]] = {name: [] for name in _PROGRAMS}
    for _ in range(_ROUNDS):
        for name, arguments in _PROGRAMS.items():
            readings[name].append(_measure(arguments))
    rows = []
    for name, found in readings.items():
        elapsed, processor = ([each[column] for each in found] for column in (0, 1))
        is_promised = name == _PROMISED
        rows.append(
            Row(
                what=name,
                values=[
                    f"{1000 * each:.0f}"
                    for each in (min(processor), median(processor), median(elapsed))
                ],
                limit=f"{1000 * _LIMIT_S:.0f} ms" if is_promised else "",
                holds=not is_promised or min(processor) <= _LIMIT_S,
            )
        )
    yield Table(
        title="The command line's help",
        columns=["processor, least ms", "processor, median ms", "elapsed, median ms"],
        rows=rows,
        notes=f"{_ROUNDS} rounds of fresh interpreters, with their bytecode in place.",
    )


def _measure(arguments: list[str]) -> tuple[float, float]:
    """Return the elapsed time and the processor time of one run."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, *arguments], cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    elapsed, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)
    return elapsed, processor
