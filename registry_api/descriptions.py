"""The texts of the API's description: each operation, its parameters, responses and examples.

`route_table.py` has the routes and `schemas.py` the documents; `openapi.py` joins all three.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Literal

from pydantic import BaseModel

from registry_api import examples, fields, schemas
from registry_api.requests import DEFAULT_LIMIT, DRY_RUN, FORCE, MAX_LIMIT
from registry_model import version as versions

_NAME = {"type": "string", "pattern": fields.NAME_PATTERN}


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter of an operation."""

    name: str
    location: Literal["path", "query", "header"]
    text: str
    schema: Mapping[str, Any]
    example: object = None

    def to_json(self) -> dict[str, Any]:
        """Return the parameter's object."""
        described = {
            "name": self.name,
            "in": self.location,
            "required": self.location == "path",
            "description": self.text,
            "schema": dict(self.schema),
        }
        return described if self.example is None else {**described, "example": self.example}


@dataclass(frozen=True, slots=True, kw_only=True)
class Success:
    """A response of an operation that succeeds.

    Attributes:
        document: The body's type; None if there is no body.
    """

    text: str
    document: object = None
    example: object = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """The description of one operation.

    Attributes:
        parameters: The parameters in the query and the headers, not those in the path.
        sends: An example of the body.
        refusals: The operation's own refusals, by status.
    """

    text: str
    detail: str = ""
    parameters: Sequence[Parameter] = ()
    body: type[BaseModel] | None = None
    sends: object = None
    successes: Mapping[HTTPStatus, Success]
    refusals: Mapping[HTTPStatus, str] = field(default_factory=dict)


def _ok(
    text: str, document: object, example: object, headers: Mapping[str, str] | None = None
) -> dict[HTTPStatus, Success]:
    return {
        HTTPStatus.OK: Success(text=text, document=document, example=example, headers=headers or {})
    }


def _page(text: str, document: object, member: str, entry: object) -> dict[HTTPStatus, Success]:
    return _ok(text, document, {member: [entry], "cursor": None})


def _at(name: str, text: str, schema: Mapping[str, Any], example: str) -> Parameter:
    return Parameter(name=name, location="path", text=text, schema=schema, example=example)


def _query(name: str, text: str, schema: Mapping[str, Any], example: object = None) -> Parameter:
    return Parameter(name=name, location="query", text=text, schema=schema, example=example)


PATH_PARAMETERS = {
    "name": _at("name", "The service.", _NAME, "users"),
    "version": _at(
        "version",
        "The version.",
        {"type": "string", "pattern": fields.VERSION_PATTERN, "maxLength": versions.MAX_LENGTH},
        "1.4.2",
    ),
    "channel": _at("channel", "The channel; `latest` is one.", _NAME, "latest"),
    "consumer": _at(
        "consumer",
        "The consumer: a name that the pipeline chooses, or `<account>:<region>:<function>`.",
        {"type": "string", "pattern": fields.CONSUMER_PATTERN},
        "orders",
    ),
}
_PREFIX = _query("prefix", "The prefix of the names.", {"type": "string"}, "us")
_PAGING = (
    _query(
        "limit",
        "The maximum number of entries on a page; it may have fewer.",
        {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
        DEFAULT_LIMIT,
    ),
    _query(
        "cursor",
        "The `cursor` of the previous page of this list.",
        {"type": "string", "format": "cursor"},
    ),
)
_IF_NONE_MATCH = Parameter(
    name="If-None-Match",
    location="header",
    text="The `ETag` of the record that the client has.",
    schema={"type": "string"},
    example='"7"',
)
_IF_MATCH = Parameter(
    name="If-Match",
    location="header",
    text="The change is refused with 412 unless this is the present `ETag`: the version's to "
    "change its status or delete it, otherwise the service's.",
    schema={"type": "string"},
)
_NO_CONSUMER = "There is no such consumer."
_FLAG = {"type": "string", "enum": ["true", "false"], "default": "false"}
WRITE_PARAMETERS = (
    _query(DRY_RUN, "`true`: return what would change, and change nothing.", _FLAG),
    _query(FORCE, "`true`: make the change even if selectors are left without an answer.", _FLAG),
    _IF_MATCH,
)
_NO_SERVICE = "There is no such service."
_NO_VERSION = "There is no such service, or no such version of it."
_POINTED_AT = (
    "A channel points at the version (the detail names it); or selectors would be left without an "
    "answer (`selectors`, `consumers`), which `force=true` allows."
)
_ETAG = {"ETag": "Changes when the record changes."}
_PUBLISHED_DETAIL = (
    "Publishing the same again changes nothing, so a pipeline may repeat a publish whose response "
    "was lost. `channel` is set in the same change, also by a repeated publish."
)
_PUBLISH_CONFLICT = (
    "The version is published with another ARN or other metadata (`current` is its record), or "
    "the channel may not point at it."
)


DRY_RUN_SUCCESS = Success(
    text="With `dry_run=true`: what it would change.",
    document=schemas.ImpactDocument,
    example=examples.IMPACT,
)
_DELETED = {HTTPStatus.NO_CONTENT: Success(text="It is deleted.")}
_PUBLISHED = {
    HTTPStatus.CREATED: Success(
        text="It is published.",
        document=schemas.VersionDocument,
        example=examples.RECORD,
        headers={"Location": "The version's address, relative to the request's.", **_ETAG},
    ),
    HTTPStatus.OK: Success(
        text="The same was published before.",
        document=schemas.VersionDocument,
        example=examples.RECORD,
        headers=_ETAG,
    ),
}


DESCRIPTIONS: Mapping[str, Description] = {
    "publish": Description(
        text="Publish a version",
        detail=_PUBLISHED_DETAIL,
        body=schemas.PublishRequest,
        sends={
            "name": "users",
            "version": "1.4.2",
            "arn": examples.ARN,
            "metadata": {"commit": "4f2a9c1"},
        },
        successes=_PUBLISHED,
        refusals={HTTPStatus.CONFLICT: _PUBLISH_CONFLICT},
    ),
    "publishVersion": Description(
        text="Publish a version, with a path that IAM can grant for one service",
        detail=_PUBLISHED_DETAIL,
        body=schemas.PublishVersionRequest,
        sends={"arn": examples.ARN, "metadata": {"commit": "4f2a9c1"}},
        successes=_PUBLISHED,
        refusals={
            HTTPStatus.NOT_FOUND: "The name or the version is malformed; the detail says why.",
            HTTPStatus.CONFLICT: _PUBLISH_CONFLICT,
        },
    ),
    "listServices": Description(
        text="List the services, by name",
        detail="A new service may be missing for a moment.",
        parameters=(_PREFIX, *_PAGING),
        successes=_page("A page of services.", schemas.ServicesPage, "services", examples.SUMMARY),
    ),
    "getService": Description(
        text="Read a service",
        parameters=(_IF_NONE_MATCH,),
        successes={
            HTTPStatus.OK: Success(
                text="The service.",
                document=schemas.ServiceDocument,
                example=examples.SERVICE,
                headers={
                    "ETag": "Changes when the service changes; different from every version's."
                },
            ),
            HTTPStatus.NOT_MODIFIED: Success(
                text="The service has the `ETag` in `If-None-Match`.",
                headers={"ETag": "The service's own."},
            ),
        },
        refusals={HTTPStatus.NOT_FOUND: _NO_SERVICE},
    ),
    "listVersions": Description(
        text="List a service's versions, the highest precedence first",
        parameters=_PAGING,
        successes=_page("A page of versions.", schemas.VersionsPage, "versions", examples.RECORD),
        refusals={HTTPStatus.NOT_FOUND: _NO_SERVICE},
    ),
    "getVersion": Description(
        text="Read a version",
        parameters=(_IF_NONE_MATCH,),
        successes={
            HTTPStatus.OK: Success(
                text="The version's record.",
                document=schemas.VersionDocument,
                example=examples.RECORD,
                headers=_ETAG,
            ),
            HTTPStatus.NOT_MODIFIED: Success(
                text="The record has the `ETag` in `If-None-Match`.",
                headers={"ETag": "The record's own."},
            ),
        },
        refusals={HTTPStatus.NOT_FOUND: _NO_VERSION},
    ),
    "setStatus": Description(
        text="Yank a version, or make it active again",
        detail="Only the exact selector resolves to a yanked version. Another reason replaces the "
        "present one; no reason keeps it.",
        body=schemas.StatusRequest,
        sends={"status": "yanked", "reason": "loses writes, see incident 42"},
        successes=_ok(
            "The record afterwards.",
            schemas.VersionDocument,
            examples.YANKED,
            headers=_ETAG,
        ),
        refusals={HTTPStatus.NOT_FOUND: _NO_VERSION, HTTPStatus.CONFLICT: _POINTED_AT},
    ),
    "deleteVersion": Description(
        text="Delete a wrongly published version",
        detail="The version may then be published again, even with another ARN. "
        "The history shows both.",
        successes=_DELETED,
        refusals={HTTPStatus.NOT_FOUND: _NO_VERSION, HTTPStatus.CONFLICT: _POINTED_AT},
    ),
    "setChannel": Description(
        text="Set a channel",
        detail="Setting `latest` pins it, to roll back or forward; deleting it unpins it.",
        body=schemas.ChannelRequest,
        sends={"version": "1.4.1"},
        successes=_ok(
            "The channel is set.",
            schemas.ChannelDocument,
            {"channel": "latest", "version": "1.4.1"},
        ),
        refusals={
            HTTPStatus.NOT_FOUND: _NO_SERVICE,
            HTTPStatus.CONFLICT: "There is no such version, it is yanked, it is a pre-release "
            "and the channel is `latest`, or the service already has 100 channels.",
        },
    ),
    "deleteChannel": Description(
        text="Delete a channel",
        detail="Without the channel `latest`, the latest is the highest active stable version.",
        successes=_DELETED,
        refusals={
            HTTPStatus.NOT_FOUND: "There is no such service, or the channel is not set.",
        },
    ),
    "resolve": Description(
        text="Resolve one need of a function",
        detail="Reads the index, which is updated a moment after a publish.",
        parameters=(
            _query(
                "selector",
                "As after a name in `NEEDED_SERVICES`; empty: the latest.",
                {"type": "string", "pattern": fields.SELECTOR_PATTERN},
                "==1.x",
            ),
        ),
        successes=_ok(
            "The need's member of the services file.",
            schemas.MemberDocument,
            examples.MEMBER,
        ),
        refusals={HTTPStatus.NOT_FOUND: "Nothing matches the selector."},
    ),
    "listHistory": Description(
        text="List a service's changes, the newest first",
        parameters=_PAGING,
        successes=_page("A page of changes.", schemas.HistoryPage, "events", examples.EVENT),
        refusals={HTTPStatus.NOT_FOUND: _NO_SERVICE},
    ),
    "resolveNeeds": Description(
        text="Check that everything a function needs will resolve",
        detail="For pipelines, before a deployment: parses and resolves needs as the extension "
        "does. Reads the index, which is updated a moment after a publish.",
        body=schemas.ResolveRequest,
        sends={"needed": "users==1.x,billing"},
        successes=_ok(
            "What the function would get.",
            schemas.ResolutionDocument,
            examples.RESOLUTION,
        ),
    ),
    "declareConsumer": Description(
        text="Declare what a consumer needs, and check that it resolves",
        detail="Replaces the consumer's previous needs. The guard and the dry run of a change list "
        "the consumers that it affects.",
        body=schemas.ConsumerRequest,
        sends={"needed": "users==1.x,billing", "owner": "team-orders"},
        successes=_ok(
            "What the needs resolve to. They are recorded even if some of them are not resolved.",
            schemas.ResolutionDocument,
            examples.RESOLUTION,
        ),
        refusals={HTTPStatus.NOT_FOUND: "The consumer's name is malformed."},
    ),
    "getConsumer": Description(
        text="Read a consumer",
        successes=_ok("The consumer.", schemas.ConsumerDocument, examples.CONSUMER),
        refusals={HTTPStatus.NOT_FOUND: _NO_CONSUMER},
    ),
    "deleteConsumer": Description(
        text="Remove a consumer and its needs",
        successes=_DELETED,
        refusals={HTTPStatus.NOT_FOUND: _NO_CONSUMER},
    ),
    "listConsumers": Description(
        text="List the consumers, by name",
        detail="A new consumer may be missing for a moment.",
        parameters=(_PREFIX, *_PAGING),
        successes=_page(
            "A page of consumers.", schemas.ConsumersPage, "consumers", examples.CONSUMER
        ),
    ),
    "listServiceConsumers": Description(
        text="List a service's consumers",
        detail="`version` is what the need resolves to now. A need that is new may be missing for "
        "a moment.",
        parameters=_PAGING,
        successes=_page(
            "A page of the service's consumers.",
            schemas.ServiceConsumersPage,
            "consumers",
            examples.SERVICE_CONSUMER,
        ),
        refusals={HTTPStatus.NOT_FOUND: _NO_SERVICE},
    ),
    "describe": Description(
        text="Read this description",
        successes=_ok("This document.", dict[str, Any], {}),
    ),
}
