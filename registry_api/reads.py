"""The operations that read services, and the retries of operations that lost a race."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from registry_api import rules
from registry_api.refusals import BusyError, UnknownError
from registry_api.store import VersionStore
from registry_api.values import ServiceView
from registry_model.version import Version
from registry_tables.errors import DynamoError, RaceLostError
from registry_tables.page import Page
from registry_tables.records import HistoryEvent, ServiceRecord, VersionRecord

# In a simulation of 32 concurrent writers of one service, with 60 ms between read and write, all
# succeed. The pauses of one add up to 7.6 s at most; API Gateway waits for 29 s.
_ATTEMPTS = 12
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 1.0

_Result = TypeVar("_Result")
_Arguments = ParamSpec("_Arguments")
_Reads = TypeVar("_Reads", bound="RegistryReads")


def retries_lost_races(
    operation: Callable[Concatenate[_Reads, _Arguments], _Result],
) -> Callable[Concatenate[_Reads, _Arguments], _Result]:
    """Return an operation that, after a lost race, pauses and then reads and decides again.

    Raises:
        BusyError: Every attempt lost a race.
    """

    @wraps(operation)
    def repeated(
        registry: _Reads, /, *arguments: _Arguments.args, **named: _Arguments.kwargs
    ) -> _Result:
        for attempt in range(_ATTEMPTS):
            if attempt:
                registry.pause(min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** (attempt - 1)))
            try:
                return operation(registry, *arguments, **named)
            except RaceLostError:
                continue
        raise BusyError

    return repeated


class RegistryReads:
    """The operations that read a versions table.

    After a restore, the table may have only a part of a change: a version at a revision above its
    service's, or a service whose version is missing. Reads return what exists.
    """

    def __init__(
        self,
        store: VersionStore,
        *,
        sleep: Callable[[float], None],
        random: Callable[[], float],
    ) -> None:
        """Use a versions table.

        Args:
            random: Returns a number from 0 up to 1.
        """
        self._store = store
        self._sleep = sleep
        self._random = random

    def pause(self, longest_s: float) -> None:
        """Wait for a random time, at most *longest_s*."""
        self._sleep(longest_s * self._random())

    @retries_lost_races
    def service(self, name: str) -> ServiceView:
        """Read a service.

        Raises:
            UnknownError: It was never published.
            BusyError: Other requests keep changing the service.
        """
        service = self._known(name)
        latest = service.latest
        view = ServiceView(
            service=service, latest=self._store.version(name, latest) if latest else None
        )
        if rules.is_whole(view):
            return view
        # Either the service has changed between the two reads, or a restore brought back only a
        # part of a change. A transaction reads both items at the same moment.
        now, records = self._store.transact_read(name, [latest] if latest else [])
        if now is None or now.latest != latest:
            raise RaceLostError
        return ServiceView(service=now, latest=records.get(latest) if latest else None)

    def services(self, prefix: str, *, limit: int, after: str | None) -> Page[ServiceView, str]:
        """Read a page of the services whose names begin with *prefix*, by name."""
        names = self._store.service_names(prefix, limit=limit, after=after)
        services = self._store.services(names.items)
        records = self._store.records(
            [
                (service.name, service.latest)
                for service in services.values()
                if service.latest is not None
            ]
        )
        views = []
        # The list of names is eventually consistent: a name may have no service.
        for name in filter(services.__contains__, names.items):
            view = ServiceView(service=services[name], latest=records.get(name))
            views.append(view if rules.is_whole(view) else self._view_again(view))
        return Page(items=tuple(views), last=names.last)

    def versions(
        self, name: str, *, limit: int, after: Version | None
    ) -> Page[VersionRecord, Version]:
        """Read a page of a service's versions, the highest first.

        Raises:
            UnknownError: The service was never published.
        """
        self._known(name)
        return self._store.versions(name, limit=limit, after=after)

    def version(self, name: str, version: Version) -> VersionRecord:
        """Read one version.

        Raises:
            UnknownError: There is no such version.
        """
        record = self._store.version(name, version)
        if record is None:
            raise rules.no_version(name, version)
        return record

    def history(self, name: str, *, limit: int, before: int | None) -> Page[HistoryEvent, int]:
        """Read a page of a service's changes, the newest first.

        Raises:
            UnknownError: The service was never published.
        """
        self._known(name)
        return self._store.history(name, limit=limit, before=before)

    def _known(self, name: str) -> ServiceRecord:
        service = self._store.service(name)
        if service is None:
            raise rules.no_service(name)
        return service

    def _found(self, name: str, version: Version) -> tuple[ServiceRecord, VersionRecord]:
        service, record = self._store.read(name, version)
        if service is None:
            raise rules.no_service(name)
        if record is None:
            raise rules.no_version(name, version)
        return service, record

    def _view_again(self, view: ServiceView) -> ServiceView:
        """Read a service again whose items did not match in a list.

        It was being changed, or a restore brought back only a part of a change. If it still does
        not match, return what was read first: one service must not make the whole list fail.
        """
        try:
            return self.service(view.service.name)
        except (UnknownError, BusyError, DynamoError):
            return view
