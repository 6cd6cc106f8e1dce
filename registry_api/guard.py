"""The guard: refuses yanks and deletions that would leave selectors or needs without an answer."""

from functools import cache

from registry_api.impact import Impact, affected_needs, consumer_changes, selector_changes
from registry_api.refusals import GuardError
from registry_api.store import ConsumerNeeds, VersionStore
from registry_api.values import WriteTerms
from registry_model.version import Version
from registry_tables.errors import DynamoError
from registry_tables.records import Change
from registry_tables.series import Series


class Guard:
    """Computes the impact of a change, and refuses one that leaves needs without an answer.

    Attributes:
        consumers: The needs of known consumers.
    """

    def __init__(self, store: VersionStore, consumers: ConsumerNeeds) -> None:
        """Use a versions table, and the needs of known consumers."""
        self._store = store
        self.consumers = consumers

    def check(self, change: Change, terms: WriteTerms) -> None:
        """Check a yank or a deletion.

        Raises:
            GuardError: Selectors or needs would be left without an answer.
        """
        version = change.event.version
        if not terms.passes_guard and version is not None:
            impact = self.impact(change)
            consumers = impact.lost_consumers()
            selectors = impact.lost_selectors(version)
            if selectors or consumers:
                raise GuardError(selectors, consumers)

    def impact(self, change: Change) -> Impact:
        """Return the impact of a change.

        If consumers' needs cannot be read, they are left out: the write does not fail.
        """
        name = change.service.name

        @cache
        def check_once() -> None:
            # A plain read may not yet see all of the service's last change.
            if change.expected is not None:
                self._store.check_last_change(change.expected)

        def highest(series: Series, below: Version | None) -> Version | None:
            check_once()
            return self._store.highest_stable(name, series, below=below)

        selectors = selector_changes(change, highest)
        if not selectors:
            return Impact()
        try:
            needs = affected_needs(self.consumers.needs_of_service(name), selectors)
            needs = list(self.consumers.valid_needs(needs))
        except DynamoError:
            needs = []
        return Impact(selectors=selectors, consumers=consumer_changes(needs, selectors))
