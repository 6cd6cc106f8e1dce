"""npm packages that tests need: installed once. If that is not possible, the test is skipped."""

import shutil
import subprocess
from pathlib import Path

import pytest

from testing.installed_tools import installed

_PACKAGES = (
    "@aws-sdk/client-lambda@3.1164.0",
    "@cdktf/hcl2json@0.21.0",
    "pbac@0.3.2",
    "typescript@5.9.3",
)
_INSTALLED_WITHIN_S = 200


def node() -> str:
    """Return the path of node, or skip the test."""
    found = shutil.which("node")
    if found is None:
        pytest.skip("node is not installed here")
    return found


def node_modules() -> Path:
    """Return a `node_modules` with the packages, or skip the test."""
    try:
        return installed(_PACKAGES, _install) / "node_modules"
    except subprocess.SubprocessError as error:
        pytest.skip(f"npm cannot install {', '.join(_PACKAGES)} here: {error}")


def _install(folder: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed here")
    options = ["--no-package-lock", "--no-audit", "--no-fund", "--prefix", str(folder)]
    subprocess.run(
        [npm, "install", *options, *_PACKAGES],
        check=True,
        capture_output=True,
        timeout=_INSTALLED_WITHIN_S,
    )
