"""Tools to check examples, from the cache.

In CI a missing tool is installed; elsewhere its test is skipped. Callers pin the versions.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from testing.installed_tools import installed

CDK = ("aws-cdk-lib==2.275.0", "constructs>=10,<11")
_INSTALLED_WITHIN_S = 150
_ENDED_WITHIN_S = 300


def python_with(*packages: str) -> Path:
    """Return the Python of a virtual environment with these packages."""

    def install(folder: Path) -> None:
        _run([sys.executable, "-m", "venv", str(folder)])
        # Python compiles modules on first use. To compile all of the CDK's would take a minute.
        pip = [str(folder / "bin/python"), "-m", "pip"]
        _run([*pip, "install", "--quiet", "--no-compile", *packages])

    return _installed_in_ci(packages, install) / "bin/python"


def node_program(name: str, package: str) -> Path:
    """Return a program of an npm package."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed here")

    def install(folder: Path) -> None:
        options = ["--no-package-lock", "--no-audit", "--no-fund", "--prefix", str(folder)]
        _run([npm, "install", *options, package])

    return _installed_in_ci((package,), install) / "node_modules/.bin" / name


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=_INSTALLED_WITHIN_S)


def _installed_in_ci(packages: tuple[str, ...], install: Callable[[Path], None]) -> Path:
    def install_in_ci(folder: Path) -> None:
        if not os.environ.get("CI"):
            pytest.skip(f"{packages[0]} is not installed here; with CI=true the tests install it")
        install(folder)

    try:
        return installed(packages, install_in_ci)
    except subprocess.SubprocessError as error:
        pytest.skip(f"{', '.join(packages)} cannot be installed here: {error}")


def run(command: list[str], folder: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run a command of an example in its folder, without this project's pytest plugins."""
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=_ENDED_WITHIN_S,
    )
