"""The examples for Terraform: tests without AWS and its provider."""

import shutil
from pathlib import Path

import pytest

from testing import example_tools, hcl
from tests.conftest import ROOT

FOLDERS = (ROOT / "examples/consumers/terraform", ROOT / "examples/services/terraform")


@pytest.mark.parametrize("folder", FOLDERS)
def test_configuration_defines_everything_that_it_refers_to(folder: Path) -> None:
    """`terraform validate` needs the AWS provider; tests/e2e applies both if it is installed."""
    found = hcl.parse((folder / "main.tf").read_text(encoding="utf-8"))

    assert hcl.undefined(found) == set()
    assert {*found["terraform"][0]["required_providers"][0]} == {"archive", "aws"}


@pytest.mark.parametrize("folder", FOLDERS)
def test_configuration_is_formatted(folder: Path) -> None:
    terraform = shutil.which("terraform")
    if terraform is None:
        pytest.skip("terraform is not installed here: the format was not checked")

    formatted = example_tools.run([terraform, "fmt", "-check", "-diff"], folder)

    assert formatted.returncode == 0, formatted.stdout + formatted.stderr
