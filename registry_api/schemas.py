"""The documents that clients send and get, once for the checks and for the API's description."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, NotRequired, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, ValidationInfo
from pydantic import field_validator as validated
from typing_extensions import TypedDict

from registry_api.consumers import Declaration, ServiceConsumer
from registry_api.impact import ConsumerChange, Impact
from registry_api.operations import MAX_CHANNELS, Publication, ServiceView
from registry_api.problems import pointer
from registry_model import version as versions
from registry_model.needs import (
    MAX_NAME,
    MAX_RECORDED_NEEDS,
    NeedsError,
    name_fault,
    parse_needs,
)
from registry_model.services_file import Member
from registry_model.version import Version
from registry_tables import arn as arns
from registry_tables.arn import Arn
from registry_tables.consumers_layout import Consumer, Source
from registry_tables.records import Action, HistoryEvent, Status, VersionRecord

MAX_METADATA = 50
MAX_METADATA_KEY = 128
MAX_REASON = 1_024
MAX_OWNER = 256
# How many consumers a guard or a dry run lists.
MAX_CONSUMERS = 100


def _name(text: str) -> str:
    fault = name_fault(text)
    if fault:
        raise ValueError(fault)
    return text


def _version(text: str) -> str:
    Version.parse(text)
    return text


def _arn(text: str) -> str:
    Arn.parse(text)
    return text


def _needed(text: str) -> str:
    parse_needs(text)
    return text


def _needed_by_consumer(text: str) -> str:
    count = len(parse_needs(text))
    if count > MAX_RECORDED_NEEDS:
        message = f"there are {count:,} needs; {MAX_RECORDED_NEEDS:,} can be recorded"
        raise ValueError(message)
    return text


def _described(**schema: Any) -> Any:  # noqa: ANN401  # what JSON Schema has
    """Describe in the API's description what a validator of ours checks."""
    return Field(json_schema_extra=schema)


# A model is built at its first request, so that a cold start builds only the one that it needs.
_REQUEST = ConfigDict(extra="forbid", strict=True, defer_build=True)

# The grammars of docs/api.md, for the API's description. `registry_model` checks them.
_BLANKS = r"[ \t\r\n]*"
_NUMBER = f"(0|[1-9][0-9]{{0,{versions.MAX_DIGITS - 1}}})"
_IDENTIFIER = f"({_NUMBER}|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
_NAME = f"[A-Za-z0-9][A-Za-z0-9._-]{{0,{MAX_NAME - 1}}}"
_VERSION = rf"{_NUMBER}(\.{_NUMBER}){{2}}(-{_IDENTIFIER}(\.{_IDENTIFIER})*)?"
_SELECTOR = (
    rf"(=={_BLANKS}(latest|{_VERSION}|{_NUMBER}(\.{_NUMBER})?\.[x*])"
    rf"|~={_BLANKS}{_NUMBER}(\.{_NUMBER}){{1,2}}"
    rf"|>={_BLANKS}{_NUMBER}(\.{_NUMBER}){{0,2}}"
    rf"|@{_BLANKS}{_NAME})"
)
_NEED = f"({_NAME}{_BLANKS}:{_BLANKS})?{_NAME}({_BLANKS}{_SELECTOR})?{_BLANKS}"
CONSUMER_NAME = "[A-Za-z0-9][A-Za-z0-9._:-]{0,255}"
NAME_PATTERN = f"^{_NAME}$"
CONSUMER_PATTERN = f"^{CONSUMER_NAME}$"
VERSION_PATTERN = f"^{_VERSION}$"
SELECTOR_PATTERN = f"^{_BLANKS}({_SELECTOR}{_BLANKS})?$"
NEEDED_PATTERN = f"^{_BLANKS}({_NEED})?(,{_BLANKS}({_NEED})?)*$"

Name = Annotated[str, AfterValidator(_name), _described(pattern=NAME_PATTERN)]
VersionText = Annotated[
    str,
    AfterValidator(_version),
    _described(pattern=VERSION_PATTERN, maxLength=versions.MAX_LENGTH),
]
ArnText = Annotated[str, AfterValidator(_arn), _described(format="arn", maxLength=arns.MAX_LENGTH)]
Time = Annotated[str, _described(format="date-time")]
Revision = Annotated[int, Field(ge=1)]
Reason = Annotated[str, Field(max_length=MAX_REASON)]
MetadataKey = Annotated[str, Field(min_length=1, max_length=MAX_METADATA_KEY)]
Metadata = Annotated[dict[MetadataKey, str], Field(max_length=MAX_METADATA)]


class PublishRequest(BaseModel):
    """The body of `POST /services`."""

    model_config = _REQUEST

    name: Name
    version: VersionText
    arn: ArnText
    metadata: Metadata = Field(default_factory=dict)
    # Absent; JSON's null is not a channel, and is refused.
    channel: Name = ""

    def to_publication(self) -> Publication:
        """Return the values that the operation takes."""
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
        """Return the values that the operation takes."""
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

    # JSON has no enumerations: a text has to do.
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
        """Return the reason, which may be empty; None where none is given."""
        return self.reason if "reason" in self.model_fields_set else None


class ChannelRequest(BaseModel):
    """The body of `PUT /services/{name}/channels/{channel}`."""

    model_config = _REQUEST

    version: VersionText


class ResolveRequest(BaseModel):
    """The body of `POST /resolve`."""

    model_config = _REQUEST

    needed: Annotated[str, AfterValidator(_needed), _described(pattern=NEEDED_PATTERN)]


class ConsumerRequest(BaseModel):
    """The body of `PUT /consumers/{consumer}`."""

    model_config = _REQUEST

    needed: Annotated[str, AfterValidator(_needed_by_consumer), _described(pattern=NEEDED_PATTERN)]
    # Absent; JSON's null is no text, and is refused.
    arn: ArnText = ""
    owner: Annotated[str, Field(min_length=1, max_length=MAX_OWNER)] = ""

    def to_declaration(self, consumer: str) -> Declaration:
        """Return the values that the operation takes."""
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
    """A service in a list; `latest` is null where no stable version is active."""

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
    """A need's member of the services file; version, ARN and time where it was resolved."""

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


# In place of pydantic's own messages, which are in Python's words or too short.
_MESSAGES = {
    "dict_type": "it should be a JSON object",
    "extra_forbidden": "no such member; check its spelling",
    "missing": "it is missing",
    "model_type": "it should be a JSON object",
    "string_type": "it should be a string",
}


def faults_of(error: ValidationError) -> list[dict[str, str]]:
    """Return every fault of a body, each with its JSON pointer."""
    return [
        {"pointer": _location(fault["loc"]), "detail": detail}
        for fault in error.errors()
        for detail in _details(fault)
    ]


def _location(location: tuple[int | str, ...]) -> str:
    # pydantic marks a fault of a map's key, whose pointer is its entry's: map, entry, mark.
    is_key = len(location) > 2 and location[-1] == "[key]"
    return pointer(*(location[:-1] if is_key else location))


def _details(fault: Any) -> list[str]:  # noqa: ANN401  # pydantic does not export its type
    if fault["type"] == "value_error":
        error = fault["ctx"]["error"]
        return list(map(str, error.faults)) if isinstance(error, NeedsError) else [str(error)]
    if fault["type"] in _MESSAGES:
        return [_MESSAGES[fault["type"]]]
    message: str = fault["msg"]
    return [message[:1].lower() + message[1:]]


def version_document(record: VersionRecord) -> VersionDocument:
    """Return a version record's document."""
    document: VersionDocument = {
        "name": record.name,
        "version": str(record.version),
        "arn": str(record.arn),
        "status": record.status,
        "published_at": record.published_at,
        "published_by": record.published_by,
        "revision": record.revision,
    }
    if record.reason is not None:
        document["reason"] = record.reason
    if record.metadata:
        document["metadata"] = record.metadata
    return document


def summary_document(view: ServiceView) -> SummaryDocument:
    """Return a service's document, as lists have it."""
    return {
        "name": view.service.name,
        "latest": version_document(view.latest) if view.latest else None,
        "revision": view.service.revision,
    }


def service_document(view: ServiceView) -> ServiceDocument:
    """Return a service's document."""
    service = view.service
    return {
        **summary_document(view),
        "channels": {name: str(service.channels[name]) for name in sorted(service.channels)},
        "created_at": service.created_at,
        "updated_at": service.updated_at,
    }


def channel_document(channel: str, version: Version) -> ChannelDocument:
    """Return a channel's document."""
    return {"channel": channel, "version": str(version)}


def event_document(event: HistoryEvent) -> EventDocument:
    """Return a history event's document."""
    document: EventDocument = {
        "revision": event.revision,
        "at": event.at,
        "by": event.by,
        "action": event.action,
    }
    if event.version is not None:
        document["version"] = str(event.version)
    if event.channel is not None:
        document["channel"] = event.channel
    if event.reason is not None:
        document["reason"] = event.reason
    return document


def member_document(member: Member) -> MemberDocument:
    """Return a need's member of the services file as a document."""
    return cast("MemberDocument", dict(member.to_json()))


def consumer_document(consumer: Consumer) -> ConsumerDocument:
    """Return a consumer's document."""
    document: ConsumerDocument = {
        "consumer": consumer.name,
        "needed": consumer.needed,
        "source": consumer.source,
        "seen_at": consumer.seen_at,
    }
    if consumer.arn is not None:
        document["arn"] = consumer.arn
    if consumer.owner is not None:
        document["owner"] = consumer.owner
    return document


def service_consumer_document(found: ServiceConsumer) -> ServiceConsumerDocument:
    """Return the document of a consumer's need of one service."""
    document: ServiceConsumerDocument = {
        "consumer": found.consumer.name,
        "key": found.need.key,
        "requested": found.need.selector.requested,
        "version": found.version,
        "source": found.consumer.source,
        "seen_at": found.consumer.seen_at,
    }
    if found.consumer.arn is not None:
        document["arn"] = found.consumer.arn
    return document


def impact_document(impact: Impact) -> ImpactDocument:
    """Return what a write would change as a document."""
    return {
        "changes": [
            {"selector": each.selector, "from": _text(each.before), "to": _text(each.after)}
            for each in impact.selectors
        ],
        "consumers": consumer_documents(impact.consumers),
        "consumers_total": len(impact.consumers),
    }


def consumer_documents(changes: Sequence[ConsumerChange]) -> list[ConsumerChangeDocument]:
    """Return the documents of the first hundred consumers' needs."""
    return [
        {
            "consumer": each.consumer,
            "need": each.need,
            "from": _text(each.before),
            "to": _text(each.after),
        }
        for each in changes[:MAX_CONSUMERS]
    ]


def _text(version: Version | None) -> str | None:
    return None if version is None else str(version)
