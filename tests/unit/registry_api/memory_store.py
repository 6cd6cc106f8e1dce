"""A versions table in memory: `test_store.py` compares its behaviour with DynamoDB's."""

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from registry_api.operations import Registry
from registry_api.store import ConsumerNeeds, VersionStore
from registry_model.index_layout import Answer
from registry_model.version import Version
from registry_tables.errors import RaceLostError
from registry_tables.page import Page
from registry_tables.records import Change, HistoryEvent, ServiceRecord, VersionRecord
from registry_tables.series import Series
from tests.unit.registry_api import valid

_Item = TypeVar("_Item")
_Position = TypeVar("_Position")


class MemoryVersionStore:
    """A `VersionStore` for any number of threads.

    Attributes:
        events: The history of all services, the oldest first.
        before_commit: Called before each commit, so that a test can make another change.
    """

    def __init__(self) -> None:
        self.events: list[HistoryEvent] = []
        self.before_commit: Callable[[], None] = lambda: None
        self._services: dict[str, ServiceRecord] = {}
        self._versions: dict[tuple[str, Version], VersionRecord] = {}
        self._guard = threading.Lock()

    def read(
        self, name: str, version: Version
    ) -> tuple[ServiceRecord | None, VersionRecord | None]:
        """Read a service and one of its versions."""
        with self._guard:
            return self._services.get(name), self._versions.get((name, version))

    def service(self, name: str) -> ServiceRecord | None:
        """Read a service."""
        with self._guard:
            return self._services.get(name)

    def version(self, name: str, version: Version) -> VersionRecord | None:
        """Read one version of a service."""
        with self._guard:
            return self._versions.get((name, version))

    def transact_read(
        self, name: str, versions: Iterable[Version]
    ) -> tuple[ServiceRecord | None, dict[Version, VersionRecord]]:
        """Read a service and those of *versions* that exist."""
        with self._guard:
            found = {
                version: self._versions[name, version]
                for version in versions
                if (name, version) in self._versions
            }
            return self._services.get(name), found

    def check_last_change(self, service: ServiceRecord) -> None:
        """Do nothing: in memory a change is always complete."""

    def highest_stable(
        self, name: str, series: Series, *, below: Version | None = None
    ) -> Version | None:
        """Find the highest active stable version of a series, below another one if given."""
        answers = [
            record.version
            for record in self._ascending(name)
            if record.is_answer
            and series.includes(record.version)
            and (below is None or record.version < below)
        ]
        return answers[-1] if answers else None

    def service_names(self, prefix: str, *, limit: int, after: str | None) -> Page[str, str]:
        """Read up to *limit* names that begin with *prefix*, from the first one after *after*."""
        with self._guard:
            names = sorted(name for name in self._services if name.startswith(prefix))
        left = [name for name in names if after is None or name > after]
        return _page(left, limit, lambda name: name)

    def services(self, names: Iterable[str]) -> dict[str, ServiceRecord]:
        """Read the services of these names that exist."""
        with self._guard:
            return {name: self._services[name] for name in names if name in self._services}

    def records(self, wanted: Iterable[tuple[str, Version]]) -> dict[str, VersionRecord]:
        """Read one version each of several services, by the service's name."""
        with self._guard:
            return {key[0]: self._versions[key] for key in wanted if key in self._versions}

    def versions(
        self, name: str, *, limit: int, after: Version | None
    ) -> Page[VersionRecord, Version]:
        """Read up to *limit* versions, from the highest one below *after* on."""
        left = [
            record
            for record in reversed(self._ascending(name))
            if after is None or record.version < after
        ]
        return _page(left, limit, lambda record: record.version)

    def history(self, name: str, *, limit: int, before: int | None) -> Page[HistoryEvent, int]:
        """Read up to *limit* events, from the newest one before the revision *before* on."""
        with self._guard:
            events = [event for event in self.events if event.name == name]
        left = [event for event in events[::-1] if before is None or event.revision < before]
        return _page(left, limit, lambda event: event.revision)

    def commit(self, change: Change) -> None:
        """Make a change, if both records are still as they were read."""
        self.before_commit()
        name = change.service.name
        with self._guard:
            if self._services.get(name) != change.expected:
                raise RaceLostError
            concerned = change.found or change.put
            if concerned and self._versions.get((name, concerned.version)) != change.found:
                raise RaceLostError
            self._services[name] = change.service
            self.events.append(change.event)
            if change.put is not None:
                self._versions[name, change.put.version] = change.put
            if change.deletes and change.found is not None:
                del self._versions[name, change.found.version]

    def _ascending(self, name: str) -> list[VersionRecord]:
        with self._guard:
            records = [record for record in self._versions.values() if record.name == name]
        return sorted(records, key=lambda record: record.version)


def _page(
    left: Sequence[_Item], limit: int, position_of: Callable[[_Item], _Position]
) -> Page[_Item, _Position]:
    items = tuple(left[:limit])
    return Page(items=items, last=position_of(items[-1]) if len(left) > limit else None)


def registry_on(
    store: VersionStore,
    *,
    now: str = valid.NOW,
    sleep: Callable[[float], None] = lambda _: None,
    random: Callable[[], float] = lambda: 1.0,
    consumers: ConsumerNeeds | None = None,
) -> Registry:
    """Return operations that do not wait."""
    return Registry(store, now=lambda: now, sleep=sleep, random=random, consumers=consumers)


class MemoryIndexStore:
    """An index table in memory.

    Attributes:
        asked: The pairs of service and selector of each read.
    """

    def __init__(self, answers: dict[tuple[str, str], Answer]) -> None:
        self.asked: list[list[tuple[str, str]]] = []
        self._answers = answers

    def answers(self, wanted: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Answer]:
        """Read answers."""
        self.asked.append(list(wanted))
        return {pair: self._answers[pair] for pair in self.asked[-1] if pair in self._answers}
