"""What clients may do, and when they are refused. No HTTP here, and no DynamoDB."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from functools import cache, wraps
from typing import Concatenate, ParamSpec, TypeVar

from registry_api.impact import Impact, affected_needs, consumer_changes, selector_changes
from registry_api.refusals import (
    BusyError,
    ConflictError,
    GuardError,
    InvalidError,
    PreconditionError,
    UnknownError,
)
from registry_api.store import ConsumerNeeds, NoConsumers, RehearsalStore, VersionStore
from registry_model.needs import LATEST
from registry_model.version import Version
from registry_tables.arn import Arn
from registry_tables.errors import DynamoError, RaceLostError
from registry_tables.page import Page
from registry_tables.records import (
    Action,
    Change,
    HistoryEvent,
    ServiceRecord,
    Status,
    VersionRecord,
)
from registry_tables.series import Series

_Result = TypeVar("_Result")
_Arguments = ParamSpec("_Arguments")

MAX_CHANNELS = 100
MAX_METADATA_BYTES = 2_048
# Simulated: of 32 writers on one service at once, with 60 ms between reading and writing, all get
# through; at the worst, the pauses come to 7.6 s of the 29 that API Gateway waits.
_ATTEMPTS = 12
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 1.0


class PublishOutcome(Enum):
    """Whether a publish made a new version, or repeated one."""

    CREATED = "created"
    REPEATED = "repeated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """What a pipeline publishes."""

    name: str
    version: Version
    arn: Arn
    metadata: dict[str, str]
    channel: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteTerms:
    """The terms of a write.

    Attributes:
        passes_guard: Whether the change may leave selectors without an answer.
        accepts: Returns whether the present revision of what is changed is one that the client
            expects; None: it does not exist.
    """

    passes_guard: bool = False
    accepts: Callable[[int | None], bool] = lambda _: True

    def check(self, record: ServiceRecord | VersionRecord | None) -> None:
        """Check the revision of what is changed.

        Raises:
            PreconditionError: The client expects another one.
        """
        if not self.accepts(None if record is None else record.revision):
            raise PreconditionError


_PLAIN = WriteTerms()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceView:
    """A service and its latest version; None where no stable version is active."""

    service: ServiceRecord
    latest: VersionRecord | None


def _decided_again(
    operation: "Callable[Concatenate[Registry, _Arguments], _Result]",
) -> "Callable[Concatenate[Registry, _Arguments], _Result]":
    """Repeat an operation that lost a race: it reads and decides again, after a longer pause.

    Raises:
        BusyError: It lost every time.
    """

    @wraps(operation)
    def repeated(
        registry: "Registry", /, *arguments: _Arguments.args, **named: _Arguments.kwargs
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


class Registry:
    """The operations on one versions table.

    After a restore, half of a change may be there for good: a version at a revision above its
    service's, or a service that has a version which is gone. Reads return what there is; the same
    write again makes it whole.
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
        self._store = store
        self._now = now
        self._sleep = sleep
        self._random = random
        self._consumers: ConsumerNeeds = consumers or NoConsumers()

    def pause(self, longest_s: float) -> None:
        """Wait for a random part of a time."""
        self._sleep(longest_s * self._random())

    @_decided_again
    def dry_run(self, write: "Callable[[Registry], object]") -> Impact:
        """Return what a write would change, and commit nothing.

        Raises:
            RegistryError: As the write would.
        """
        store = RehearsalStore(self._store)
        rehearsal = Registry(
            store,
            now=self._now,
            sleep=self._sleep,
            random=self._random,
            consumers=self._consumers,
        )
        write(rehearsal)
        return Impact() if store.change is None else self._impact(store.change)

    @_decided_again
    def publish(
        self, wanted: Publication, by: str, terms: WriteTerms = _PLAIN
    ) -> tuple[PublishOutcome, VersionRecord]:
        """Publish a version, or find that it is published already.

        Args:
            by: The caller's IAM identity.
            terms: Its `accepts` is asked about the service.

        Raises:
            InvalidError: The metadata of a new version is too large.
            PreconditionError: The service is not as the client expects.
            ConflictError: The version stands with another ARN or metadata, or the channel may not
                point at it; nothing was changed.
            BusyError: Other requests keep changing the service.
        """
        service, current = self._store.read(wanted.name, wanted.version)
        if current is None:
            _check_metadata(wanted.metadata)
        terms.check(service)
        if current is not None:
            return PublishOutcome.REPEATED, self._repeat(wanted, service, current, by)
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
        after = _with_version(service, event, record)
        if wanted.channel is not None:
            after = replace(after, channels=_with_channel(after, wanted.channel, record))
        self._store.commit(
            Change(expected=service, found=None, service=after, event=event, put=record)
        )
        return PublishOutcome.CREATED, record

    @_decided_again
    def yank(
        self,
        name: str,
        version: Version,
        reason: str | None,
        by: str,
        terms: WriteTerms = _PLAIN,
    ) -> VersionRecord:
        """Yank a version: only the exact selector resolves to it any more.

        Args:
            reason: Why, for those who still use it; None keeps the reason that it has.
            terms: Its `accepts` is asked about the version.

        Raises:
            UnknownError: There is no such version.
            PreconditionError: The version is not as the client expects.
            ConflictError: A channel points at it, or selectors would be left without an answer.
            BusyError: Other requests keep changing the service.
        """
        service, found = self._found(name, version)
        terms.check(found)
        _refuse_if_pointed_at(service, version)
        is_same = found.status is Status.YANKED and reason in (None, found.reason)
        if is_same and not _is_half_done(service, found):
            return found
        kept = found.reason if reason is None else reason
        event = self._event(name, service, Action.YANK, by, version=version, reason=kept, at=found)
        record = replace(found, status=Status.YANKED, reason=kept, revision=event.revision)
        after = replace(_at(event, service), highest=self._highest_without(service, version))
        self._commit_guarded(
            Change(expected=service, found=found, service=after, event=event, put=record), terms
        )
        return record

    @_decided_again
    def activate(
        self, name: str, version: Version, by: str, terms: WriteTerms = _PLAIN
    ) -> VersionRecord:
        """Undo a yank.

        Args:
            terms: Its `accepts` is asked about the version.

        Raises:
            UnknownError: There is no such version.
            PreconditionError: The version is not as the client expects.
            BusyError: Other requests keep changing the service.
        """
        service, found = self._found(name, version)
        terms.check(found)
        if found.status is Status.ACTIVE and not _is_half_done(service, found):
            return found
        event = self._event(name, service, Action.ACTIVATE, by, version=version, at=found)
        record = replace(found, status=Status.ACTIVE, reason=None, revision=event.revision)
        self._store.commit(
            Change(
                expected=service,
                found=found,
                service=_with_version(service, event, record),
                event=event,
                put=record,
            )
        )
        return record

    @_decided_again
    def delete(self, name: str, version: Version, by: str, terms: WriteTerms = _PLAIN) -> None:
        """Delete a version; it may then be published anew.

        Args:
            terms: Its `accepts` is asked about the version.

        Raises:
            UnknownError: There is no such version.
            PreconditionError: The version is not as the client expects.
            ConflictError: A channel points at it, or selectors would be left without an answer.
            BusyError: Other requests keep changing the service.
        """
        service, found = self._store.read(name, version)
        if service is None:
            raise _no_service(name)
        # The service has the version and its item is gone: half of a deletion.
        if found is None and service.highest != version:
            raise _no_version(name, version)
        terms.check(found)
        _refuse_if_pointed_at(service, version)
        event = self._event(name, service, Action.DELETE, by, version=version, at=found)
        after = replace(_at(event, service), highest=self._highest_without(service, version))
        change = Change(
            expected=service, found=found, service=after, event=event, deletes=found is not None
        )
        self._commit_guarded(change, terms)

    @_decided_again
    def set_channel(
        self, name: str, channel: str, version: Version, by: str, terms: WriteTerms = _PLAIN
    ) -> None:
        """Set a channel to a version; setting `latest` pins it.

        Args:
            terms: Its `accepts` is asked about the service.

        Raises:
            UnknownError: There is no such service.
            PreconditionError: The service is not as the client expects.
            ConflictError: There is no such version, or the channel may not point at it.
            BusyError: Other requests keep changing the service.
        """
        service, record = self._store.read(name, version)
        if service is None:
            raise _no_service(name)
        terms.check(service)
        if record is None:
            message = f"service '{name}' has no version {version}; publish it first"
            raise ConflictError(message)
        self._point(service, channel, record, by)

    @_decided_again
    def delete_channel(self, name: str, channel: str, by: str, terms: WriteTerms = _PLAIN) -> None:
        """Delete a channel; `latest` is then the highest active stable version again.

        Args:
            terms: Its `accepts` is asked about the service.

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
        after = replace(_at(event, service), channels=left)
        self._store.commit(Change(expected=service, found=None, service=after, event=event))

    @_decided_again
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
        if _is_whole(view):
            return view
        # Either the service has changed between the two reads, or half of a change is there for
        # good: only a transaction reads both as of one moment.
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
            views.append(view if _is_whole(view) else self._view_again(view))
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
            raise _no_version(name, version)
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
            raise _no_service(name)
        return service

    def _found(self, name: str, version: Version) -> tuple[ServiceRecord, VersionRecord]:
        service, record = self._store.read(name, version)
        if service is None:
            raise _no_service(name)
        if record is None:
            raise _no_version(name, version)
        return service, record

    def _view_again(self, view: ServiceView) -> ServiceView:
        """Read a service again that a list found in the middle of a change, or with half of one.

        One such service must not make the whole list fail: if it stays so, return what was read
        first.
        """
        try:
            return self.service(view.service.name)
        except (UnknownError, BusyError, DynamoError):
            return view

    def _repeat(
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
        if service is None or _is_half_done(service, current):
            return self._complete(wanted, service, current, by)
        if wanted.channel is not None:
            self._point(service, wanted.channel, current, by)
        return current

    def _point(self, service: ServiceRecord, channel: str, record: VersionRecord, by: str) -> None:
        """Set a channel to a version, unless it is set to it already.

        Raises:
            ConflictError: It may not point there.
        """
        channels = _with_channel(service, channel, record)
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
        after = replace(_at(event, service), channels=channels)
        self._store.commit(Change(expected=service, found=record, service=after, event=event))

    def _complete(
        self, wanted: Publication, service: ServiceRecord | None, current: VersionRecord, by: str
    ) -> VersionRecord:
        """Make the other half of a publish of which only the version is there."""
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
        after = _with_version(service, event, record)
        if wanted.channel is not None:
            after = replace(after, channels=_with_channel(after, wanted.channel, record))
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
            at: The version concerned, as it was read. Its revision is above the service's where
                half of a change is there; no revision is used twice.
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
        """Find the highest active stable version of a service that loses one of its versions.

        It is read after the service and its last change: if that changes meanwhile, the commit
        fails.
        """
        if service.highest != version:
            return service.highest
        self._store.check_last_change(service)
        return self._store.highest_stable(service.name, Series(), below=version)

    def _commit_guarded(self, change: Change, terms: WriteTerms) -> None:
        """Commit a yank or a deletion, unless the guard refuses it.

        Raises:
            GuardError: Selectors would be left without an answer.
        """
        version = change.event.version
        if not terms.passes_guard and version is not None:
            impact = self._impact(change)
            consumers = impact.lost_consumers()
            selectors = impact.lost_selectors(version)
            if selectors or consumers:
                raise GuardError(selectors, consumers)
        self._store.commit(change)

    def _impact(self, change: Change) -> Impact:
        """Return what a change moves.

        Consumers' needs that can't be read are left out: they never make a write fail.
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
            needs = affected_needs(self._consumers.needs_of_service(name), selectors)
            needs = list(self._consumers.valid_needs(needs))
        except DynamoError:
            needs = []
        return Impact(selectors=selectors, consumers=consumer_changes(needs, selectors))


def _at(event: HistoryEvent, service: ServiceRecord) -> ServiceRecord:
    """Return a service at the revision and the time of a change."""
    return replace(service, revision=event.revision, updated_at=event.at)


def _with_version(
    service: ServiceRecord | None, event: HistoryEvent, record: VersionRecord
) -> ServiceRecord:
    """Return a service, or a new one, after a change that publishes or activates a version."""
    before = service or ServiceRecord(
        name=record.name, revision=0, created_at=event.at, updated_at=event.at
    )
    highest = before.highest
    if record.is_answer and (highest is None or record.version > highest):
        highest = record.version
    return replace(_at(event, before), highest=highest)


def _is_half_done(service: ServiceRecord, record: VersionRecord) -> bool:
    """Return whether a version's last change is not yet in its service.

    If it is merely under way, the commit that would complete it loses the race.
    """
    return record.revision > service.revision


def _is_whole(view: ServiceView) -> bool:
    """Return whether a service and its latest version fit together."""
    if view.service.latest is None:
        return True
    return view.latest is not None and not _is_half_done(view.service, view.latest)


def _check_metadata(metadata: dict[str, str]) -> None:
    """Check the size of a new version's metadata.

    Raises:
        InvalidError: It is too large.
    """
    size = sum(len(text.encode()) for entry in metadata.items() for text in entry)
    if size > MAX_METADATA_BYTES:
        message = (
            f"names and values have {size:,} bytes in UTF-8; {MAX_METADATA_BYTES:,} are the most"
        )
        raise InvalidError("/metadata", message)


def _no_service(name: str) -> UnknownError:
    message = f"there is no service '{name}'; it exists from its first publish on"
    return UnknownError(message)


def _no_version(name: str, version: Version) -> UnknownError:
    message = f"service '{name}' has no version {version}"
    return UnknownError(message)


def _refuse_if_pointed_at(service: ServiceRecord, version: Version) -> None:
    """Check that no channel points at a version that is yanked or deleted.

    Raises:
        ConflictError: One does.
    """
    pointing = sorted(each for each in service.channels if service.channels[each] == version)
    if pointing:
        named = ", ".join(f"'{channel}'" for channel in pointing)
        plural = len(pointing) > 1
        message = (
            f"the channel{'s' if plural else ''} {named} point{'' if plural else 's'} at "
            f"version {version}; set {'them' if plural else 'it'} to another version, or delete "
            f"{'them' if plural else 'it'}, first"
        )
        raise ConflictError(message)


def _with_channel(
    service: ServiceRecord, channel: str, record: VersionRecord
) -> dict[str, Version]:
    """Return the service's channels with one set to a version.

    Raises:
        ConflictError: It may not point there.
    """
    if record.status is Status.YANKED:
        message = f"version {record.version} is yanked; no channel may point at it"
        raise ConflictError(message, record)
    if channel == LATEST and not record.version.is_stable:
        message = (
            f"'latest' is for stable versions, and {record.version} is a pre-release; "
            "choose another channel"
        )
        raise ConflictError(message)
    if channel not in service.channels and len(service.channels) >= MAX_CHANNELS:
        message = f"a service has at most {MAX_CHANNELS} channels; delete one first"
        raise ConflictError(message)
    return {**service.channels, channel: record.version}
