"""What clients may do, and when they are refused. No HTTP here, and no DynamoDB."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from typing import TypeVar

from registry_api.store import Change, RaceLostError, VersionsPage, VersionStore
from registry_model.arn import Arn
from registry_model.needs import LATEST
from registry_model.records import Action, HistoryEvent, ServiceRecord, Status, VersionRecord
from registry_model.version import Version

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

    def service(self, name: str) -> ServiceView:
        """Look at a service.

        Raises:
            UnknownError: Nobody has ever published it.
        """
        service = self._known(name)
        pinned = service.channels.get(LATEST)
        if pinned is not None:
            latest = self._store.version(name, pinned)
        else:
            latest = self._store.highest_stable(name)
        return ServiceView(service=service, latest=latest)

    def versions(self, name: str, *, limit: int, after: Version | None) -> VersionsPage:
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
            message = f"service '{name}' has no version {version}"
            raise UnknownError(message)
        return record

    def _known(self, name: str) -> ServiceRecord:
        service = self._store.service(name)
        if service is None:
            message = f"there is no service '{name}'; it exists from its first publish on"
            raise UnknownError(message)
        return service

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
        revision = service.revision + 1 if service else 1
        now = self._now()
        record = VersionRecord(
            name=wanted.name,
            version=wanted.version,
            arn=wanted.arn,
            status=Status.ACTIVE,
            metadata=wanted.metadata,
            published_at=now,
            published_by=by,
            revision=revision,
        )
        channels = dict(service.channels) if service else {}
        if wanted.channel is not None:
            channels = _with_channel(channels, wanted.channel, record)
        after = ServiceRecord(
            name=wanted.name,
            revision=revision,
            channels=channels,
            created_at=service.created_at if service else now,
            updated_at=now,
        )
        event = HistoryEvent(
            name=wanted.name,
            revision=revision,
            at=now,
            by=by,
            action=Action.PUBLISH,
            version=wanted.version,
            channel=wanted.channel,
        )
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
        if wanted.channel is not None and service.channels.get(wanted.channel) != current.version:
            self._set_channel(service, wanted.channel, current, by)
        return current

    def _set_channel(
        self, service: ServiceRecord, channel: str, record: VersionRecord, by: str
    ) -> None:
        now = self._now()
        after = replace(
            service,
            revision=service.revision + 1,
            updated_at=now,
            channels=_with_channel(service.channels, channel, record),
        )
        event = HistoryEvent(
            name=service.name,
            revision=after.revision,
            at=now,
            by=by,
            action=Action.SET_CHANNEL,
            version=record.version,
            channel=channel,
        )
        self._store.commit(Change(expected=service, found=record, service=after, event=event))


def _with_channel(
    channels: dict[str, Version], channel: str, record: VersionRecord
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
    if channel not in channels and len(channels) >= MAX_CHANNELS:
        message = f"a service has at most {MAX_CHANNELS} channels; delete one first"
        raise ConflictError(message)
    return {**channels, channel: record.version}
