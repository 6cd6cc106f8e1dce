"""Recompute a service's answers: read its present state, and write the answers to the index.

The content of the stream's records is not applied. The final index is the same for any order and
repetition of the records, and any number of workers. This has two reasons: a write succeeds only if
the service still has the revision that was read, and the record of the last change is always
processed after that change.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from registry_tables.errors import RaceLostError, ThrottledError, UnreachableError
from registry_tables.index_items import Difference
from registry_tables.index_table import IndexWriter
from registry_tables.records import ServiceRecord, VersionRecord
from registry_tables.versions_table import VersionsTable
from stream_sync import projection
from stream_sync.projection import AffectedAnswers

if TYPE_CHECKING:
    from registry_model.index_layout import Answer
    from registry_model.version import Version

_ATTEMPTS = 8
_FIRST_PAUSE_S = 0.02
_LONGEST_PAUSE_S = 1.0
_Result = TypeVar("_Result")
# Items of one service in the index, as selector and number of the copy.
IndexKeys = Iterable[tuple[str, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecomputeResult:
    """The result of a recompute.

    Attributes:
        service: The service as it was read; None if it does not exist.
        differences: The index items that were wrong.
        damage: How the service's items in the versions table contradict each other; None if
            those that were read do not.
    """

    service: ServiceRecord | None
    differences: list[Difference]
    damage: str | None = None

    @property
    def revision(self) -> int:
        """The revision of the service that was read; 0 if it does not exist."""
        return self.service.revision if self.service else 0

    @property
    def is_restored(self) -> bool:
        """Whether the index has a later revision than the service, as after a restore."""
        return any(each.revision_found > self.revision > 0 for each in self.differences)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recompute:
    """Recomputes one service at a time.

    Every method retries if the service changes or a table refuses, as long as there is time.

    Raises:
        RaceLostError: From every method: the service kept changing; try again later.
        ThrottledError, UnreachableError: From every method: a table kept refusing.
    """

    versions: VersionsTable
    index: IndexWriter
    now: Callable[[], str]
    sleep: Callable[[float], None]
    random: Callable[[], float]

    def run(
        self, service: str, affected: AffectedAnswers, remaining_s: Callable[[], float]
    ) -> RecomputeResult:
        """Correct the affected answers in the index; return the items that were wrong.

        A service that does not exist has no differences: a rebuild removes its items.
        """
        return self._with_retries(lambda: self._correct(service, affected), remaining_s)

    def compare(
        self, service: str, affected: AffectedAnswers, remaining_s: Callable[[], float]
    ) -> RecomputeResult:
        """Return what `run` would correct, and change nothing."""
        return self._with_retries(lambda: self._compare(service, affected), remaining_s)

    def remove_surplus(
        self, service: str, keys: IndexKeys, remaining_s: Callable[[], float]
    ) -> RecomputeResult:
        """Remove items of a service that does not exist, and copies beyond the number wanted."""
        listed = list(keys)
        return self._with_retries(lambda: self._remove_surplus(service, listed), remaining_s)

    def find_surplus(
        self, service: str, keys: IndexKeys, remaining_s: Callable[[], float]
    ) -> RecomputeResult:
        """Return what `remove_surplus` would remove, and change nothing."""
        listed = list(keys)
        return self._with_retries(lambda: self._find_surplus(service, listed), remaining_s)

    def _with_retries(
        self, attempt: Callable[[], _Result], remaining_s: Callable[[], float]
    ) -> _Result:
        for number in range(_ATTEMPTS - 1):
            try:
                return attempt()
            except (RaceLostError, ThrottledError, UnreachableError):
                pause = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2**number) * self.random()
                if remaining_s() < pause:
                    raise
                self.sleep(pause)
        return attempt()

    def _correct(self, name: str, affected: AffectedAnswers) -> RecomputeResult:
        result = self._compare(name, affected)
        self.index.apply(name, result.service, result.differences)
        return result

    def _remove_surplus(self, name: str, keys: list[tuple[str, int]]) -> RecomputeResult:
        result = self._find_surplus(name, keys)
        self.index.apply(name, result.service, result.differences)
        return result

    def _find_surplus(self, name: str, keys: list[tuple[str, int]]) -> RecomputeResult:
        service, _ = self.versions.transact_read(name, ())
        surplus = [
            self.index.surplus(name, selector, copy)
            for selector, copy in keys
            if service is None or copy >= self.index.copies
        ]
        return RecomputeResult(service=service, differences=surplus)

    def _compare(self, name: str, affected: AffectedAnswers) -> RecomputeResult:
        service, records = self.versions.transact_read(name, affected.versions)
        if service is None:
            return RecomputeResult(service=None, differences=[])
        if service.revision > affected.revision:
            self._check_last_change(service, affected)
        highest = projection.highest_of(
            affected.series, lambda series: self.versions.highest_stable(name, series)
        )
        resolved = projection.resolve_answers(affected, service, highest)
        others = {each for each in resolved.values() if each is not None} - affected.versions
        records |= self.versions.transact_read_versions(name, others)
        differences = self.index.differences(name, self._answers(service, resolved, records))
        damage = projection.damage_of(service, highest, resolved, records)
        return RecomputeResult(service=service, differences=differences, damage=damage)

    def _answers(
        self,
        service: ServiceRecord,
        resolved: "Mapping[str, Version | None]",
        records: "Mapping[Version, VersionRecord]",
    ) -> "dict[str, Answer | None]":
        answers: dict[str, Answer | None] = {}
        for selector, version in resolved.items():
            record = None if version is None else records.get(version)
            answers[selector] = None
            if record is not None:
                answers[selector] = projection.answer_of(
                    record,
                    revision=service.revision,
                    updated_at=self.now(),
                    copies=self.index.copies,
                )
        return answers

    def _check_last_change(self, service: ServiceRecord, affected: AffectedAnswers) -> None:
        """Check that every item of the service's last change, later than *affected*, can be read.

        The service's new revision may be visible before the version that changed with it. A plain
        read, such as the query for the highest version, would then miss that version. The write of
        the wrong answer would succeed, since the service's revision is already the new one.

        Raises:
            RaceLostError: The change is still being written.
        """
        event = self.versions.transact_read_event(service.name, service.revision)
        if event is None or event.version is None or event.version in affected.versions:
            return
        self.versions.transact_read_versions(service.name, {event.version})
