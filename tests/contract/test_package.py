"""The command line's package, as `pip install .` installs it."""

import subprocess
import sys
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest

from tests.conftest import ROOT, product_version

pytestmark = pytest.mark.slow

# Imports every module of the wheel that is its only argument.
_IMPORT_ALL = """
import importlib, sys, zipfile
sys.path.insert(0, sys.argv[1])
for name in zipfile.ZipFile(sys.argv[1]).namelist():
    if name.endswith(".py") and not name.endswith("__main__.py"):
        module = name.removesuffix(".py").removesuffix("/__init__")
        importlib.import_module(module.replace("/", "."))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the package."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check"),
            *("--no-index", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, ROOT),
        ],
        check=True,
    )
    (built,) = folder.iterdir()
    return built


def test_package_has_the_version_and_the_command(wheel: Path) -> None:
    """`service-registry` is the command that a pipeline installs."""
    with zipfile.ZipFile(wheel) as archive:
        (folder,) = {name.split("/")[0] for name in archive.namelist() if ".dist-info/" in name}
        metadata = HeaderParser().parsestr(archive.read(f"{folder}/METADATA").decode())
        commands = archive.read(f"{folder}/entry_points.txt").decode()

    assert metadata["Version"] == product_version()
    assert commands.split() == [
        "[console_scripts]",
        "service-registry",
        "=",
        "registry_cli.main:main",
    ]


def test_installed_command_has_the_packages_version(wheel: Path, tmp_path: Path) -> None:
    """The installed command runs without the checkout."""
    installed = tmp_path / "installed"
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
            *("--no-index", "--no-deps", "--target", installed, wheel),
        ],
        check=True,
    )

    run = subprocess.run(
        [installed / "bin/service-registry", "--version"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert run.stdout == f"service-registry {product_version()}\n"


def test_package_has_every_module_that_it_imports(wheel: Path, tmp_path: Path) -> None:
    """An installed package has no checkout beside it."""
    run = subprocess.run(
        [sys.executable, "-I", "-c", _IMPORT_ALL, str(wheel)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stderr


def test_package_has_the_command_line_and_nothing_else(wheel: Path) -> None:
    """The functions' code and the tests are not part of it."""
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if ".dist-info/" not in name]

    folders = {name.split("/")[0] for name in names}
    assert folders == {"consumer_scan", "registry_cli", "registry_client", "registry_model"}
    # `service-registry consumers scan` uses the same listing as the registry's own function.
    assert sorted(name for name in names if name.startswith("consumer_scan/")) == [
        "consumer_scan/__init__.py",
        "consumer_scan/listing.py",
    ]
