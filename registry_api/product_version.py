"""The version of this product, as pyproject.toml has it."""

import tomllib
from pathlib import Path

# Beside this package in a checkout; `infra/registry_api/` links it into the function.
_PROJECT = Path(__file__).resolve().parent.with_name("pyproject.toml")


def product_version() -> str:
    """Return the version."""
    project = tomllib.loads(_PROJECT.read_text(encoding="utf-8"))["project"]
    version: str = project["version"]
    return version
