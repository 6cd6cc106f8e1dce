"""The fenced listings of the documentation."""

import re
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import ROOT

_LISTING = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeListing:
    """A fenced block: its language, its text, and its place."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> list[Path]:
    """Return README and every page below docs/, except the decisions, which are history."""
    found = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    found += sorted((ROOT / "helpers").glob("*/README.md"))
    return found + sorted((ROOT / "examples").rglob("README.md"))


def listings(page: Path) -> list[CodeListing]:
    """Return the listings of one page."""
    text = page.read_text(encoding="utf-8")
    return [
        CodeListing(
            page=str(page.relative_to(ROOT)),
            line=text.count("\n", 0, match.start()) + 1,
            language=match[1],
            text=match[2],
        )
        for match in _LISTING.finditer(text)
    ]


def the_listing(page: str, language: str) -> str:
    """Return the first listing of a page in one language."""
    return next(each.text for each in listings(ROOT / page) if each.language == language)
