"""The values of the versions table: services, their versions, history and changes."""

from dataclasses import dataclass, field
from enum import StrEnum

from registry_model.needs import LATEST
from registry_model.version import Version
from registry_tables.arn import Arn


class Status(StrEnum):
    """Whether every selector can resolve to a version, or only the exact one."""

    ACTIVE = "active"
    YANKED = "yanked"


class Action(StrEnum):
    """What a change did, as the history records it."""

    PUBLISH = "publish"
    YANK = "yank"
    ACTIVATE = "activate"
    DELETE = "delete"
    SET_CHANNEL = "set-channel"
    DELETE_CHANNEL = "delete-channel"


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionRecord:
    """One published version of a service.

    Attributes:
        name: The service's name.
        reason: Why it was yanked, or None.
        published_at: ISO 8601, UTC.
        published_by: The publisher's IAM identity.
        revision: The service's revision at which this record last changed.
    """

    name: str
    version: Version
    arn: Arn
    status: Status
    published_at: str
    published_by: str
    revision: int
    reason: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)

    @property
    def is_answer(self) -> bool:
        """Whether `latest`, `x`, `~=` and `>=` may resolve to it: it is active and stable."""
        return self.status is Status.ACTIVE and self.version.is_stable


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceRecord:
    """The state of a service.

    Attributes:
        revision: Grows by one with every change of the service.
        channels: The version that each channel is set to; `latest` only while it is pinned.
        highest: The highest active stable version, or None. Every change updates it, so that
            reading services needs no query of an index.
        created_at: ISO 8601, UTC: the first publish.
        updated_at: ISO 8601, UTC: the last change.
    """

    name: str
    revision: int
    created_at: str
    updated_at: str
    channels: dict[str, Version] = field(default_factory=dict)
    highest: Version | None = None

    @property
    def latest(self) -> Version | None:
        """What `latest` resolves to: the version that it is pinned to, otherwise the highest."""
        return self.channels.get(LATEST, self.highest)


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEvent:
    """One change of a service.

    Attributes:
        name: The service's name.
        revision: The service's revision after the change.
        at: ISO 8601, UTC.
        by: The caller's IAM identity, `unknown` if the gateway gives none.
        version: The version concerned, or None. For a channel, the version that it is set to.
        arn: That version's ARN; None if there is no version, or if the change was made before
            the history had ARNs.
    """

    name: str
    revision: int
    at: str
    by: str
    action: Action
    version: Version | None = None
    channel: str | None = None
    reason: str | None = None
    arn: Arn | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change of a service, committed in one transaction.

    Attributes:
        expected: The service as it was read; None if it did not exist. The commit fails if the
            service has changed since.
        found: The version concerned, as it was read; None if it did not exist. The commit
            fails if it has changed since: both may have been read at different moments.
        service: The service afterwards, its revision one higher.
        event: The change's entry in the history.
        put: The version's record afterwards; None if the change does not write it.
        deletes: Whether the change deletes the found version.
    """

    expected: ServiceRecord | None
    found: VersionRecord | None
    service: ServiceRecord
    event: HistoryEvent
    put: VersionRecord | None = None
    deletes: bool = False
