"""Tools that examples are checked with: installed below `build/` in CI, else the test is skipped.

Callers pin the versions. There is no lock file: that would name the address of a registry.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from local.processes import ROOT, one_at_a_time

CDK = ("aws-cdk-lib==2.275.0", "constructs>=10,<11")
_INSTALLED_WITHIN_S = 150
_ENDED_WITHIN_S = 300


def python_with(*packages: str) -> Path:
    """Return a Python that has these packages, in an environment of its own."""
    folder = ROOT / "build/tools" / _name(packages[0])
    python = folder / "bin/python"

    def install() -> None:
        _run([sys.executable, "-m", "venv", str(folder)])
        _run([str(python), "-m", "pip", "install", "--quiet", "--no-compile", *packages])

    _once(folder, packages, install)
    return python


def node_program(name: str, package: str) -> Path:
    """Return a program of a package of npm's."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed here")
    folder = ROOT / "build/tools" / _name(package)

    def install() -> None:
        folder.mkdir(parents=True)
        options = ["--no-package-lock", "--no-audit", "--no-fund", "--prefix", str(folder)]
        _run([npm, "install", *options, package])

    _once(folder, (package,), install)
    return folder / "node_modules/.bin" / name


def _name(package: str) -> str:
    return re.sub(r"[^a-z0-9.-]+", "-", package)


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=_INSTALLED_WITHIN_S)


def _once(folder: Path, packages: tuple[str, ...], install: Callable[[], None]) -> None:
    # Tests run in several processes: one installs, the others wait for it.
    with one_at_a_time(folder.with_name(f"{folder.name}.lock")):
        _install(folder, packages, install)


def _install(folder: Path, packages: tuple[str, ...], install: Callable[[], None]) -> None:
    stamp = folder / "installed"
    if stamp.exists():
        return
    if not os.environ.get("CI"):
        pytest.skip(f"{packages[0]} is not installed here; with CI=true the tests install it")
    shutil.rmtree(folder, ignore_errors=True)
    try:
        install()
    except subprocess.SubprocessError as error:
        pytest.skip(f"{', '.join(packages)} cannot be installed here: {error}")
    stamp.write_text("")


def run(command: list[str], folder: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run a command of an example in its folder, without this project's plugins of pytest."""
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=_ENDED_WITHIN_S,
    )
