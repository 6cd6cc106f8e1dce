"""Recompute a service's answers: read what is true now, and make the index say so.

Never replay: any order, any repetition and any number of workers end in the same index, since each
write happens only while the service is at the revision that was read, and the last change's record
is always processed after the last change.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from registry_model.records import ServiceRecord
from stream_sync import projection
from stream_sync.aws_errors import BusyError, MovedError
from stream_sync.index_table import IndexTable, Write
from stream_sync.projection import Moved
from stream_sync.versions_reader import VersionsReader

if TYPE_CHECKING:
    from registry_model.index_layout import Answer

_ATTEMPTS = 8
_FIRST_PAUSE_S = 0.02
_LONGEST_PAUSE_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Recompute:
    """The recompute of one service at a time."""

    versions: VersionsReader
    index: IndexTable
    copies: int
    now: Callable[[], str]
    sleep: Callable[[float], None]
    random: Callable[[], float]

    def run(self, service: str, moved: Moved) -> int:
        """Make the index say what is true now of all that *moved*; tell how many items changed.

        Raises:
            MovedError: The service kept changing; its records should come again.
            BusyError: A table kept refusing; likewise.
        """
        for attempt in range(_ATTEMPTS - 1):
            try:
                return self._once(service, moved)
            except (MovedError, BusyError):
                longest = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2**attempt)
                self.sleep(longest * self.random())
        return self._once(service, moved)

    def _once(self, name: str, moved: Moved) -> int:
        service = self.versions.service(name)
        writes = self._differences(service, moved) if service else self.index.all_of(name)
        self.index.apply(name, service, writes)
        return len(writes)

    def _differences(self, service: ServiceRecord, moved: Moved) -> list[Write]:
        highest = {
            query: self.versions.highest(service.name, query)
            for query in sorted(moved.queries, key=str)
        }
        chosen = projection.chosen_versions(moved, service, highest)
        records = self.versions.records(
            service.name, [version for version in chosen.values() if version is not None]
        )
        answers: dict[str, Answer | None] = {}
        for selector, version in chosen.items():
            record = None if version is None else records.get(version)
            answers[selector] = None
            if record is not None:
                answers[selector] = projection.answer_of(
                    record, revision=service.revision, updated_at=self.now(), copies=self.copies
                )
        return self.index.differences(service.name, answers)
