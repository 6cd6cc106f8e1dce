"""npm packages that tests of Node.js code need: installed once, or the test is skipped."""

import shutil
import subprocess
from pathlib import Path

import pytest

from local.processes import ROOT, one_at_a_time

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
    """Return a `node_modules` with the packages, or skip the test.

    The versions are pinned here. There is no lock file: that would name a registry's address.
    """
    folder = ROOT / "build/node-packages"
    # Tests run in several processes: one installs, the others wait for it.
    with one_at_a_time(folder / "lock"):
        _install(folder)
    return folder / "node_modules"


def _install(folder: Path) -> None:
    """Install the packages unless they are installed; skip the test if that fails."""
    stamp = folder / "installed"
    wanted = "\n".join(_PACKAGES)
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed here")
    # An interrupted installation must not be taken for a complete one.
    shutil.rmtree(folder / "node_modules", ignore_errors=True)
    try:
        subprocess.run(
            [npm, "install", "--no-package-lock", "--no-audit", "--no-fund", *_PACKAGES],
            cwd=folder,
            check=True,
            capture_output=True,
            timeout=_INSTALLED_WITHIN_S,
        )
    except subprocess.SubprocessError as error:
        pytest.skip(f"npm cannot install {wanted!r} here: {error}")
    stamp.write_text(wanted, encoding="utf-8")
