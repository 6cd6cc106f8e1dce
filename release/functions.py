"""Makes the ZIP file of a function: its folder below `infra/`, and its pinned packages.

The packages are for one Lambda runtime, independent of the Python that makes the release.
"""

import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import archive

from release.bill_of_materials import Package, packages_in
from release.errors import ReleaseError

RUNTIME = "python3.13"
_PYTHON = RUNTIME.removeprefix("python")
# Amazon Linux 2023, which the runtime is based on, has glibc 2.34.
_PLATFORMS = tuple(f"manylinux_2_{minor}_x86_64" for minor in (17, 24, 28, 31, 34))
_ABIS = (f"cp{_PYTHON.replace('.', '')}", "abi3", "none")


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionArchive:
    """A function's ZIP file, and the packages in it."""

    path: Path
    packages: tuple[Package, ...]


def write_function(source: Path, path: Path) -> FunctionArchive:
    """Pack the function in *source* and the packages of its `requirements.txt`.

    Raises:
        ReleaseError: pip found no wheel for the runtime, or a wheel has an unsupported layout.
    """
    with tempfile.TemporaryDirectory(prefix="service-discovery-release-") as scratch:
        wheels = Path(scratch) / "wheels"
        folder = Path(scratch) / "function"
        _download(source / "requirements.txt", wheels)
        shutil.copytree(source, folder, ignore=shutil.ignore_patterns("__pycache__"))
        for wheel in sorted(wheels.iterdir()):
            _unpack(wheel, folder)
        for file in folder.rglob("*"):
            file.chmod(0o755 if file.is_dir() else 0o644)
        archive.write_zip(folder, path)
        return FunctionArchive(path=path, packages=packages_in(folder))


def _download(requirements: Path, folder: Path) -> None:
    command = [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
        *("--no-deps", "--require-hashes", "--only-binary", ":all:"),
        *("--implementation", "cp", "--python-version", _PYTHON),
        *(word for platform in _PLATFORMS for word in ("--platform", platform)),
        *(word for abi in _ABIS for word in ("--abi", abi)),
        *("--dest", str(folder), "--requirement", str(requirements)),
    ]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        raise ReleaseError(f"pip download -r {requirements}", run.stderr.strip())


def _unpack(wheel: Path, folder: Path) -> None:
    """Unpack the modules of a wheel, without its scripts, which a function does not run."""
    with zipfile.ZipFile(wheel) as packed:
        names = packed.namelist()
        if any("purelib/" in name or "platlib/" in name for name in names if _is_data(name)):
            raise ReleaseError(f"unpacking {wheel.name}", "modules below .data/ are not supported")
        packed.extractall(folder, [name for name in names if not _is_data(name)])


def _is_data(name: str) -> bool:
    return name.split("/", 1)[0].endswith(".data")
