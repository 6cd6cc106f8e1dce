"""A versions table in memory: `test_store.py` holds it to the promises of `VersionStore`."""

import threading
from typing import TYPE_CHECKING

from registry_api.store import Change, RaceLostError, VersionsPage
from registry_model.records import HistoryEvent, ServiceRecord, VersionRecord
from registry_model.version import Version

if TYPE_CHECKING:
    from collections.abc import Callable


class MemoryVersionStore:
    """A `VersionStore` for any number of threads.

    Attributes:
        events: The history of all services, the oldest first.
        before_commit: Called before each change is tried: a test puts a rival here.
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

    def highest_stable(self, name: str) -> VersionRecord | None:
        """Find the service's highest active stable version."""
        answers = [record for record in self._ascending(name) if record.is_answer]
        return answers[-1] if answers else None

    def versions(self, name: str, *, limit: int, after: Version | None) -> VersionsPage:
        """Read up to *limit* versions, from the highest one below *after* on."""
        left = [
            record
            for record in reversed(self._ascending(name))
            if after is None or record.version < after
        ]
        page = left[:limit]
        return VersionsPage(
            versions=tuple(page), last=page[-1].version if len(left) > limit else None
        )

    def commit(self, change: Change) -> None:
        """Make a change, if both records are as they were read."""
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

    def _ascending(self, name: str) -> list[VersionRecord]:
        with self._guard:
            records = [record for record in self._versions.values() if record.name == name]
        return sorted(records, key=lambda record: record.version)
