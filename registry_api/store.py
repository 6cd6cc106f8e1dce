"""What the operations need of the versions table; `dynamodb.py` has it for DynamoDB."""

from dataclasses import dataclass
from typing import Protocol

from registry_model.records import HistoryEvent, ServiceRecord, VersionRecord
from registry_model.version import Version


class StoreError(Exception):
    """Base of what the store can't do right now."""


class RaceLostError(StoreError):
    """Another change of the service came first; read again and decide anew."""


class ThrottledError(StoreError):
    """The table is asked for more than it gives right now."""


class UnreachableError(StoreError):
    """The table can't be reached or does not exist."""


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
    """

    expected: ServiceRecord | None
    found: VersionRecord | None
    service: ServiceRecord
    event: HistoryEvent
    put: VersionRecord | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionsPage:
    """Some versions of a service, the highest first.

    Attributes:
        last: The last one where there may be more behind it, or None.
    """

    versions: tuple[VersionRecord, ...]
    last: Version | None


class VersionStore(Protocol):
    """The versions table. Every read is strongly consistent.

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

    def highest_stable(self, name: str) -> VersionRecord | None:
        """Find the service's highest active stable version."""

    def versions(self, name: str, *, limit: int, after: Version | None) -> VersionsPage:
        """Read up to *limit* versions, from the highest one below *after* on."""

    def commit(self, change: Change) -> None:
        """Make a change, in one transaction.

        Raises:
            RaceLostError: The service or the version is not as it was read any more.
        """
