"""What the operations need of the versions table; `dynamodb.py` has it for DynamoDB."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from registry_model.index_layout import Answer
from registry_model.records import HistoryEvent, ServiceRecord, VersionRecord
from registry_model.version import Version

_Item = TypeVar("_Item")


class StoreError(Exception):
    """Base of what the store can't do right now."""


class RaceLostError(StoreError):
    """Another change of the service came first; read again and decide anew."""


class ThrottledError(StoreError):
    """The table is asked for more than it gives right now."""


class UnreachableError(StoreError):
    """The table can't be reached or does not exist."""


class FullError(StoreError):
    """The service holds all that a table's partition may, its secondary indexes included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change of a service: it happens whole, or not at all.

    Attributes:
        expected: The service as it was read; None where it did not exist. Was it changed since,
            the change does not happen.
        found: The version that the change concerns, as it was read; None where it was not there.
            It is expected by itself: both may have been read at different moments.
        service: The service afterwards, its revision one higher.
        event: The change's own entry in the history.
        put: The version's record afterwards, where the change makes it another.
        deletes: Whether the change takes the found version away.
    """

    expected: ServiceRecord | None
    found: VersionRecord | None
    service: ServiceRecord
    event: HistoryEvent
    put: VersionRecord | None = None
    deletes: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[_Item]):
    """Some entries of a list, in its order.

    Attributes:
        has_more: Whether there may be more behind the last one.
    """

    items: tuple[_Item, ...]
    has_more: bool


class VersionStore(Protocol):
    """The versions table. Every read is strongly consistent, but that of the services' names.

    Raises:
        ThrottledError, UnreachableError: From every method.
    """

    def read(
        self, name: str, version: Version
    ) -> tuple[ServiceRecord | None, VersionRecord | None]:
        """Read a service and one of its versions."""

    def service(self, name: str) -> ServiceRecord | None:
        """Read a service."""

    def version(self, name: str, version: Version) -> VersionRecord | None:
        """Read one version of a service."""

    def see_last_change(self, service: ServiceRecord) -> None:
        """See that the change that made the service's revision can be read as a whole.

        The service's item may be there before the version that was changed with it.

        Raises:
            RaceLostError: It is being made right now.
        """

    def highest_stable(self, name: str, *, below: Version) -> Version | None:
        """Find the service's highest active stable version below another one."""

    def service_names(self, prefix: str, *, limit: int, after: str | None) -> Page[str]:
        """Read up to *limit* names that begin with *prefix*, from the first one behind *after* on.

        A service that is new may be missing for a moment.
        """

    def services(self, names: Iterable[str]) -> dict[str, ServiceRecord]:
        """Read the services of these names that are there."""

    def records(self, wanted: Iterable[tuple[str, Version]]) -> dict[str, VersionRecord]:
        """Read one version each of several services, by the service's name."""

    def versions(self, name: str, *, limit: int, after: Version | None) -> Page[VersionRecord]:
        """Read up to *limit* versions, from the highest one below *after* on."""

    def history(self, name: str, *, limit: int, before: int | None) -> Page[HistoryEvent]:
        """Read up to *limit* events, from the newest one before the revision *before* on."""

    def commit(self, change: Change) -> None:
        """Make a change, in one transaction.

        Raises:
            RaceLostError: The service or the version is not as it was read any more.
            FullError: The service can't grow any more.
        """


class IndexStore(Protocol):
    """The index table, which is only read here. It trails the versions table by a moment.

    Raises:
        ThrottledError, UnreachableError: From every method.
    """

    def answers(self, wanted: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Answer]:
        """Read the answers to these pairs of service and selector that are there."""
