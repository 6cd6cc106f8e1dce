"""The API's description, OpenAPI 3.1, generated from the documents' schemas.

`route_table.py` has the routes and `schemas.py` the documents; this module has the words.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from http import HTTPStatus
from typing import Any, Literal

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from registry_api import problems, schemas
from registry_api.product_version import product_version
from registry_api.requests import DEFAULT_LIMIT, DRY_RUN, FORCE, MAX_BODY, MAX_LIMIT
from registry_api.route_table import ROUTES, RouteEntry
from registry_model import version as versions

_SIGNED = "sigv4"
_SCHEMAS = "#/components/schemas/"
_NAME = {"type": "string", "pattern": schemas.NAME_PATTERN}

_ARN = "arn:aws:lambda:eu-west-1:123456789012:function:users:42"
_CALLER = "arn:aws:sts::123456789012:assumed-role/deploy/pipeline"
_RECORD = {
    "name": "users",
    "version": "1.4.2",
    "arn": _ARN,
    "status": "active",
    "metadata": {"commit": "4f2a9c1"},
    "published_at": "2026-11-23T08:00:00Z",
    "published_by": _CALLER,
    "revision": 7,
}
_YANKED = {**_RECORD, "status": "yanked", "reason": "loses writes, see incident 42", "revision": 8}
_SUMMARY = {"name": "users", "latest": _RECORD, "revision": 7}
_MEMBER = {
    "requested": "1.x",
    "version": "1.4.2",
    "arn": _ARN,
    "status": "active",
    "resolved_at": "2026-11-23T08:00:00Z",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parameter:
    """One parameter of an operation."""

    name: str
    location: Literal["path", "query", "header"]
    text: str
    schema: Mapping[str, Any]
    example: object = None

    def to_json(self) -> dict[str, Any]:
        described = {
            "name": self.name,
            "in": self.location,
            "required": self.location == "path",
            "description": self.text,
            "schema": dict(self.schema),
        }
        return described if self.example is None else {**described, "example": self.example}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Success:
    """What an operation responds when it does what was asked.

    Attributes:
        document: The body's type, or None where there is no body.
    """

    text: str
    document: object = None
    example: object = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Description:
    """One operation in words.

    Attributes:
        parameters: Those of the query and the headers; the path has its own.
        refusals: What it refuses for reasons of its own, by status.
    """

    text: str
    detail: str = ""
    parameters: Sequence[_Parameter] = ()
    body: type[BaseModel] | None = None
    sends: object = None
    successes: Mapping[HTTPStatus, _Success]
    refusals: Mapping[HTTPStatus, str] = field(default_factory=dict)


def _at(name: str, text: str, schema: Mapping[str, Any], example: str) -> _Parameter:
    return _Parameter(name=name, location="path", text=text, schema=schema, example=example)


def _query(name: str, text: str, schema: Mapping[str, Any], example: object = None) -> _Parameter:
    return _Parameter(name=name, location="query", text=text, schema=schema, example=example)


_PATH_PARAMETERS = {
    "name": _at("name", "The service.", _NAME, "users"),
    "version": _at(
        "version",
        "The version.",
        {"type": "string", "pattern": schemas.VERSION_PATTERN, "maxLength": versions.MAX_LENGTH},
        "1.4.2",
    ),
    "channel": _at("channel", "The channel; `latest` is one.", _NAME, "latest"),
    "consumer": _at(
        "consumer",
        "The consumer: a name of the pipeline's, or `<account>:<region>:<function>`.",
        {"type": "string", "pattern": schemas.CONSUMER_PATTERN},
        "orders",
    ),
}
_PREFIX = _query("prefix", "What the names begin with.", {"type": "string"}, "us")
_PAGING = (
    _query(
        "limit",
        "The most entries on a page, which may hold fewer.",
        {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
        DEFAULT_LIMIT,
    ),
    _query(
        "cursor",
        "Where the list continues: the `cursor` of the page before, of this very list.",
        {"type": "string", "format": "cursor"},
    ),
)
_IF_NONE_MATCH = _Parameter(
    name="If-None-Match",
    location="header",
    text="The `ETag` of the record that the client has.",
    schema={"type": "string"},
    example='"7"',
)
_IF_MATCH = _Parameter(
    name="If-Match",
    location="header",
    text="The `ETag` that it must still have: a version's own to change its status or delete it, "
    "else the service's.",
    schema={"type": "string"},
)
_CONSUMER = {
    "consumer": "orders",
    "needed": "users==1.x,billing",
    "arn": "arn:aws:lambda:eu-west-1:123456789012:function:orders",
    "owner": "team-orders",
    "source": "declared",
    "seen_at": "2026-11-23T08:00:00Z",
}
_RESOLUTION = {
    "services": {
        "users": _MEMBER,
        "billing": {
            "requested": "latest",
            "status": "missing",
            "error": "no version of 'billing' matches '==latest'",
        },
    },
    "resolved": False,
}
_NO_CONSUMER = "There is no such consumer."
_FLAG = {"type": "string", "enum": ["true", "false"], "default": "false"}
_WRITE_PARAMETERS = (
    _query(DRY_RUN, "`true`: return what would change, and change nothing.", _FLAG),
    _query(FORCE, "`true`: change it even if selectors are left without an answer.", _FLAG),
    _IF_MATCH,
)
_IMPACT = {
    "changes": [{"selector": "1.x", "from": "1.4.1", "to": "1.4.2"}],
    "consumers": [],
    "consumers_total": 0,
}
_NO_SERVICE = "There is no such service."
_NO_VERSION = "There is no such service, or no such version of it."
_POINTED_AT = (
    "A channel points at the version (the detail names it), or selectors would be left without an "
    "answer (`selectors`, `consumers`): repeat with `force=true`."
)
_ETAG = {"ETag": "Changes whenever the record does."}
_PUBLISHED_DETAIL = (
    "The same again changes nothing, so a pipeline may repeat itself whenever a response was lost. "
    "`channel` is set in the same change, at a repetition too."
)
_PUBLISH_CONFLICT = (
    "The version is published with another ARN or other metadata (`current` is its record), or "
    "the channel may not point at it."
)


_DRY_RUN = _Success(
    text="With `dry_run=true`: what it would change.",
    document=schemas.ImpactDocument,
    example=_IMPACT,
)
_PUBLISHED = {
    HTTPStatus.CREATED: _Success(
        text="It is published.",
        document=schemas.VersionDocument,
        example=_RECORD,
        headers={"Location": "The version's address, relative to the request's.", **_ETAG},
    ),
    HTTPStatus.OK: _Success(
        text="The very same was published before.",
        document=schemas.VersionDocument,
        example=_RECORD,
        headers=_ETAG,
    ),
}


DESCRIPTIONS: Mapping[str, _Description] = {
    "publish": _Description(
        text="Publish a version",
        detail=_PUBLISHED_DETAIL,
        body=schemas.PublishRequest,
        sends={"name": "users", "version": "1.4.2", "arn": _ARN, "metadata": {"commit": "4f2a9c1"}},
        successes=_PUBLISHED,
        refusals={HTTPStatus.CONFLICT: _PUBLISH_CONFLICT},
    ),
    "publishVersion": _Description(
        text="Publish a version, with a path that IAM can grant for one service",
        detail=_PUBLISHED_DETAIL,
        body=schemas.PublishVersionRequest,
        sends={"arn": _ARN, "metadata": {"commit": "4f2a9c1"}},
        successes=_PUBLISHED,
        refusals={
            HTTPStatus.NOT_FOUND: "The name or the version is malformed; the detail says why.",
            HTTPStatus.CONFLICT: _PUBLISH_CONFLICT,
        },
    ),
    "listServices": _Description(
        text="List the services, by name",
        detail="A service that is new may be missing for a moment.",
        parameters=(_PREFIX, *_PAGING),
        successes={
            HTTPStatus.OK: _Success(
                text="A page of services.",
                document=schemas.ServicesPage,
                example={"services": [_SUMMARY], "cursor": None},
            )
        },
    ),
    "getService": _Description(
        text="Read a service",
        parameters=(_IF_NONE_MATCH,),
        successes={
            HTTPStatus.OK: _Success(
                text="The service.",
                document=schemas.ServiceDocument,
                example={
                    **_SUMMARY,
                    "channels": {"beta": "2.0.0-rc.1"},
                    "created_at": "2026-11-20T10:00:00Z",
                    "updated_at": "2026-11-23T08:00:00Z",
                },
                headers={"ETag": "Changes whenever the service does; no version ever has it."},
            ),
            HTTPStatus.NOT_MODIFIED: _Success(
                text="The service is the one that `If-None-Match` names.",
                headers={"ETag": "The service's own."},
            ),
        },
        refusals={HTTPStatus.NOT_FOUND: _NO_SERVICE},
    ),
    "listVersions": _Description(
        text="List a service's versions, the highest precedence first",
        parameters=_PAGING,
        successes={
            HTTPStatus.OK: _Success(
                text="A page of versions.",
                document=schemas.VersionsPage,
                example={"versions": [_RECORD], "cursor": None},
            )
        },
        refusals={HTTPStatus.NOT_FOUND: _NO_SERVICE},
    ),
    "getVersion": _Description(
        text="Read a version",
        parameters=(_IF_NONE_MATCH,),
        successes={
            HTTPStatus.OK: _Success(
                text="The version's record.",
                document=schemas.VersionDocument,
                example=_RECORD,
                headers=_ETAG,
            ),
            HTTPStatus.NOT_MODIFIED: _Success(
                text="The record is the one that `If-None-Match` names.",
                headers={"ETag": "The record's own."},
            ),
        },
        refusals={HTTPStatus.NOT_FOUND: _NO_VERSION},
    ),
    "setStatus": _Description(
        text="Yank a version, or undo that",
        detail="Only the exact selector resolves to a yanked version. Another reason is a change; "
        "none keeps the present one.",
        body=schemas.StatusRequest,
        sends={"status": "yanked", "reason": "loses writes, see incident 42"},
        successes={
            HTTPStatus.OK: _Success(
                text="The record afterwards.",
                document=schemas.VersionDocument,
                example=_YANKED,
                headers=_ETAG,
            )
        },
        refusals={HTTPStatus.NOT_FOUND: _NO_VERSION, HTTPStatus.CONFLICT: _POINTED_AT},
    ),
    "deleteVersion": _Description(
        text="Delete a wrongly published version",
        detail="The version may then be published anew, with another ARN too. "
        "The history shows both.",
        successes={HTTPStatus.NO_CONTENT: _Success(text="It is gone.")},
        refusals={HTTPStatus.NOT_FOUND: _NO_VERSION, HTTPStatus.CONFLICT: _POINTED_AT},
    ),
    "setChannel": _Description(
        text="Set a channel",
        detail="Setting `latest` pins it, to roll back or forward; deleting it takes that back.",
        body=schemas.ChannelRequest,
        sends={"version": "1.4.1"},
        successes={
            HTTPStatus.OK: _Success(
                text="The channel is set.",
                document=schemas.ChannelDocument,
                example={"channel": "latest", "version": "1.4.1"},
            )
        },
        refusals={
            HTTPStatus.NOT_FOUND: _NO_SERVICE,
            HTTPStatus.CONFLICT: "There is no such version, it is yanked, `latest` was to be set "
            "to a pre-release, or the service has all the channels that it may have.",
        },
    ),
    "deleteChannel": _Description(
        text="Delete a channel",
        detail="Without the channel `latest`, the latest is the highest active stable version.",
        successes={HTTPStatus.NO_CONTENT: _Success(text="It is gone.")},
        refusals={
            HTTPStatus.NOT_FOUND: "There is no such service, or the channel is not set.",
        },
    ),
    "resolve": _Description(
        text="Resolve one need of a function",
        detail="Reads the index, which trails a publish by a moment.",
        parameters=(
            _query(
                "selector",
                "As after a name in `NEEDED_SERVICES`; empty: the latest.",
                {"type": "string", "pattern": schemas.SELECTOR_PATTERN},
                "==1.x",
            ),
        ),
        successes={
            HTTPStatus.OK: _Success(
                text="The need's member of the services file.",
                document=schemas.MemberDocument,
                example=_MEMBER,
            )
        },
        refusals={HTTPStatus.NOT_FOUND: "Nothing matches the selector."},
    ),
    "listHistory": _Description(
        text="List a service's changes, the newest first",
        parameters=_PAGING,
        successes={
            HTTPStatus.OK: _Success(
                text="A page of changes.",
                document=schemas.HistoryPage,
                example={
                    "events": [
                        {
                            "revision": 8,
                            "at": "2026-11-23T09:00:00Z",
                            "by": _CALLER,
                            "action": "yank",
                            "version": "1.4.2",
                            "reason": "loses writes, see incident 42",
                        }
                    ],
                    "cursor": None,
                },
            )
        },
        refusals={HTTPStatus.NOT_FOUND: _NO_SERVICE},
    ),
    "resolveNeeds": _Description(
        text="Check that everything a function needs will resolve",
        detail="For a pipeline, before a deploy: the extension's own grammar and results.  "
        "Reads the index, which trails a publish by a moment.",
        body=schemas.ResolveRequest,
        sends={"needed": "users==1.x,billing"},
        successes={
            HTTPStatus.OK: _Success(
                text="The need's member of the services file.",
                document=schemas.ResolutionDocument,
                example=_RESOLUTION,
            )
        },
    ),
    "declareConsumer": _Description(
        text="Declare what a consumer needs, and check that it resolves",
        detail="Replaces the needs that the consumer had, whole or not at all. The guard and the "
        "dry run of a change name the consumers that it concerns.",
        body=schemas.ConsumerRequest,
        sends={"needed": "users==1.x,billing", "owner": "team-orders"},
        successes={
            HTTPStatus.OK: _Success(
                text="What the needs resolve to; they are recorded, resolved or not.",
                document=schemas.ResolutionDocument,
                example=_RESOLUTION,
            )
        },
        refusals={HTTPStatus.NOT_FOUND: "The consumer's name is malformed."},
    ),
    "getConsumer": _Description(
        text="Read a consumer",
        successes={
            HTTPStatus.OK: _Success(
                text="The consumer.", document=schemas.ConsumerDocument, example=_CONSUMER
            )
        },
        refusals={HTTPStatus.NOT_FOUND: _NO_CONSUMER},
    ),
    "deleteConsumer": _Description(
        text="Remove a consumer and its needs",
        successes={HTTPStatus.NO_CONTENT: _Success(text="It is gone.")},
        refusals={HTTPStatus.NOT_FOUND: _NO_CONSUMER},
    ),
    "listConsumers": _Description(
        text="List the consumers, by name",
        detail="A consumer that is new may be missing for a moment.",
        parameters=(_PREFIX, *_PAGING),
        successes={
            HTTPStatus.OK: _Success(
                text="A page of consumers.",
                document=schemas.ConsumersPage,
                example={"consumers": [_CONSUMER], "cursor": None},
            )
        },
    ),
    "listServiceConsumers": _Description(
        text="List who needs a service, by consumer",
        detail="`version` is what the need resolves to now. A need that is new may be missing for "
        "a moment.",
        parameters=_PAGING,
        successes={
            HTTPStatus.OK: _Success(
                text="A page of needs of the service.",
                document=schemas.ServiceConsumersPage,
                example={
                    "consumers": [
                        {
                            "consumer": "orders",
                            "key": "users",
                            "requested": "1.x",
                            "version": "1.4.2",
                            "source": "declared",
                            "seen_at": "2026-11-23T08:00:00Z",
                        }
                    ],
                    "cursor": None,
                },
            )
        },
        refusals={HTTPStatus.NOT_FOUND: _NO_SERVICE},
    ),
    "describe": _Description(
        text="Read this description",
        successes={
            HTTPStatus.OK: _Success(text="This document.", document=dict[str, Any], example={})
        },
    ),
}


class _Schemas(GenerateJsonSchema):
    """pydantic's JSON Schema, without what a client does not need."""

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """Leave the default out: ours stand for an absent member, and are no values of it."""
        return self.generate_inner(schema["schema"])

    def field_title_should_be_set(self, schema: object) -> bool:  # noqa: ARG002
        """Leave out titles that are the member's name in capitals."""
        return False


@cache
def document(base_url: str | None) -> dict[str, Any]:
    """Return the API's description.

    Args:
        base_url: Where the API is, without a slash at its end; None where that is not known.
    """
    types: dict[object, None] = {schemas.ProblemDocument: None, schemas.ImpactDocument: None}
    for operation in DESCRIPTIONS.values():
        if operation.body is not None:
            types[operation.body] = None
        for success in operation.successes.values():
            if success.document is not None:
                types[success.document] = None
    references, definitions = TypeAdapter.json_schemas(
        [(index, "validation", TypeAdapter(each)) for index, each in enumerate(types)],
        ref_template=_SCHEMAS + "{model}",
        schema_generator=_Schemas,
    )
    schema_of = {each: references[index, "validation"] for index, each in enumerate(types)}
    paths: dict[str, dict[str, Any]] = {}
    for entry in ROUTES:
        described_route = _operation(entry, DESCRIPTIONS[entry.name], schema_of)
        paths.setdefault(entry.path, {})[entry.method.lower()] = described_route
    described: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "Service registry",
            "version": product_version(),
            "description": "Where deploy pipelines publish the ARNs of service versions. Every "
            "refusal is a problem document (RFC 9457) that names every fault at once.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{_SIGNED: []}],
        "paths": paths,
        "components": {
            "schemas": definitions["$defs"],
            "securitySchemes": {
                _SIGNED: {
                    "type": "apiKey",
                    "name": "Authorization",
                    "in": "header",
                    "description": "AWS Signature Version 4, for the service execute-api.",
                    "x-amazon-apigateway-authtype": "awsSigv4",
                }
            },
        },
    }
    if base_url is not None:
        described["servers"] = [{"url": base_url}]
    return described


def _operation(
    entry: RouteEntry, operation: _Description, schema_of: Mapping[object, Any]
) -> dict[str, Any]:
    described: dict[str, Any] = {"operationId": entry.name, "summary": operation.text}
    if operation.detail:
        described["description"] = operation.detail
    parameters = [
        *(_PATH_PARAMETERS[name] for name in entry.parameters),
        *operation.parameters,
        *(_WRITE_PARAMETERS if entry.is_write else ()),
    ]
    if parameters:
        described["parameters"] = [each.to_json() for each in parameters]
    if operation.body is not None:
        described["requestBody"] = {
            "required": True,
            "description": "Read as JSON, whatever its Content-Type.",
            "content": {
                "application/json": {
                    "schema": schema_of[operation.body],
                    "example": operation.sends,
                }
            },
        }
    described["responses"] = {
        **_successes(entry, operation, schema_of),
        **{
            str(int(status)): _refusal(status, text, schema_of)
            for status, text in _refusals(entry, operation).items()
        },
    }
    return described


def _successes(
    entry: RouteEntry, operation: _Description, schema_of: Mapping[object, Any]
) -> dict[str, Any]:
    """Return what an operation responds, a dry run included."""
    described = {
        status: _success(success, schema_of) for status, success in operation.successes.items()
    }
    if entry.is_write:
        rehearsed = _success(_DRY_RUN, schema_of)
        own = described.get(HTTPStatus.OK)
        if own is None:
            described[HTTPStatus.OK] = rehearsed
        else:
            # Either document, and only the first of them with the header.
            content = own["content"]["application/json"]
            content["schema"] = {"anyOf": [content["schema"], schema_of[schemas.ImpactDocument]]}
            own["description"] += " " + rehearsed["description"]
            for header in own.get("headers", {}).values():
                header["required"] = False
    return {str(int(status)): described[status] for status in sorted(described)}


def _success(success: _Success, schema_of: Mapping[object, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {"description": success.text}
    if success.headers:
        described["headers"] = {
            name: {"required": True, "description": text, "schema": {"type": "string"}}
            for name, text in success.headers.items()
        }
    if success.document is not None:
        described["content"] = {
            "application/json": {
                "schema": schema_of[success.document],
                "example": success.example,
            }
        }
    return described


def _refusals(entry: RouteEntry, operation: _Description) -> dict[HTTPStatus, str]:
    """Return what an operation refuses, in the order of the statuses."""
    refusals = dict(operation.refusals)
    takes_query = any(each.location == "query" for each in operation.parameters)
    if operation.body is not None:
        refusals[HTTPStatus.BAD_REQUEST] = "The body is not JSON."
        refusals[HTTPStatus.REQUEST_ENTITY_TOO_LARGE] = f"The body is over {MAX_BODY:,} bytes."
    if operation.body is not None or takes_query or entry.is_write:
        refusals[HTTPStatus.UNPROCESSABLE_ENTITY] = (
            "The request is invalid: `errors` has every fault at once, each with its JSON pointer."
        )
    if entry.is_write:
        refusals[HTTPStatus.PRECONDITION_FAILED] = "It has changed: `If-Match` has another `ETag`."
    refusals[HTTPStatus.FORBIDDEN] = "Not signed, or not allowed; API Gateway responds."
    refusals[HTTPStatus.TOO_MANY_REQUESTS] = "Too many requests at once: try again in a moment."
    refusals[HTTPStatus.SERVICE_UNAVAILABLE] = (
        "Too many other requests change the service, or DynamoDB is throttled or can't be reached: "
        "try again after `Retry-After` seconds."
    )
    return dict(sorted(refusals.items()))


def _refusal(status: HTTPStatus, text: str, schema_of: Mapping[object, Any]) -> dict[str, Any]:
    example: dict[str, Any] = {
        "type": "about:blank",
        "title": problems.title_of(status),
        "status": int(status),
        "detail": text,
    }
    if status is HTTPStatus.UNPROCESSABLE_ENTITY:
        fault = {
            "pointer": "/limit",
            "detail": f"it should be a whole number from 1 to {MAX_LIMIT}",
        }
        example["errors"] = [fault]
    return {
        "description": text,
        "content": {
            problems.CONTENT_TYPE: {
                "schema": schema_of[schemas.ProblemDocument],
                "example": example,
            }
        },
    }
