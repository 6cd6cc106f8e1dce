"""What clients may do, and when they are refused. No HTTP here, and no DynamoDB."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from typing import TypeVar

from registry_api.store import VersionStore
from registry_model.needs import LATEST
from registry_model.version import Version
from registry_tables.arn import Arn
from registry_tables.errors import RaceLostError
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

MAX_CHANNELS = 100
# Simulated: of 32 writers on one service at once, with 60 ms between reading and writing, all get
# through; at the worst, the pauses come to 7.6 s of the 29 that API Gateway waits.
_ATTEMPTS = 12
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 1.0


class RegistryError(Exception):
    """Base of what the registry refuses."""


class UnknownError(RegistryError):
    """There is no such service or version."""


class ConflictError(RegistryError):
    """What stands in the registry forbids it.

    Attributes:
        current: The record that stands, where it is one that forbids it.
    """

    def __init__(self, message: str, current: VersionRecord | None = None) -> None:
        """Say what forbids it, and the way out."""
        super().__init__(message)
        self.current = current


class BusyError(RegistryError):
    """Too many others change the service at the same time; try again."""


class PublishOutcome(Enum):
    """Whether a publish was new, or says what stands already."""

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
class ServiceView:
    """A service and its latest version; None where it has no stable one that is active."""

    service: ServiceRecord
    latest: VersionRecord | None


class Registry:
    """The operations on one versions table."""

    def __init__(
        self,
        store: VersionStore,
        *,
        now: Callable[[], str],
        sleep: Callable[[float], None],
        random: Callable[[], float],
    ) -> None:
        """Take the table, the clock (ISO 8601, UTC), a way to wait, and the dice (0 up to 1)."""
        self._store = store
        self._now = now
        self._sleep = sleep
        self._random = random

    def publish(self, wanted: Publication, by: str) -> tuple[PublishOutcome, VersionRecord]:
        """Publish a version, or find that it is published already.

        Args:
            by: The caller's IAM identity.

        Raises:
            ConflictError: The version stands with another ARN or metadata, or the channel may not
                point at it; nothing was changed.
            BusyError: Too many others change the service at the same time.
        """
        return self._retried(lambda: self._publish(wanted, by))

    def yank(self, name: str, version: Version, reason: str | None, by: str) -> VersionRecord:
        """Take a version out of every selector but the exact one.

        Args:
            reason: Why, for whoever still has it; None keeps the reason that it has.

        Raises:
            UnknownError: It is not there.
            ConflictError: A channel points at it.
            BusyError: Too many others change the service at the same time.
        """
        return self._retried(lambda: self._yank(name, version, reason, by))

    def activate(self, name: str, version: Version, by: str) -> VersionRecord:
        """Take a yank back.

        Raises:
            UnknownError: It is not there.
            BusyError: Too many others change the service at the same time.
        """
        return self._retried(lambda: self._activate(name, version, by))

    def delete(self, name: str, version: Version, by: str) -> None:
        """Take a wrong publish back; the version may then be published anew.

        Raises:
            UnknownError: It is not there.
            ConflictError: A channel points at it.
            BusyError: Too many others change the service at the same time.
        """
        self._retried(lambda: self._delete(name, version, by))

    def set_channel(self, name: str, channel: str, version: Version, by: str) -> None:
        """Point a channel at a version; `latest` is pinned that way.

        Raises:
            UnknownError: There is no such service.
            ConflictError: There is no such version, or the channel may not point at it.
            BusyError: Too many others change the service at the same time.
        """
        self._retried(lambda: self._set_channel(name, channel, version, by))

    def delete_channel(self, name: str, channel: str, by: str) -> None:
        """Take a channel away; `latest` is then the highest active stable version again.

        Raises:
            UnknownError: There is no such service, or the channel is not set.
            BusyError: Too many others change the service at the same time.
        """
        self._retried(lambda: self._delete_channel(name, channel, by))

    def service(self, name: str) -> ServiceView:
        """Look at a service.

        Raises:
            UnknownError: Nobody has ever published it.
            BusyError: Too many others change the service at the same time.
        """
        return self._retried(lambda: self._view(name))

    def services(self, prefix: str, *, limit: int, after: str | None) -> Page[ServiceView, str]:
        """Look at a page of the services whose names begin with *prefix*, by name."""
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
        # The names trail the table, so that one may be there whose service is not.
        for name in filter(services.__contains__, names.items):
            try:
                views.append(_view_of(services[name], records.get(name)))
            except RaceLostError:
                views.append(self.service(name))
        return Page(items=tuple(views), last=names.last)

    def versions(
        self, name: str, *, limit: int, after: Version | None
    ) -> Page[VersionRecord, Version]:
        """Look at a page of a service's versions, the highest first.

        Raises:
            UnknownError: Nobody has ever published the service.
        """
        self._known(name)
        return self._store.versions(name, limit=limit, after=after)

    def version(self, name: str, version: Version) -> VersionRecord:
        """Look at one version.

        Raises:
            UnknownError: It is not there.
        """
        record = self._store.version(name, version)
        if record is None:
            raise _no_version(name, version)
        return record

    def history(self, name: str, *, limit: int, before: int | None) -> Page[HistoryEvent, int]:
        """Look at a page of a service's changes, the newest first.

        Raises:
            UnknownError: Nobody has ever published the service.
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

    def _view(self, name: str) -> ServiceView:
        service = self._known(name)
        latest = service.latest
        return _view_of(service, self._store.version(name, latest) if latest else None)

    def _retried(self, attempt: Callable[[], _Result]) -> _Result:
        """Decide anew for as long as others come first, each time after a longer pause."""
        for tried in range(_ATTEMPTS):
            if tried:
                longest = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** (tried - 1))
                self._sleep(longest * self._random())
            try:
                return attempt()
            except RaceLostError:
                continue
        message = "many others are changing this service right now; try again in a moment"
        raise BusyError(message)

    def _publish(self, wanted: Publication, by: str) -> tuple[PublishOutcome, VersionRecord]:
        service, current = self._store.read(wanted.name, wanted.version)
        if current is not None and service is not None:
            return PublishOutcome.REPEATED, self._repeat(wanted, service, current, by)
        now = self._now()
        before = service or ServiceRecord(
            name=wanted.name, revision=0, created_at=now, updated_at=now
        )
        record = VersionRecord(
            name=wanted.name,
            version=wanted.version,
            arn=wanted.arn,
            status=Status.ACTIVE,
            metadata=wanted.metadata,
            published_at=now,
            published_by=by,
            revision=before.revision + 1,
        )
        event = HistoryEvent(
            name=wanted.name,
            revision=record.revision,
            at=now,
            by=by,
            action=Action.PUBLISH,
            version=wanted.version,
            channel=wanted.channel,
        )
        after = _at(event, before)
        after = replace(after, highest=_higher(before.highest, record))
        if wanted.channel is not None:
            after = replace(after, channels=_with_channel(before, wanted.channel, record))
        self._store.commit(
            Change(expected=service, found=None, service=after, event=event, put=record)
        )
        return PublishOutcome.CREATED, record

    def _repeat(
        self, wanted: Publication, service: ServiceRecord, current: VersionRecord, by: str
    ) -> VersionRecord:
        """Answer a publish of a version that stands already: the same again is no conflict."""
        if current.arn != wanted.arn or current.metadata != wanted.metadata:
            what = "another ARN" if current.arn != wanted.arn else "other metadata"
            message = (
                f"version {wanted.version} of '{wanted.name}' is published with {what}; "
                "published versions do not change: publish a new version"
            )
            raise ConflictError(message, current)
        if wanted.channel is not None:
            self._point(service, wanted.channel, current, by)
        return current

    def _yank(self, name: str, version: Version, reason: str | None, by: str) -> VersionRecord:
        service, found = self._found(name, version)
        _refuse_if_pointed_at(service, version)
        if found.status is Status.YANKED and reason in (None, found.reason):
            return found
        event = self._event(service, Action.YANK, by, version=version, reason=reason)
        record = replace(found, status=Status.YANKED, reason=reason, revision=event.revision)
        after = replace(_at(event, service), highest=self._highest_without(service, version))
        self._store.commit(
            Change(expected=service, found=found, service=after, event=event, put=record)
        )
        return record

    def _activate(self, name: str, version: Version, by: str) -> VersionRecord:
        service, found = self._found(name, version)
        if found.status is Status.ACTIVE:
            return found
        event = self._event(service, Action.ACTIVATE, by, version=version)
        record = replace(found, status=Status.ACTIVE, reason=None, revision=event.revision)
        after = replace(_at(event, service), highest=_higher(service.highest, record))
        self._store.commit(
            Change(expected=service, found=found, service=after, event=event, put=record)
        )
        return record

    def _delete(self, name: str, version: Version, by: str) -> None:
        service, found = self._found(name, version)
        _refuse_if_pointed_at(service, version)
        event = self._event(service, Action.DELETE, by, version=version)
        after = replace(_at(event, service), highest=self._highest_without(service, version))
        self._store.commit(
            Change(expected=service, found=found, service=after, event=event, deletes=True)
        )

    def _set_channel(self, name: str, channel: str, version: Version, by: str) -> None:
        service, record = self._store.read(name, version)
        if service is None:
            raise _no_service(name)
        if record is None:
            message = f"service '{name}' has no version {version}; publish it first"
            raise ConflictError(message)
        self._point(service, channel, record, by)

    def _point(self, service: ServiceRecord, channel: str, record: VersionRecord, by: str) -> None:
        """Point a channel at a version, unless it does already."""
        if service.channels.get(channel) == record.version:
            return
        channels = _with_channel(service, channel, record)
        event = self._event(
            service, Action.SET_CHANNEL, by, version=record.version, channel=channel
        )
        after = replace(_at(event, service), channels=channels)
        self._store.commit(Change(expected=service, found=record, service=after, event=event))

    def _delete_channel(self, name: str, channel: str, by: str) -> None:
        service = self._known(name)
        if channel not in service.channels:
            pinned = "; it is not pinned" if channel == LATEST else ""
            message = f"service '{name}' has no channel '{channel}'{pinned}"
            raise UnknownError(message)
        event = self._event(service, Action.DELETE_CHANNEL, by, channel=channel)
        left = {each: service.channels[each] for each in service.channels if each != channel}
        after = replace(_at(event, service), channels=left)
        self._store.commit(Change(expected=service, found=None, service=after, event=event))

    def _event(
        self,
        service: ServiceRecord,
        action: Action,
        by: str,
        *,
        version: Version | None = None,
        channel: str | None = None,
        reason: str | None = None,
    ) -> HistoryEvent:
        """Name a service's next change."""
        return HistoryEvent(
            name=service.name,
            revision=service.revision + 1,
            at=self._now(),
            by=by,
            action=action,
            version=version,
            channel=channel,
            reason=reason,
        )

    def _highest_without(self, service: ServiceRecord, version: Version) -> Version | None:
        """Find the highest active stable version of a service that loses one of its versions.

        It is read after the service and its last change: did that change meanwhile, ours does not
        happen.
        """
        if service.highest != version:
            return service.highest
        self._store.check_last_change(service)
        return self._store.highest_stable(service.name, Series(), below=version)


def _at(event: HistoryEvent, service: ServiceRecord) -> ServiceRecord:
    """Move a service on to the revision and the time of a change."""
    return replace(service, revision=event.revision, updated_at=event.at)


def _higher(highest: Version | None, record: VersionRecord) -> Version | None:
    """Name the highest active stable version once *record* is there."""
    if not record.is_answer:
        return highest
    return record.version if highest is None else max(highest, record.version)


def _view_of(service: ServiceRecord, latest: VersionRecord | None) -> ServiceView:
    """Put a service and its latest version together.

    Raises:
        RaceLostError: The version was read a moment later, and has changed in between.
    """
    if service.latest is not None and (latest is None or latest.revision > service.revision):
        raise RaceLostError
    return ServiceView(service=service, latest=latest)


def _no_service(name: str) -> UnknownError:
    message = f"there is no service '{name}'; it exists from its first publish on"
    return UnknownError(message)


def _no_version(name: str, version: Version) -> UnknownError:
    message = f"service '{name}' has no version {version}"
    return UnknownError(message)


def _refuse_if_pointed_at(service: ServiceRecord, version: Version) -> None:
    """See that no channel points at a version that is about to go.

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
    """Point *channel* at a version, if it may point there.

    Raises:
        ConflictError: It may not.
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
