"""The tables, as the operations need them; `registry_tables` implements this on DynamoDB."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from registry_model.index_layout import Answer
from registry_model.version import Version
from registry_tables.consumers_layout import ConsumerNeed
from registry_tables.page import Page
from registry_tables.records import Change, HistoryEvent, ServiceRecord, VersionRecord
from registry_tables.series import Series


class VersionStore(Protocol):
    """The versions table. Every read except `service_names` is strongly consistent.

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

    def transact_read(
        self, name: str, versions: Iterable[Version]
    ) -> tuple[ServiceRecord | None, dict[Version, VersionRecord]]:
        """Read a service and those of *versions* that exist, in one transaction.

        Raises:
            RaceLostError: Another transaction is changing one of them.
        """

    def check_last_change(self, service: ServiceRecord) -> None:
        """Check that every item of the service's last change can be read.

        The service's item may become visible before the version that changed with it.

        Raises:
            RaceLostError: The change is still being written.
        """

    def highest_stable(
        self, name: str, series: Series, *, below: Version | None = None
    ) -> Version | None:
        """Find the highest active stable version of a series, below another one if given."""

    def service_names(self, prefix: str, *, limit: int, after: str | None) -> Page[str, str]:
        """Read up to *limit* names that begin with *prefix*, from the first one after *after* on.

        A new service may be missing for a moment.
        """

    def services(self, names: Iterable[str]) -> dict[str, ServiceRecord]:
        """Read the services of these names that exist."""

    def records(self, wanted: Iterable[tuple[str, Version]]) -> dict[str, VersionRecord]:
        """Read one version each of several services, by the service's name."""

    def versions(
        self, name: str, *, limit: int, after: Version | None
    ) -> Page[VersionRecord, Version]:
        """Read up to *limit* versions, from the highest one below *after* on."""

    def history(self, name: str, *, limit: int, before: int | None) -> Page[HistoryEvent, int]:
        """Read up to *limit* events, from the newest one before the revision *before* on."""

    def commit(self, change: Change) -> None:
        """Make a change, in one transaction.

        Raises:
            RaceLostError: The service or the version has changed since it was read.
            FullError: The service has reached its size limit.
        """


class ConsumerNeeds(Protocol):
    """The known needs of consumers, for the guard and the dry run.

    Raises:
        ThrottledError, UnreachableError: From every method.
    """

    def needs_of_service(self, service: str) -> Iterable[ConsumerNeed]:
        """Read the needs of all consumers of a service, including outdated ones."""

    def valid_needs(self, needs: Sequence[ConsumerNeed]) -> Sequence[ConsumerNeed]:
        """Return those of *needs* that are not outdated."""


class NoConsumers:
    """The `ConsumerNeeds` of a registry that records no consumers."""

    def needs_of_service(self, service: str) -> Iterable[ConsumerNeed]:  # noqa: ARG002
        """Return nothing."""
        return ()

    def valid_needs(self, needs: Sequence[ConsumerNeed]) -> Sequence[ConsumerNeed]:
        """Return all of them."""
        return needs


class RehearsalStore:
    """A `VersionStore` that reads from another one, and commits nothing.

    Attributes:
        change: The change that would have been committed, or None.
    """

    def __init__(self, store: VersionStore) -> None:
        """Read from *store*."""
        self._store = store
        self.change: Change | None = None
        self.read = store.read
        self.service = store.service
        self.version = store.version
        self.transact_read = store.transact_read
        self.check_last_change = store.check_last_change
        self.highest_stable = store.highest_stable
        self.service_names = store.service_names
        self.services = store.services
        self.records = store.records
        self.versions = store.versions
        self.history = store.history

    def commit(self, change: Change) -> None:
        """Keep the change, and write nothing."""
        self.change = change


class IndexStore(Protocol):
    """The index table, read-only. It is updated a moment after the versions table.

    Raises:
        ThrottledError, UnreachableError: From every method.
    """

    def answers(self, wanted: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Answer]:
        """Read the answers of these pairs of service and selector that exist.

        Raises:
            DamagedAnswerError: An item is malformed.
        """
