"""The API's JSON documents as types; docs/api.md describes each member."""

from typing import Literal, NotRequired, TypedDict


class VersionJson(TypedDict):
    """The record of a version."""

    name: str
    version: str
    arn: str
    status: Literal["active", "yanked"]
    reason: NotRequired[str]
    metadata: NotRequired[dict[str, str]]
    published_at: str
    published_by: str
    revision: int


class ServiceSummaryJson(TypedDict):
    """A service in the list of services."""

    name: str
    latest: VersionJson | None
    revision: int


class ServiceJson(ServiceSummaryJson):
    """A service."""

    channels: dict[str, str]
    created_at: str
    updated_at: str


class EventJson(TypedDict):
    """One change of a service, in its history."""

    revision: int
    at: str
    by: str
    action: str
    version: NotRequired[str]
    channel: NotRequired[str]
    reason: NotRequired[str]


class MemberJson(TypedDict):
    """A function's answer of one need: a member of the services file."""

    requested: str
    status: Literal["active", "yanked", "missing", "unavailable"]
    service: NotRequired[str]
    version: NotRequired[str]
    arn: NotRequired[str]
    metadata: NotRequired[dict[str, str]]
    reason: NotRequired[str]
    error: NotRequired[str]
    resolved_at: NotRequired[str]


class ResolutionJson(TypedDict):
    """A function's answers of all of its needs, by key."""

    services: dict[str, MemberJson]
    resolved: bool


# `from` is a keyword, so these have the functional form.
MoveJson = TypedDict("MoveJson", {"selector": str, "from": str | None, "to": str | None})
"""A selector that a change moves to another version."""

ImpactJson = TypedDict(
    "ImpactJson", {"consumer": str, "need": str, "from": str | None, "to": str | None}
)
"""A consumer that a change moves to another version."""


class DryRunJson(TypedDict):
    """The impact of a change."""

    changes: list[MoveJson]
    consumers: list[ImpactJson]
    consumers_total: NotRequired[int]


class ConsumerJson(TypedDict):
    """A consumer and its needs."""

    consumer: str
    needed: str
    arn: NotRequired[str]
    owner: NotRequired[str]
    source: Literal["declared", "scan"]
    seen_at: str


class ServiceConsumerJson(TypedDict):
    """One need of a consumer for a service."""

    consumer: str
    arn: NotRequired[str]
    key: str
    requested: str
    version: str | None
    source: Literal["declared", "scan"]
    seen_at: str
