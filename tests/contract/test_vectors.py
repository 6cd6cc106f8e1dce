"""The vectors, run by both interpreters: the shipped one and that of the other tests."""

import subprocess
import sys

import pytest

from tests.conftest import ROOT, BuiltLayer


@pytest.mark.parametrize("interpreter", ["micropython", "cpython"])
def test_both_interpreters_agree_with_the_vectors(interpreter: str, layer: BuiltLayer) -> None:
    """The program's frozen modules and the working tree have the same results."""
    program = str(layer.micropython) if interpreter == "micropython" else sys.executable
    run = subprocess.run(
        [program, str(ROOT / "tests/vectors/run_vectors.py"), str(ROOT / "tests/vectors")],
        env={"PYTHONPATH": str(ROOT), "MICROPYPATH": ".frozen", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stderr + run.stdout
    count, _, rest = run.stdout.splitlines()[-1].partition(" ")
    assert rest == "checks, 0 failed", run.stdout
    assert int(count) > 2_000
