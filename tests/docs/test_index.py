"""The index of the documentation."""

import re

from tests.conftest import ROOT

_INDEX = ROOT / "docs/README.md"


def test_index_lists_every_page() -> None:
    """A page that is not in docs/README.md is hard to find."""
    listed = set(re.findall(r"\]\(([\w.-]+\.md)\)", _INDEX.read_text(encoding="utf-8")))

    pages = {path.name for path in _INDEX.parent.glob("*.md")} - {_INDEX.name}

    assert pages - listed == set()


def test_decisions_are_numbered_without_gaps() -> None:
    """A gap would look like a page that was lost."""
    numbers = sorted(int(path.name[:4]) for path in (ROOT / "docs/adr").glob("*.md"))

    assert numbers == list(range(1, len(numbers) + 1))
