"""The index of the documentation."""

import re

from tests.conftest import ROOT

_INDEX = ROOT / "docs/README.md"


def test_index_lists_every_page() -> None:
    """A page that is not in docs/README.md is hard to find."""
    listed = set(re.findall(r"\]\(([\w.-]+\.md)\)", _INDEX.read_text(encoding="utf-8")))

    pages = {path.name for path in _INDEX.parent.glob("*.md")} - {_INDEX.name}

    assert pages - listed == set()
