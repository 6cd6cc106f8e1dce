"""Recompute a service's answers: read what is true now, and make the index say so.

Never replay: any order, any repetition and any number of workers end in the same index, since each
write happens only while the service is at the revision that was read, and the last change's record
is always processed after the last change.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from registry_tables.errors import RaceLostError, ThrottledError, UnreachableError
from registry_tables.index_items import Difference
from registry_tables.index_table import IndexWriter
from registry_tables.records import ServiceRecord
from registry_tables.versions_table import VersionsTable
from stream_sync import projection
from stream_sync.projection import Moved

if TYPE_CHECKING:
    from registry_model.index_layout import Answer

_ATTEMPTS = 8
_FIRST_PAUSE_S = 0.02
_LONGEST_PAUSE_S = 1.0
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a recompute found.

    Attributes:
        revision: The service's revision that it is true of; 0 where the service is gone.
        differences: What was not as it should be.
    """

    revision: int
    differences: list[Difference]

    @property
    def is_restored(self) -> bool:
        """Whether the index had been ahead of the service: the versions table was restored."""
        return any(each.revision_found > self.revision > 0 for each in self.differences)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recompute:
    """The recompute of one service at a time."""

    versions: VersionsTable
    index: IndexWriter
    now: Callable[[], str]
    sleep: Callable[[float], None]
    random: Callable[[], float]

    def run(self, service: str, what: Moved, remaining_s: Callable[[], float]) -> Outcome:
        """Make the index say what is true now of all that moved; tell what it did not.

        Of a service that is gone nothing is true: its revision is 0, and a rebuild removes it.

        Raises:
            RaceLostError: The service kept changing; its records should come again.
            ThrottledError, UnreachableError: A table kept refusing; likewise.
        """
        return self._insist(lambda: self._run_once(service, what), remaining_s)

    def compare(self, service: str, what: Moved, remaining_s: Callable[[], float]) -> Outcome:
        """Tell what the index does not say rightly, and change nothing.

        Raises:
            RaceLostError, ThrottledError, UnreachableError: As from `run`.
        """
        return self._insist(lambda: self._differences(service, what)[1], remaining_s)

    def remove(
        self, service: str, keys: Iterable[tuple[str, int]], remaining_s: Callable[[], float]
    ) -> Outcome:
        """Remove what has no place in the index: all items of no service, and surplus copies.

        Args:
            keys: Items of the service, as selector and number of the copy; the others stay.

        Raises:
            RaceLostError, ThrottledError, UnreachableError: As from `run`.
        """
        named = list(keys)
        return self._insist(lambda: self._remove_once(service, named), remaining_s)

    def misplaced(
        self, service: str, keys: Iterable[tuple[str, int]], remaining_s: Callable[[], float]
    ) -> Outcome:
        """Tell what `remove` would remove, and change nothing.

        Raises:
            RaceLostError, ThrottledError, UnreachableError: As from `run`.
        """
        named = list(keys)
        return self._insist(lambda: self._misplaced(service, named)[1], remaining_s)

    def _insist(self, attempt: Callable[[], _Result], remaining_s: Callable[[], float]) -> _Result:
        """Try again while others change the service or a table refuses, and there is time."""
        for number in range(_ATTEMPTS - 1):
            try:
                return attempt()
            except (RaceLostError, ThrottledError, UnreachableError):
                pause = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2**number) * self.random()
                if remaining_s() < pause:
                    raise
                self.sleep(pause)
        return attempt()

    def _run_once(self, name: str, what: Moved) -> Outcome:
        service, outcome = self._differences(name, what)
        self.index.apply(name, service, outcome.differences)
        return outcome

    def _remove_once(self, name: str, keys: list[tuple[str, int]]) -> Outcome:
        service, outcome = self._misplaced(name, keys)
        self.index.apply(name, service, outcome.differences)
        return outcome

    def _misplaced(
        self, name: str, keys: list[tuple[str, int]]
    ) -> tuple[ServiceRecord | None, Outcome]:
        service, _ = self.versions.transact_read(name, ())
        surplus = [
            self.index.surplus(name, selector, copy)
            for selector, copy in keys
            if service is None or copy >= self.index.copies
        ]
        revision = service.revision if service else 0
        return service, Outcome(revision=revision, differences=surplus)

    def _differences(self, name: str, what: Moved) -> tuple[ServiceRecord | None, Outcome]:
        service, records = self.versions.transact_read(name, what.exact)
        if service is None:
            return None, Outcome(revision=0, differences=[])
        if service.revision > what.revision:
            self._see_the_last_change(service, what)
        highest = projection.highest_of(
            what.queries, lambda query: self.versions.highest_stable(name, query)
        )
        chosen = projection.chosen_versions(what, service, highest)
        others = {version for version in chosen.values() if version is not None} - what.exact
        records |= self.versions.transact_read_versions(name, others)
        answers: dict[str, Answer | None] = {}
        for selector, version in chosen.items():
            record = None if version is None else records.get(version)
            answers[selector] = None
            if record is not None:
                answers[selector] = projection.answer_of(
                    record,
                    revision=service.revision,
                    updated_at=self.now(),
                    copies=self.index.copies,
                )
        differences = self.index.differences(name, answers)
        return service, Outcome(revision=service.revision, differences=differences)

    def _see_the_last_change(self, service: ServiceRecord, what: Moved) -> None:
        """See that the service's last change, which we were not told of, is there as a whole.

        Its new revision may be there and its version not yet. A plain read, as the search for the
        highest version is one, would then miss the version, and the revision would let us write.

        Raises:
            RaceLostError: It is being made right now.
        """
        event = self.versions.transact_read_event(service.name, service.revision)
        if event is None or event.version is None or event.version in what.exact:
            return
        self.versions.transact_read_versions(service.name, {event.version})
