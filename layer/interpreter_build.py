"""Build the static binary: MicroPython, Mbed TLS, this project's C module and frozen Python.

There are two steps, each cached under a hash of its inputs. The base (all C code) takes a minute or
two; freezing the Python modules and linking takes seconds. Builds of the same base wait for each
other. A build that is killed leaves no entry in the cache.
"""

import fcntl
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import sources

HERE = Path(__file__).resolve().parent
TARGETS = {"x86_64": "x86_64-linux-musl", "arm64": "aarch64-linux-musl"}
_REQUIREMENTS = HERE / "requirements.txt"
_C_INPUTS = ("native", "variant", "zig_cc.py", "interpreter_build.py", "requirements.txt")
_HOST_TARGETS = {"x86_64": "x86_64-linux-musl", "aarch64": "aarch64-linux-musl"}
# The build's only date is in MicroPython's version header.
_EPOCH = "1735689600"
_LOG_TAIL = 40

# Functions that layer/native replaces or wraps.
_WRAPPED = (
    "-Wl,--wrap=main,--wrap=mp_find_frozen_module,--wrap=qstr_from_strn,--wrap=qstr_find_strn"
    ",--wrap=mp_load_build_class,--wrap=mp_obj_new_dict,--wrap=mp_map_init,--wrap=gc_alloc"
    ",--wrap=mbedtls_x509_crt_parse_der"
)

Say = Callable[[str], None]


class BuildError(Exception):
    """The binary can't be built here; the message has the reason and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Toolchain:
    """The pinned compiler, and the packages that came with it."""

    zig: Path
    packages: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """A finished binary, and the folders with the licence texts of its parts."""

    binary: Path
    micropython: Path
    mbedtls: Path


def cache_folder() -> Path:
    """Return the folder of cached builds."""
    named = os.environ.get("SERVICE_DISCOVERY_CACHE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / (
        "service-discovery-layer"
    )


def digest(*parts: str | bytes | Path) -> str:
    """Hash texts, bytes and whole files or folders into one key."""
    total = hashlib.sha256()
    for part in parts:
        if isinstance(part, Path):
            files = sorted(part.rglob("*")) if part.is_dir() else [part]
            for file in files:
                if file.is_file() and file.suffix != ".pyc":
                    total.update(file.relative_to(part.parent).as_posix().encode() + b"\0")
                    total.update(hashlib.sha256(file.read_bytes()).digest())
        else:
            total.update(
                hashlib.sha256(part if isinstance(part, bytes) else part.encode()).digest()
            )
    return total.hexdigest()[:24]


@contextmanager
def _lock_of(path: Path) -> Iterator[None]:
    """Hold the lock of *path*, which the kernel releases when the process ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(path.name + ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _run(command: list[str], *, cwd: Path, environment: dict[str, str], purpose: str) -> None:
    run = subprocess.run(
        command,
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if run.returncode:
        tail = "\n".join(run.stdout.splitlines()[-_LOG_TAIL:])
        message = f"{purpose} failed (status {run.returncode}):\n{tail}"
        raise BuildError(message)


def toolchain(cache: Path, say: Say) -> Toolchain:
    """Install the pinned compiler into *cache*, once.

    Raises:
        BuildError: It can't be installed.
    """
    folder = cache / f"tools-{digest(_REQUIREMENTS, sys.version.split()[0])}"
    with _lock_of(folder):
        if not folder.is_dir():
            started = time.monotonic()
            with tempfile.TemporaryDirectory(dir=cache) as scratch:
                _install(Path(scratch))
                (Path(scratch) / "packages").replace(folder)
            say(f"installed the compiler in {time.monotonic() - started:.0f} s")
    return Toolchain(zig=folder / "ziglang" / "zig", packages=folder)


def _install(scratch: Path) -> None:
    """Install the pinned packages below *scratch*, with pip from a virtual environment."""
    # With `user = true` in its configuration, pip refuses to install into a folder.
    environment = {**os.environ, "PIP_USER": "0", "PYTHONDONTWRITEBYTECODE": "1"}
    _run(
        [sys.executable, "-m", "venv", str(scratch / "venv")],
        cwd=scratch,
        environment=environment,
        purpose="making a virtual environment (Debian: apt-get install python3-venv)",
    )
    _run(
        [
            str(scratch / "venv/bin/python"),
            *("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"),
            *("--require-hashes", "--no-compile", "--only-binary", ":all:"),
            *("--target", str(scratch / "packages"), "-r", str(_REQUIREMENTS)),
        ],
        cwd=scratch,
        environment=environment,
        purpose="installing the pinned compiler with pip",
    )


def _compiler_environment(tools: Toolchain, cache: Path, target: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    return {
        **kept,
        "LC_ALL": "C",
        "PYTHONDONTWRITEBYTECODE": "1",
        "ZIG": str(tools.zig),
        "ZIG_TARGET": target,
        "ZIG_GLOBAL_CACHE_DIR": str(cache / "zig"),
        "ZIG_LOCAL_CACHE_DIR": str(cache / "zig"),
        "SOURCE_DATE_EPOCH": _EPOCH,
        "MICROPY_GIT_TAG": "v" + sources.pinned_parts()["micropython"].version,
        "MICROPY_GIT_HASH": "release",
    }


def _make(port: Path, environment: dict[str, str], *variables: str, purpose: str) -> None:
    """Run MicroPython's make file in *port*.

    The make file cannot use a program with a space in its path, so it gets names on the PATH.
    """
    if not shutil.which("make"):
        message = "make is missing (Debian: apt-get install make)"
        raise BuildError(message)
    programs = {
        "layer-cc": [sys.executable, "-I", "-S", str(HERE / "zig_cc.py")],
        "layer-python": [sys.executable],
    }
    with tempfile.TemporaryDirectory(dir=port) as folder:
        for name, command in programs.items():
            program = Path(folder) / name
            program.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n', encoding="utf-8")
            program.chmod(0o755)
        _run(
            [
                *("make", f"-j{os.cpu_count() or 2}", "PYTHON=layer-python"),
                *("CC=layer-cc", "LD=layer-cc", "STRIP=", "SIZE=true", *variables),
            ],
            cwd=port,
            environment={**environment, "PATH": f"{folder}:{environment.get('PATH', os.defpath)}"},
            purpose=purpose,
        )


def _unpack(archive: Path, into: Path) -> None:
    """Unpack *archive*, and rename its only top folder to *into*."""
    with tempfile.TemporaryDirectory(dir=into.parent) as scratch, tarfile.open(archive) as tar:
        tar.extractall(scratch, filter="data")
        (top,) = Path(scratch).iterdir()
        if into.exists():
            shutil.rmtree(into)
        top.replace(into)


def _port_variables(modules: str) -> list[str]:
    return [
        "VARIANT_DIR=../../../variant",
        "BUILD=build",
        "PROG=service-discovery",
        "USER_C_MODULES=../../..",
        f"FROZEN_MANIFEST=../../../{modules}/manifest.py",
        "MBEDTLS_CONFIG_FILE='\"mbedtls_config_layer.h\"'",
        "CFLAGS_EXTRA=-Wno-error -DMICROPY_GCREGS_SETJMP=1 -fno-ident",
        f"LDFLAGS_EXTRA=-static -s -Wl,--build-id=none {_WRAPPED}",
    ]


def _freeze(base: Path, modules: dict[str, bytes]) -> None:
    """Write the Python modules to freeze, in an order that does not depend on the file system."""
    folder = base / "frozen"
    if folder.exists():
        shutil.rmtree(folder)
    for name, text in modules.items():
        path = folder / "modules" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)
    names = ", ".join(repr(name) for name in sorted(modules))
    (folder / "manifest.py").write_text(f'freeze("modules", ({names},))\n')


def _make_base(base: Path, archives: dict[str, Path], environment: dict[str, str]) -> None:
    """Compile all the C code into *base*."""
    _unpack(archives["micropython"], base / "micropython")
    _unpack(archives["mbedtls"], base / "micropython/lib/mbedtls")
    library = base / "micropython/lib/micropython-lib"
    library.mkdir(parents=True, exist_ok=True)
    # MicroPython's make checks for this file to find out whether the submodule exists.
    (library / "README.md").touch()
    shutil.copytree(HERE / "native", base / "native")
    shutil.copytree(HERE / "variant", base / "variant")
    host = {**environment, "ZIG_TARGET": _HOST_TARGETS[os.uname().machine]}
    _make(
        base / "micropython/mpy-cross",
        host,
        "CFLAGS_EXTRA=-Wno-error -DMICROPY_GCREGS_SETJMP=1",
        "LDFLAGS_EXTRA=-static",
        purpose="compiling mpy-cross",
    )
    _freeze(base, {"extension/__init__.py": b"", "extension/main.py": b"def main():\n    pass\n"})
    _make(
        base / "micropython/ports/unix",
        environment,
        *_port_variables("frozen"),
        purpose="compiling MicroPython",
    )


def interpreter(arch: str, modules: dict[str, bytes], say: Say) -> Interpreter:
    """Build the binary of *arch* with *modules* (sources by path) frozen into it.

    Raises:
        BuildError: A step of the build failed.
        sources.SourceError: A pinned source was not found.
    """
    machine = os.uname().machine
    if machine not in _HOST_TARGETS:
        message = f"the layer can be built on x86_64 and aarch64, and this machine is {machine}"
        raise BuildError(message)
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    tools = toolchain(cache, say)
    parts = sources.pinned_parts()
    with _lock_of(cache / "sources"):
        obtained = {
            name: sources.obtain(parts[name], cache / "sources")
            for name in ("micropython", "mbedtls")
        }
    archives = {name: path for name, (_, path) in obtained.items()}
    hashes = [file.sha256 for file, _ in obtained.values()]
    key = digest(arch, *hashes, *(HERE / name for name in _C_INPUTS))
    base = cache / f"base-{arch}-{key}"
    environment = _compiler_environment(tools, cache, TARGETS[arch])
    with _lock_of(base):
        if not base.is_dir():
            started = time.monotonic()
            say(f"compiling MicroPython and Mbed TLS for {arch} (once, a minute or two) ...")
            with tempfile.TemporaryDirectory(dir=cache) as scratch:
                staged = Path(scratch) / "base"
                staged.mkdir()
                _make_base(staged, archives, environment)
                staged.replace(base)
            say(f"compiled MicroPython and Mbed TLS in {time.monotonic() - started:.0f} s")
        frozen = digest(*(f"{name}\0".encode() + modules[name] for name in sorted(modules)))
        binary = cache / f"binary-{arch}-{key}-{frozen}"
        if not binary.is_file():
            started = time.monotonic()
            _freeze(base, modules)
            port = base / "micropython/ports/unix"
            _make(port, environment, *_port_variables("frozen"), purpose="freezing our Python")
            staged = binary.with_name(binary.name + ".new")
            shutil.copyfile(port / "build/service-discovery", staged)
            staged.chmod(0o755)
            staged.replace(binary)
            say(f"froze {len(modules)} modules and linked in {time.monotonic() - started:.0f} s")
    return Interpreter(
        binary=binary,
        micropython=base / "micropython",
        mbedtls=base / "micropython/lib/mbedtls",
    )
