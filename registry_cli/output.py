"""Prints tables and sentences for people, or one JSON document for programs.

Rich is imported on first use, to keep `--help` fast.
"""

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Protocol, TypeVar

import click

if TYPE_CHECKING:
    from rich.console import Console

Entry = TypeVar("Entry")

# Tables that do not go to a terminal are not truncated, since programs read them.
_WIDE = 100_000


class Ticker(Protocol):
    """Shows the progress of long work."""

    def __call__(self, text: str) -> None:
        """Show the present state."""


def counted(count: int, noun: str) -> str:
    """Return a number with its noun: `1 function`, `1,200 functions`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def printable(text: object) -> str:
    """Return the text with control characters escaped.

    Reasons and metadata come from publishers: their control characters must not reach the terminal.
    """
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in str(text)
    )


def _console(stream: IO[str]) -> "Console":
    from rich.console import Console

    is_terminal = stream.isatty()
    has_colours = is_terminal and not os.environ.get("NO_COLOR")
    return Console(
        file=stream,
        force_terminal=is_terminal,
        color_system="auto" if has_colours else None,
        width=None if is_terminal else _WIDE,
        highlight=False,
        soft_wrap=True,
    )


class Output:
    """Prints results on stdout, and everything else on stderr."""

    def __init__(self, *, is_json: bool) -> None:
        """Set whether to print for programs or for people."""
        self.is_json = is_json

    def document(self, document: object) -> None:
        """Print the one JSON document."""
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))

    def line(self, text: str) -> None:
        """Print a sentence for people."""
        if not self.is_json:
            click.echo(printable(text))

    def note(self, text: str) -> None:
        """Print a sentence on stderr, also with --json."""
        click.echo(printable(text), err=True)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Print a table on stdout for people; with --json, nothing."""
        if not self.is_json:
            _print_table(sys.stdout, columns, rows)

    def listing(
        self,
        name: str,
        entries: Iterable[Entry],
        columns: Mapping[str, Callable[[Entry], object]],
        *,
        empty: str = "",
    ) -> None:
        """Print a list: a document with the member *name*, or a table with a row for each entry.

        Args:
            columns: For each heading, a function that returns the column's value for an entry.
            empty: A note to print in place of an empty table.
        """
        entries = list(entries)
        if self.is_json:
            self.document({name: entries})
        elif empty and not entries:
            self.note(empty)
        else:
            rows = [[value(each) for value in columns.values()] for each in entries]
            self.table(tuple(columns), rows)

    def table_on_stderr(self, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Print a table on stderr, before a question."""
        _print_table(sys.stderr, columns, rows)

    @contextmanager
    def progress(self) -> Iterator[Ticker]:
        """Show progress on stderr: one changing line on a terminal, otherwise a line each time."""
        if not sys.stderr.isatty():
            yield self.note
            return
        with _console(sys.stderr).status("…") as status:
            yield lambda text: status.update(printable(text))


def _print_table(stream: IO[str], columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=not stream.isatty())
    for row in rows:
        table.add_row(
            *(Text(printable("" if each is None else each), _style(each)) for each in row)
        )
    console = _console(stream)
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        click.echo(line.rstrip(), file=stream, color=True)


_STYLES = {
    "active": "green",
    "yanked": "yellow",
    "missing": "red",
    "unavailable": "red",
    "no answer": "red",
}


def _style(cell: object) -> str:
    return _STYLES.get(str(cell), "")
