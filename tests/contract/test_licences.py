"""The functions include packages of third parties; each licence must allow that."""

import re
from importlib import metadata

import pytest

from tests.conftest import ROOT

# Licences that require only the notice, which is in the package.
_ALLOWED = {"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "MIT", "MIT-0", "PSF-2.0"}
# The spellings of older packages for the same licences.
_SYNONYMS = {
    "Apache License 2.0": "Apache-2.0",
    "Dual License": "Apache-2.0",  # python-dateutil: BSD-3-Clause or, from 2.8 on, Apache-2.0
}
_LISTS = sorted((ROOT / "infra").glob("*/requirements.txt"))


def _packages() -> set[str]:
    pinned = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==", re.MULTILINE)
    return {name for each in _LISTS for name in pinned.findall(each.read_text("utf-8"))}


@pytest.mark.parametrize("package", sorted(_packages()))
def test_licence_of_a_shipped_package_is_allowed(package: str) -> None:
    """A copyleft licence would apply to everybody who deploys the stack."""
    described = metadata.metadata(package)

    licence = described["License-Expression"] or described["License"]
    assert _SYNONYMS.get(licence, licence) in _ALLOWED


def test_every_function_has_a_list() -> None:
    """The test above would pass without any package."""
    assert {"registry_api", "stream_sync"} <= {each.parent.name for each in _LISTS}
    assert "boto3" in _packages()
