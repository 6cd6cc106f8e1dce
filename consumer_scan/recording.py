"""Writes the result of a scan to the consumers table."""

from collections import Counter
from collections.abc import Iterable

from consumer_scan.listing import FoundConsumer, Scope
from registry_tables.consumers_layout import Source
from registry_tables.consumers_table import ConsumersTable, DeclaredError


class ScanRecorder:
    """Records the consumers of one scope, and removes those that no longer exist."""

    def __init__(self, table: ConsumersTable, scope: Scope) -> None:
        """Set the table and the scope."""
        self._table = table
        self._scope = scope
        self._names: set[str] = set()
        self._counts: Counter[str] = Counter()

    def summary(self) -> dict[str, int]:
        """Return how many consumers were written, unchanged, declared and removed."""
        return {
            name: self._counts[name] for name in ("written", "unchanged", "declared", "removed")
        }

    def record(self, consumers: Iterable[FoundConsumer]) -> None:
        """Record consumers that were found; do not change declared ones.

        Raises:
            ThrottledError, UnreachableError: The table cannot be written; earlier records stay.
        """
        for found in consumers:
            self._names.add(found.name)
            try:
                is_new = self._table.record_scanned(found.name, found.needed, found.arn)
            except DeclaredError:
                self._counts["declared"] += 1
            else:
                self._counts["written" if is_new else "unchanged"] += 1

    def remove_gone(self, kept: Iterable[str]) -> None:
        """Remove the scope's scanned consumers that this scan has not found.

        Call it only after a complete scan: otherwise it would remove functions that are not listed
        yet.

        Args:
            kept: Names of consumers that could not be read; they may still exist.
        """
        present = self._names | set(kept)
        after: str | None = None
        while True:
            page = self._table.page(self._scope.prefix, limit=100, after=after)
            for consumer in page.items:
                if consumer.source is Source.SCAN and consumer.name not in present:
                    self._table.forget(consumer)
                    self._counts["removed"] += 1
            if page.last is None:
                return
            after = page.last
