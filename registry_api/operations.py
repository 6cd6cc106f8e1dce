"""The operations that write, and the cases in which they are refused; no HTTP, no DynamoDB.

`reads.py` has the operations that read, `rules.py` the rules that need no table, and `guard.py` the
guard against changes that leave needs without an answer. `values.py` compares `If-Match`;
`consumers.py` has the operations on consumers.
"""

from collections.abc import Callable
from dataclasses import replace

from registry_api import rules
from registry_api.guard import Guard
from registry_api.impact import Impact
from registry_api.reads import RegistryReads, retries_lost_races
from registry_api.refusals import ConflictError, UnknownError
from registry_api.store import ConsumerNeeds, NoConsumers, RehearsalStore, VersionStore
from registry_api.values import Publication, PublishOutcome, WriteTerms
from registry_model.needs import LATEST
from registry_model.version import Version
from registry_tables.records import (
    Action,
    Change,
    HistoryEvent,
    ServiceRecord,
    Status,
    VersionRecord,
)
from registry_tables.series import Series

_PLAIN = WriteTerms()


class Registry(RegistryReads):
    """The operations on one versions table.

    After a restore, the table may have only a part of a change. Repeating the write completes it.
    """

    def __init__(
        self,
        store: VersionStore,
        *,
        now: Callable[[], str],
        sleep: Callable[[float], None],
        random: Callable[[], float],
        consumers: ConsumerNeeds | None = None,
    ) -> None:
        """Use a versions table.

        Args:
            now: Returns the time: ISO 8601, UTC.
            random: Returns a number from 0 up to 1.
        """
        super().__init__(store, sleep=sleep, random=random)
        self._now = now
        self._guard = Guard(store, consumers or NoConsumers())

    @retries_lost_races
    def dry_run(self, write: "Callable[[Registry], object]") -> Impact:
        """Return what a write would change, and commit nothing.

        Raises:
            RegistryError: The write would be refused.
        """
        store = RehearsalStore(self._store)
        rehearsal = Registry(
            store,
            now=self._now,
            sleep=self._sleep,
            random=self._random,
            consumers=self._guard.consumers,
        )
        write(rehearsal)
        return Impact() if store.change is None else self._guard.impact(store.change)

    @retries_lost_races
    def publish(
        self, wanted: Publication, by: str, terms: WriteTerms = _PLAIN
    ) -> tuple[PublishOutcome, VersionRecord]:
        """Publish a version; if it is published already, return it.

        Args:
            by: The caller's IAM identity.
            terms: What the client expects of the service.

        Raises:
            InvalidError: The metadata of a new version is too large.
            PreconditionError: The service is not as the client expects.
            ConflictError: The version is published with another ARN or metadata, or the channel
                may not point at it; nothing was changed.
            BusyError: Other requests keep changing the service.
        """
        service, current = self._store.read(wanted.name, wanted.version)
        if current is None:
            rules.check_metadata(wanted.metadata)
        terms.check(service)
        if current is not None:
            return PublishOutcome.REPEATED, self._repeat_publish(wanted, service, current, by)
        event = self._event(
            wanted.name,
            service,
            Action.PUBLISH,
            by,
            version=wanted.version,
            channel=wanted.channel,
        )
        event = replace(event, arn=wanted.arn)
        record = VersionRecord(
            name=wanted.name,
            version=wanted.version,
            arn=wanted.arn,
            status=Status.ACTIVE,
            metadata=wanted.metadata,
            published_at=event.at,
            published_by=by,
            revision=event.revision,
        )
        after = rules.with_version(service, event, record)
        if wanted.channel is not None:
            after = replace(after, channels=rules.with_channel(after, wanted.channel, record))
        self._store.commit(
            Change(expected=service, found=None, service=after, event=event, put=record)
        )
        return PublishOutcome.CREATED, record

    @retries_lost_races
    def yank(
        self,
        name: str,
        version: Version,
        reason: str | None,
        by: str,
        terms: WriteTerms = _PLAIN,
    ) -> VersionRecord:
        """Yank a version: afterwards only the exact selector resolves to it.

        Args:
            reason: The reason, for users of the version; None keeps the present reason.
            terms: What the client expects of the version.

        Raises:
            UnknownError: There is no such version.
            PreconditionError: The version is not as the client expects.
            ConflictError: A channel points at it, or selectors would be left without an answer.
            BusyError: Other requests keep changing the service.
        """
        service, found = self._found(name, version)
        terms.check(found)
        rules.check_no_channel_points_at(service, version)
        is_same = found.status is Status.YANKED and reason in (None, found.reason)
        if is_same and not rules.is_half_done(service, found):
            return found
        kept = found.reason if reason is None else reason
        event = self._event(name, service, Action.YANK, by, version=version, reason=kept, at=found)
        record = replace(found, status=Status.YANKED, reason=kept, revision=event.revision)
        after = replace(
            rules.at_event(event, service), highest=self._highest_without(service, version)
        )
        change = Change(expected=service, found=found, service=after, event=event, put=record)
        self._guard.check(change, terms)
        self._store.commit(change)
        return record

    @retries_lost_races
    def activate(
        self, name: str, version: Version, by: str, terms: WriteTerms = _PLAIN
    ) -> VersionRecord:
        """Undo a yank.

        Args:
            terms: What the client expects of the version.

        Raises:
            UnknownError: There is no such version.
            PreconditionError: The version is not as the client expects.
            BusyError: Other requests keep changing the service.
        """
        service, found = self._found(name, version)
        terms.check(found)
        if found.status is Status.ACTIVE and not rules.is_half_done(service, found):
            return found
        event = self._event(name, service, Action.ACTIVATE, by, version=version, at=found)
        record = replace(found, status=Status.ACTIVE, reason=None, revision=event.revision)
        self._store.commit(
            Change(
                expected=service,
                found=found,
                service=rules.with_version(service, event, record),
                event=event,
                put=record,
            )
        )
        return record

    @retries_lost_races
    def delete(self, name: str, version: Version, by: str, terms: WriteTerms = _PLAIN) -> None:
        """Delete a version; it may then be published again.

        Args:
            terms: What the client expects of the version.

        Raises:
            UnknownError: There is no such version.
            PreconditionError: The version is not as the client expects.
            ConflictError: A channel points at it, or selectors would be left without an answer.
            BusyError: Other requests keep changing the service.
        """
        service, found = self._store.read(name, version)
        if service is None:
            raise rules.no_service(name)
        # If the version's item is missing and the service's item still has the version, a restore
        # brought back only a part of the deletion: complete it.
        if found is None and service.highest != version:
            raise rules.no_version(name, version)
        terms.check(found)
        rules.check_no_channel_points_at(service, version)
        event = self._event(name, service, Action.DELETE, by, version=version, at=found)
        after = replace(
            rules.at_event(event, service), highest=self._highest_without(service, version)
        )
        change = Change(
            expected=service, found=found, service=after, event=event, deletes=found is not None
        )
        self._guard.check(change, terms)
        self._store.commit(change)

    @retries_lost_races
    def set_channel(
        self, name: str, channel: str, version: Version, by: str, terms: WriteTerms = _PLAIN
    ) -> None:
        """Set a channel to a version; setting `latest` pins it.

        Args:
            terms: What the client expects of the service.

        Raises:
            UnknownError: There is no such service.
            PreconditionError: The service is not as the client expects.
            ConflictError: There is no such version, or the channel may not point at it.
            BusyError: Other requests keep changing the service.
        """
        service, record = self._store.read(name, version)
        if service is None:
            raise rules.no_service(name)
        terms.check(service)
        if record is None:
            message = f"service '{name}' has no version {version}; publish it first"
            raise ConflictError(message)
        self._set_channel_to(service, channel, record, by)

    @retries_lost_races
    def delete_channel(self, name: str, channel: str, by: str, terms: WriteTerms = _PLAIN) -> None:
        """Delete a channel; a deleted `latest` is the highest active stable version again.

        Args:
            terms: What the client expects of the service.

        Raises:
            UnknownError: There is no such service, or the channel is not set.
            PreconditionError: The service is not as the client expects.
            BusyError: Other requests keep changing the service.
        """
        service = self._known(name)
        if channel not in service.channels:
            pinned = "; it is not pinned" if channel == LATEST else ""
            message = f"service '{name}' has no channel '{channel}'{pinned}"
            raise UnknownError(message)
        terms.check(service)
        event = self._event(name, service, Action.DELETE_CHANNEL, by, channel=channel)
        left = {each: service.channels[each] for each in service.channels if each != channel}
        after = replace(rules.at_event(event, service), channels=left)
        self._store.commit(Change(expected=service, found=None, service=after, event=event))

    def _repeat_publish(
        self, wanted: Publication, service: ServiceRecord | None, current: VersionRecord, by: str
    ) -> VersionRecord:
        """Return the version that is published already, and set the channel.

        Raises:
            ConflictError: It has another ARN or metadata, or the channel may not point at it.
        """
        if current.arn != wanted.arn or current.metadata != wanted.metadata:
            what = "another ARN" if current.arn != wanted.arn else "other metadata"
            message = (
                f"version {wanted.version} of '{wanted.name}' is published with {what}; "
                "published versions do not change: publish a new version"
            )
            raise ConflictError(message, current)
        if service is None or rules.is_half_done(service, current):
            return self._complete_publish(wanted, service, current, by)
        if wanted.channel is not None:
            self._set_channel_to(service, wanted.channel, current, by)
        return current

    def _set_channel_to(
        self, service: ServiceRecord, channel: str, record: VersionRecord, by: str
    ) -> None:
        """Set a channel to a version, unless it is set to it already.

        Raises:
            ConflictError: The channel may not point at the version.
        """
        channels = rules.with_channel(service, channel, record)
        if channels == service.channels:
            return
        event = self._event(
            service.name,
            service,
            Action.SET_CHANNEL,
            by,
            version=record.version,
            channel=channel,
            at=record,
        )
        after = replace(rules.at_event(event, service), channels=channels)
        self._store.commit(Change(expected=service, found=record, service=after, event=event))

    def _complete_publish(
        self, wanted: Publication, service: ServiceRecord | None, current: VersionRecord, by: str
    ) -> VersionRecord:
        """Complete a publish that has written the version but not the service's item."""
        event = self._event(
            wanted.name,
            service,
            Action.PUBLISH,
            by,
            version=wanted.version,
            channel=wanted.channel,
            at=current,
        )
        record = replace(current, revision=event.revision)
        after = rules.with_version(service, event, record)
        if wanted.channel is not None:
            after = replace(after, channels=rules.with_channel(after, wanted.channel, record))
        self._store.commit(
            Change(expected=service, found=current, service=after, event=event, put=record)
        )
        return record

    def _event(
        self,
        name: str,
        service: ServiceRecord | None,
        action: Action,
        by: str,
        *,
        version: Version | None = None,
        channel: str | None = None,
        reason: str | None = None,
        at: VersionRecord | None = None,
    ) -> HistoryEvent:
        """Return a service's next change.

        Args:
            at: The version of the change, as it was read. If only a part of an earlier change
                exists, the version's revision may be above the service's. The new revision is above
                both, so that no revision is used twice.
        """
        last = max(service.revision if service else 0, at.revision if at else 0)
        return HistoryEvent(
            name=name,
            revision=last + 1,
            at=self._now(),
            by=by,
            action=action,
            version=version,
            channel=channel,
            reason=reason,
            arn=at.arn if at else None,
        )

    def _highest_without(self, service: ServiceRecord, version: Version) -> Version | None:
        """Find the highest active stable version of a service without *version*.

        The highest version is read after the service and its last change. If the service changes
        meanwhile, the commit fails.
        """
        if service.highest != version:
            return service.highest
        self._store.check_last_change(service)
        return self._store.highest_stable(service.name, Series(), below=version)
