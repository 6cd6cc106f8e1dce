"""The version of this product, as pyproject.toml has it."""

import importlib.metadata
import tomllib
from pathlib import Path

_PACKAGE = "lambda-service-discovery"
_PROJECT = Path(__file__).resolve().parent.with_name("pyproject.toml")


def product_version() -> str:
    """Return the version of the installed package; of the checkout if none is installed."""
    try:
        return importlib.metadata.version(_PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        project = tomllib.loads(_PROJECT.read_text(encoding="utf-8"))["project"]
        version: str = project["version"]
        return version
