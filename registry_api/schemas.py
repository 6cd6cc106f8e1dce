"""The types of request and response bodies, for the validation and the API's description."""

from typing import Annotated, Any, Literal, NotRequired

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo
from pydantic import field_validator as validated
from typing_extensions import TypedDict

from registry_api.consumers import Declaration
from registry_api.fields import (
    ArnText,
    Metadata,
    Name,
    NeededText,
    Owner,
    Reason,
    RecordedNeedsText,
    Revision,
    Time,
    VersionText,
)
from registry_api.problems import pointer
from registry_api.rules import MAX_CHANNELS
from registry_api.values import Publication
from registry_model.needs import NeedsError
from registry_model.version import Version
from registry_tables.arn import Arn
from registry_tables.consumers_layout import Source
from registry_tables.records import Action, Status

# A model is built at its first request, so that a cold start builds only the one that it needs.
_REQUEST = ConfigDict(extra="forbid", strict=True, defer_build=True)


class PublishRequest(BaseModel):
    """The body of `POST /services`."""

    model_config = _REQUEST

    name: Name
    version: VersionText
    arn: ArnText
    metadata: Metadata = Field(default_factory=dict)
    # The default means that the member is absent; JSON's null is refused.
    channel: Name = ""

    def to_publication(self) -> Publication:
        """Convert to the operation's argument."""
        return Publication(
            name=self.name,
            version=Version.parse(self.version),
            arn=Arn.parse(self.arn),
            metadata=self.metadata,
            channel=self.channel or None,
        )


class PublishVersionRequest(BaseModel):
    """The body of `PUT /services/{name}/versions/{version}`."""

    model_config = _REQUEST

    arn: ArnText
    metadata: Metadata = Field(default_factory=dict)
    channel: Name = ""

    def to_publication(self, name: str, version: Version) -> Publication:
        """Convert to the operation's argument."""
        return Publication(
            name=name,
            version=version,
            arn=Arn.parse(self.arn),
            metadata=self.metadata,
            channel=self.channel or None,
        )


class StatusRequest(BaseModel):
    """The body of `PATCH /services/{name}/versions/{version}`."""

    model_config = _REQUEST | ConfigDict(
        json_schema_extra={
            "not": {"required": ["reason"], "properties": {"status": {"const": Status.ACTIVE}}}
        }
    )

    # Not strict, so that a JSON string is converted to the enumeration.
    status: Annotated[Status, Field(strict=False)]
    reason: Reason = ""

    @validated("reason")
    @classmethod
    def _goes_with_yanked(cls, reason: str, info: ValidationInfo) -> str:
        if info.data.get("status") is Status.ACTIVE:
            message = "a reason is allowed with the status 'yanked' only"
            raise ValueError(message)
        return reason

    def reason_given(self) -> str | None:
        """Return the reason, which may be empty; None if none is given."""
        return self.reason if "reason" in self.model_fields_set else None


class ChannelRequest(BaseModel):
    """The body of `PUT /services/{name}/channels/{channel}`."""

    model_config = _REQUEST

    version: VersionText


class ResolveRequest(BaseModel):
    """The body of `POST /resolve`."""

    model_config = _REQUEST

    needed: NeededText


class ConsumerRequest(BaseModel):
    """The body of `PUT /consumers/{consumer}`."""

    model_config = _REQUEST

    needed: RecordedNeedsText
    # The defaults mean that the member is absent; JSON's null is refused.
    arn: ArnText = ""
    owner: Owner = ""

    def to_declaration(self, consumer: str) -> Declaration:
        """Convert to the operation's argument."""
        return Declaration(
            consumer=consumer,
            needed=self.needed,
            arn=self.arn or None,
            owner=self.owner or None,
        )


class VersionDocument(TypedDict):
    """A version of a service."""

    name: Name
    version: VersionText
    arn: ArnText
    status: Status
    reason: NotRequired[Reason]
    metadata: NotRequired[Metadata]
    published_at: Time
    published_by: str
    revision: Revision


class SummaryDocument(TypedDict):
    """A service in a list; `latest` is null if no stable version is active."""

    name: Name
    latest: VersionDocument | None
    revision: Revision


class ServiceDocument(SummaryDocument):
    """A service; its channels have `latest` only while it is pinned."""

    channels: Annotated[dict[Name, VersionText], Field(max_length=MAX_CHANNELS)]
    created_at: Time
    updated_at: Time


class ChannelDocument(TypedDict):
    """What a channel is set to."""

    channel: Name
    version: VersionText


class EventDocument(TypedDict):
    """One change of a service."""

    revision: Revision
    at: Time
    by: str
    action: Action
    version: NotRequired[VersionText]
    channel: NotRequired[Name]
    reason: NotRequired[Reason]


class ServicesPage(TypedDict):
    """A page of the list of services, by name; a cursor of null ends the list."""

    services: list[SummaryDocument]
    cursor: str | None


class VersionsPage(TypedDict):
    """A page of a service's versions, the highest first; a cursor of null ends the list."""

    versions: list[VersionDocument]
    cursor: str | None


class HistoryPage(TypedDict):
    """A page of a service's changes, the newest first; a cursor of null ends the list."""

    events: list[EventDocument]
    cursor: str | None


class MemberDocument(TypedDict):
    """A need's member of the services file; with version, ARN and time if it was resolved."""

    requested: str
    service: NotRequired[Name]
    version: NotRequired[VersionText]
    arn: NotRequired[ArnText]
    status: Literal["active", "yanked", "missing"]
    reason: NotRequired[Reason]
    metadata: NotRequired[Metadata]
    resolved_at: NotRequired[Time]
    error: NotRequired[str]


class ResolutionDocument(TypedDict):
    """What a function would get: a member for each need, and whether all were resolved."""

    services: dict[Name, MemberDocument]
    resolved: bool


class ConsumerDocument(TypedDict):
    """A consumer, and what it needs."""

    consumer: str
    needed: str
    arn: NotRequired[ArnText]
    owner: NotRequired[str]
    source: Source
    seen_at: Time


class ConsumersPage(TypedDict):
    """A page of the list of consumers, by name; a cursor of null ends the list."""

    consumers: list[ConsumerDocument]
    cursor: str | None


class ServiceConsumerDocument(TypedDict):
    """A consumer's need of one service, and the version that it resolves to."""

    consumer: str
    arn: NotRequired[ArnText]
    key: Name
    requested: str
    version: VersionText | None
    source: Source
    seen_at: Time


class ServiceConsumersPage(TypedDict):
    """A page of a service's consumers, by name; a cursor of null ends the list."""

    consumers: list[ServiceConsumerDocument]
    cursor: str | None


# `from` is a keyword of Python, so no class can declare it as a member.
SelectorChangeDocument = TypedDict(
    "SelectorChangeDocument",
    {"selector": str, "from": VersionText | None, "to": VersionText | None},
)
ConsumerChangeDocument = TypedDict(
    "ConsumerChangeDocument",
    {"consumer": str, "need": str, "from": VersionText | None, "to": VersionText | None},
)


class ImpactDocument(TypedDict):
    """What a write would change; of the consumers, the first hundred."""

    changes: list[SelectorChangeDocument]
    consumers: list[ConsumerChangeDocument]
    consumers_total: int


class FaultDocument(TypedDict):
    """One fault of a request: a JSON pointer into its body, or `/` and a query parameter's name."""

    pointer: str
    detail: str


class ProblemDocument(TypedDict):
    """A refusal (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    errors: NotRequired[list[FaultDocument]]
    current: NotRequired[VersionDocument]
    selectors: NotRequired[list[str]]
    consumers: NotRequired[list[ConsumerChangeDocument]]
    consumers_total: NotRequired[int]


# These replace pydantic's messages, which use Python's terms or are too short.
_MESSAGES = {
    "dict_type": "it should be a JSON object",
    "enum": "it should be {expected}",
    "extra_forbidden": "no such member; check its spelling",
    "missing": "it is missing",
    "model_type": "it should be a JSON object",
    "string_too_long": "it has more than {max_length:,} characters",
    "string_too_short": "it is empty",
    "string_type": "it should be a string",
    "too_long": "it has more than {max_length} members",
}


def faults_of(error: ValidationError) -> list[dict[str, str]]:
    """Return every fault of a body, each with its JSON pointer."""
    return [
        {"pointer": _location(fault["loc"]), "detail": detail}
        for fault in error.errors()
        for detail in _details(fault)
    ]


def _location(location: tuple[int | str, ...]) -> str:
    # For a fault of a map's key, pydantic appends a mark; the pointer is that of the entry.
    is_key = len(location) > 2 and location[-1] == "[key]"
    return pointer(*(location[:-1] if is_key else location))


def _details(fault: Any) -> list[str]:  # noqa: ANN401  # pydantic does not export its type
    if fault["type"] == "value_error":
        error = fault["ctx"]["error"]
        return list(map(str, error.faults)) if isinstance(error, NeedsError) else [str(error)]
    if fault["type"] in _MESSAGES:
        return [_MESSAGES[fault["type"]].format(**fault.get("ctx", {}))]
    message: str = fault["msg"]
    return [message[:1].lower() + message[1:]]
