"""The results of a benchmark, and their tables."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One result.

    Attributes:
        what: What was measured.
        values: The readings, one for each column of the table.
        limit: The limit in words; empty if there is none.
        holds: Whether the reading is within the limit.
    """

    what: str
    values: Sequence[str]
    limit: str = ""
    holds: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Results of one kind, with notes on how they were measured."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Row]
    notes: str = ""

    @property
    def holds(self) -> bool:
        """Whether every reading is within its limit."""
        return all(row.holds for row in self.rows)


def render(table: Table) -> str:
    """Return a table as Markdown."""
    has_limits = any(row.limit for row in table.rows)
    head = ["", *table.columns, *(["limit", ""] if has_limits else [])]
    lines = [head]
    for row in table.rows:
        verdict = ("kept" if row.holds else "**broken**") if row.limit else ""
        lines.append([row.what, *row.values, *([row.limit, verdict] if has_limits else [])])
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    written = [_line(line, widths) for line in lines]
    written.insert(1, _line(["-" * width for width in widths], widths))
    return "\n".join(
        [f"## {table.title}", "", *written, *(["", table.notes] if table.notes else [])]
    )


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [cell.ljust(width) for cell, width in zip(cells, widths, strict=True)]
    return f"| {' | '.join(padded)} |"
