"""Portable modules use nothing that MicroPython lacks."""

import ast
import builtins
import subprocess
import tomllib
from pathlib import Path

from tests.conftest import ROOT, BuiltLayer


def _portable_modules() -> list[Path]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    settings = project["tool"]["service-discovery"]
    native = [ROOT / (name.replace(".", "/") + ".py") for name in settings["native"]]
    paths = [path for name in settings["portable"] for path in (ROOT / name).glob("*.py")]
    return [path for path in paths if path not in native]


def test_every_built_in_name_exists_in_micropython(layer: BuiltLayer) -> None:
    """On MicroPython a missing name is an error only when its line runs."""
    used = {
        node.id
        for path in _portable_modules()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Name) and hasattr(builtins, node.id)
    }
    used.discard("BlockingIOError")  # Used in sockets.py, in a branch for CPython only.
    # MicroPython does not evaluate annotations.
    script = "\n".join(f"try: {name}\nexcept NameError: print('{name}')" for name in sorted(used))

    missing = subprocess.run(
        [str(layer.micropython), "-c", script], capture_output=True, text=True, check=True
    )

    assert missing.stdout.split() == []
