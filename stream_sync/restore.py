"""Restore: make the versions table equal to another table.

First every item of the source that differs is copied, then every item that the source does not
have is deleted. Both go page by page and write only what differs: a restore can be stopped at any
time and continued, and a second one writes nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from registry_tables import versions_layout as layout
from registry_tables.item_table import ItemTable, Key, key_of
from stream_sync import checkpoint
from stream_sync.checkpoint import CheckpointError
from stream_sync.payloads import RequestError, RestoreRequest

# An item has at most 75 KB, and Lambda's memory is 1 GB.
_PAGE = 500


class _Part(StrEnum):
    COPY = "copy"
    DELETE = "delete"


@dataclass(slots=True, kw_only=True)
class RestoreReport:
    """The results up to a cursor.

    Attributes:
        items: How many items were compared.
        written: How many of them were written to the versions table.
        deleted: How many were deleted from it.
        cursor: Where to continue; None if the table is equal to the source.
    """

    items: int = 0
    written: int = 0
    deleted: int = 0
    cursor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Restore:
    """A restore of one table from another."""

    source: ItemTable
    target: ItemTable
    clock: Callable[[], float]

    def run(self, request: RestoreRequest, remaining_s: Callable[[], float]) -> RestoreReport:
        """Restore until the time is over.

        Raises:
            RequestError: The source is not suitable.
            CheckpointError: The cursor is malformed, or belongs to another source.
            ThrottledError, UnreachableError: A table kept refusing.
        """
        started = self.clock()
        part, after = _position(request)
        if request.cursor is None:
            self._check_source(request.source)
        report = RestoreReport()
        while True:
            last = self._copy(after, report) if part is _Part.COPY else self._delete(after, report)
            if last is None and part is _Part.DELETE:
                report.cursor = None
                return report
            if last is None:
                part = _Part.DELETE
            after = last
            report.cursor = checkpoint.encode([part, request.source, *(after or ())])
            elapsed = self.clock() - started
            is_late = request.seconds is not None and elapsed >= request.seconds
            if is_late or remaining_s() <= 0:
                return report

    def _check_source(self, name: str) -> None:
        """Refuse a source that is missing, empty, the versions table itself, or has another key."""
        if not self.source.exists():
            raise RequestError(
                f"from: there is no table {name!r}; one of another account or Region is named by "
                "its ARN"
            )
        if self.source.arn() == self.target.arn():
            raise RequestError(f"from: {name!r} is the versions table itself")
        key = self.source.key_attributes()
        if key != [layout.SERVICE, layout.ENTRY]:
            raise RequestError(
                f"from: {name!r} has the key {', '.join(key)}; "
                f"a versions table has {layout.SERVICE}, {layout.ENTRY}"
            )
        if not self.source.page(None, limit=1).items:
            raise RequestError(f"from: {name!r} is empty; nothing was changed")

    def _copy(self, after: Key | None, report: RestoreReport) -> Key | None:
        """Copy a page of the source; return the last key, None at the end."""
        page = self.source.page(after, limit=_PAGE)
        present = self.target.read(map(key_of, page.items))
        differing = [item for item in page.items if present.get(key_of(item)) != item]
        self.target.write(differing)
        report.items += len(page.items)
        report.written += len(differing)
        return page.last

    def _delete(self, after: Key | None, report: RestoreReport) -> Key | None:
        """Delete items of a page that the source lacks; return the last key, None at the end."""
        page = self.target.page(after, limit=_PAGE)
        keys = [key_of(item) for item in page.items]
        wanted = self.source.read(keys)
        surplus = [key for key in keys if key not in wanted]
        self.target.write((), deletions=surplus)
        report.items += len(keys)
        report.deleted += len(surplus)
        return page.last


def _position(request: RestoreRequest) -> tuple[_Part, Key | None]:
    if request.cursor is None:
        return _Part.COPY, None
    message = f"the cursor {request.cursor!r} is malformed; copy it whole"
    try:
        name, source, *key = checkpoint.decode(request.cursor)
        part = _Part(name)
    except ValueError as error:
        raise CheckpointError(message) from error
    if source != request.source:
        raise CheckpointError(f"the cursor is of a restore from {source!r}")
    if not key:
        return part, None
    if len(key) != 2 or not all(isinstance(each, str) and each for each in key):
        raise CheckpointError(message)
    return part, (key[0], key[1])
