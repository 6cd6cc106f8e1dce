"""The product's version is in pyproject.toml only; everything else reads it."""

import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from registry_api import openapi
from tests.conftest import ROOT, BuiltLayer, product_version


def test_layer_has_the_version(layer: BuiltLayer) -> None:
    """Its VERSION file, its bill of materials and the program have the version."""
    beside = layer.folder / "service-discovery"
    document = json.loads((beside / "sbom.cdx.json").read_text(encoding="utf-8"))
    printed = subprocess.run(
        [
            *(str(layer.micropython), "-c"),
            "from extension.product_version import VERSION; print(VERSION)",
        ],
        env={"MICROPYPATH": ".frozen"},
        cwd=layer.folder,
        capture_output=True,
        text=True,
        check=True,
    )

    assert (beside / "VERSION").read_text(encoding="utf-8") == product_version() + "\n"
    assert document["metadata"]["component"]["version"] == product_version()
    assert printed.stdout == product_version() + "\n"


def test_description_of_the_api_has_the_version() -> None:
    """A client sees the version of the registry that it calls."""
    assert openapi.document("https://registry.example/v1")["info"]["version"] == product_version()


def test_helpers_packages_have_the_version() -> None:
    """Package managers need the version in files of their own."""
    python = tomllib.loads((ROOT / "helpers/python/pyproject.toml").read_text(encoding="utf-8"))
    node = json.loads((ROOT / "helpers/node/package.json").read_text(encoding="utf-8"))

    assert python["project"]["version"] == product_version()
    assert node["version"] == product_version()


def test_command_line_has_the_version() -> None:
    """This is for a checkout; an installed command reads its package's version."""
    printed = subprocess.run(
        [sys.executable, "-m", "registry_cli", "--version"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )

    assert printed.stdout == f"service-registry {product_version()}\n"


def test_function_of_the_api_has_the_file_that_the_version_is_in(tmp_path: Path) -> None:
    """The function reads its version from a file in its folder, which SAM copies."""
    shutil.copytree(
        ROOT / "infra/registry_api", tmp_path / "function", ignore=shutil.ignore_patterns("*.pyc")
    )

    printed = subprocess.run(
        [
            *(sys.executable, "-c"),
            "from registry_api.product_version import product_version; print(product_version())",
        ],
        cwd=tmp_path / "function",
        capture_output=True,
        text=True,
        check=True,
    )

    assert printed.stdout == product_version() + "\n"
