"""What a benchmark found, and how it is shown."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One finding.

    Attributes:
        what: What was measured.
        values: The readings, one for each of the table's columns.
        limit: What was promised of it, in words; empty where nothing was.
        holds: Whether the promise was kept.
    """

    what: str
    values: Sequence[str]
    limit: str = ""
    holds: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Some findings of one kind, and how they were come by."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Row]
    notes: str = ""

    @property
    def holds(self) -> bool:
        """Whether every promise was kept."""
        return all(row.holds for row in self.rows)


def render(table: Table) -> str:
    """Spell a table as Markdown."""
    promised = any(row.limit for row in table.rows)
    head = ["", *table.columns, *(["promised", ""] if promised else [])]
    lines = [head]
    for row in table.rows:
        kept = ("kept" if row.holds else "**broken**") if row.limit else ""
        lines.append([row.what, *row.values, *([row.limit, kept] if promised else [])])
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    spelled = [_line(line, widths) for line in lines]
    spelled.insert(1, _line(["-" * width for width in widths], widths))
    return "\n".join(
        [f"## {table.title}", "", *spelled, *(["", table.notes] if table.notes else [])]
    )


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [cell.ljust(width) for cell, width in zip(cells, widths, strict=True)]
    return f"| {' | '.join(padded)} |"
