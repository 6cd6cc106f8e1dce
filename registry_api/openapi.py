"""The API's description, OpenAPI 3.1: made of the documents' own schemas.

What each operation takes and answers is said here; what the documents look like is said in
`schemas.py` alone. A test holds the operations to the routes that there are.
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
from registry_api.requests import DEFAULT_LIMIT, MAX_BODY, MAX_LIMIT
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
    place: Literal["path", "query", "header"]
    says: str
    schema: Mapping[str, Any]
    example: object = None

    def to_json(self) -> dict[str, Any]:
        described = {
            "name": self.name,
            "in": self.place,
            "required": self.place == "path",
            "description": self.says,
            "schema": dict(self.schema),
        }
        return described if self.example is None else {**described, "example": self.example}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """What an operation answers when it does what was asked.

    Attributes:
        document: The body's type, or None where there is no body.
    """

    says: str
    document: object = None
    example: object = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Operation:
    """One operation.

    Attributes:
        refusals: What it refuses for reasons of its own, in words, by status.
    """

    name: str
    says: str
    detail: str = ""
    parameters: Sequence[_Parameter] = ()
    body: type[BaseModel] | None = None
    sends: object = None
    answers: Mapping[HTTPStatus, _Answer]
    refusals: Mapping[HTTPStatus, str] = field(default_factory=dict)


def _at(name: str, says: str, schema: Mapping[str, Any], example: str) -> _Parameter:
    return _Parameter(name=name, place="path", says=says, schema=schema, example=example)


def _query(name: str, says: str, schema: Mapping[str, Any], example: object = None) -> _Parameter:
    return _Parameter(name=name, place="query", says=says, schema=schema, example=example)


_AT_SERVICE = _at("name", "The service.", _NAME, "users")
_AT_VERSION = _at(
    "version",
    "The version.",
    {"type": "string", "pattern": schemas.VERSION_PATTERN, "maxLength": versions.MAX_LENGTH},
    "1.4.2",
)
_AT_CHANNEL = _at("channel", "The channel; `latest` is one.", _NAME, "latest")
_PAGING = (
    _query(
        "limit",
        "The most entries on a page, which may hold fewer.",
        {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
        DEFAULT_LIMIT,
    ),
    _query(
        "cursor",
        "Where the list goes on: what the page before says. It is good for its own list alone.",
        {"type": "string", "format": "cursor"},
    ),
)
_IF_NONE_MATCH = _Parameter(
    name="If-None-Match",
    place="header",
    says="The `ETag` of the record that the client has.",
    schema={"type": "string"},
    example='"7"',
)
_NO_SERVICE = "There is no such service."
_NO_VERSION = "There is no such service, or no such version of it."
_POINTED_AT = "A channel points at the version; the detail names it."

_OPERATIONS: Mapping[tuple[str, str], _Operation] = {
    ("/services", "post"): _Operation(
        name="publish",
        says="Publish a version",
        detail="The same again changes nothing, so a pipeline may repeat itself whenever an "
        "answer was lost. `channel` is set in the same change, at a repetition too.",
        body=schemas.PublishRequest,
        sends={"name": "users", "version": "1.4.2", "arn": _ARN, "metadata": {"commit": "4f2a9c1"}},
        answers={
            HTTPStatus.CREATED: _Answer(
                says="It is published.",
                document=schemas.VersionDocument,
                example=_RECORD,
                headers={"Location": "The version's path."},
            ),
            HTTPStatus.OK: _Answer(
                says="The very same was published before.",
                document=schemas.VersionDocument,
                example=_RECORD,
            ),
        },
        refusals={
            HTTPStatus.CONFLICT: "The version stands with another ARN or other metadata "
            "(`current` is the record that stands), or the channel may not point at it."
        },
    ),
    ("/services", "get"): _Operation(
        name="listServices",
        says="List the services, by name",
        detail="A service that is new may be missing for a moment.",
        parameters=(
            _query("prefix", "What the names begin with.", {"type": "string"}, "us"),
            *_PAGING,
        ),
        answers={
            HTTPStatus.OK: _Answer(
                says="A page of services.",
                document=schemas.ServicesPage,
                example={"services": [_SUMMARY], "cursor": None},
            )
        },
    ),
    ("/services/{name}", "get"): _Operation(
        name="getService",
        says="Look at a service",
        parameters=(_AT_SERVICE,),
        answers={
            HTTPStatus.OK: _Answer(
                says="The service.",
                document=schemas.ServiceDocument,
                example={
                    **_SUMMARY,
                    "channels": {"beta": "2.0.0-rc.1"},
                    "created_at": "2026-11-20T10:00:00Z",
                    "updated_at": "2026-11-23T08:00:00Z",
                },
            )
        },
        refusals={HTTPStatus.NOT_FOUND: _NO_SERVICE},
    ),
    ("/services/{name}/versions", "get"): _Operation(
        name="listVersions",
        says="List a service's versions, the highest precedence first",
        parameters=(_AT_SERVICE, *_PAGING),
        answers={
            HTTPStatus.OK: _Answer(
                says="A page of versions.",
                document=schemas.VersionsPage,
                example={"versions": [_RECORD], "cursor": None},
            )
        },
        refusals={HTTPStatus.NOT_FOUND: _NO_SERVICE},
    ),
    ("/services/{name}/versions/{version}", "get"): _Operation(
        name="getVersion",
        says="Look at a version",
        parameters=(_AT_SERVICE, _AT_VERSION, _IF_NONE_MATCH),
        answers={
            HTTPStatus.OK: _Answer(
                says="The version's record.",
                document=schemas.VersionDocument,
                example=_RECORD,
                headers={"ETag": "Changes whenever the record does."},
            ),
            HTTPStatus.NOT_MODIFIED: _Answer(
                says="The record is the one that `If-None-Match` names.",
                headers={"ETag": "The record's own."},
            ),
        },
        refusals={HTTPStatus.NOT_FOUND: _NO_VERSION},
    ),
    ("/services/{name}/versions/{version}", "patch"): _Operation(
        name="setStatus",
        says="Yank a version, or take that back",
        detail="Of a yanked version only the exact selector is left. Another reason is a change; "
        "none keeps the one that there is.",
        parameters=(_AT_SERVICE, _AT_VERSION),
        body=schemas.StatusRequest,
        sends={"status": "yanked", "reason": "loses writes, see incident 42"},
        answers={
            HTTPStatus.OK: _Answer(
                says="The record afterwards.", document=schemas.VersionDocument, example=_YANKED
            )
        },
        refusals={HTTPStatus.NOT_FOUND: _NO_VERSION, HTTPStatus.CONFLICT: _POINTED_AT},
    ),
    ("/services/{name}/versions/{version}", "delete"): _Operation(
        name="deleteVersion",
        says="Take a wrong publish back",
        detail="The version may then be published anew, with another ARN too. "
        "The history shows both.",
        parameters=(_AT_SERVICE, _AT_VERSION),
        answers={HTTPStatus.NO_CONTENT: _Answer(says="It is gone.")},
        refusals={HTTPStatus.NOT_FOUND: _NO_VERSION, HTTPStatus.CONFLICT: _POINTED_AT},
    ),
    ("/services/{name}/channels/{channel}", "put"): _Operation(
        name="setChannel",
        says="Set a channel",
        detail="Setting `latest` pins it, to roll back or forward; deleting it takes that back.",
        parameters=(_AT_SERVICE, _AT_CHANNEL),
        body=schemas.ChannelRequest,
        sends={"version": "1.4.1"},
        answers={
            HTTPStatus.OK: _Answer(
                says="The channel is set.",
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
    ("/services/{name}/channels/{channel}", "delete"): _Operation(
        name="deleteChannel",
        says="Delete a channel",
        detail="Without the channel `latest`, the latest is the highest active stable version.",
        parameters=(_AT_SERVICE, _AT_CHANNEL),
        answers={HTTPStatus.NO_CONTENT: _Answer(says="It is gone.")},
        refusals={
            HTTPStatus.NOT_FOUND: "There is no such service, or the channel is not set.",
        },
    ),
    ("/services/{name}/resolve", "get"): _Operation(
        name="resolve",
        says="Ask what a function would get",
        detail="Reads the index, which trails a publish by a moment.",
        parameters=(
            _AT_SERVICE,
            _query(
                "selector",
                "As behind a name in `NEEDED_SERVICES`; empty: the latest.",
                {"type": "string", "pattern": schemas.SELECTOR_PATTERN},
                "==1.x",
            ),
        ),
        answers={
            HTTPStatus.OK: _Answer(
                says="What the services file would say.",
                document=schemas.MemberDocument,
                example=_MEMBER,
            )
        },
        refusals={HTTPStatus.NOT_FOUND: "Nothing matches the selector."},
    ),
    ("/services/{name}/history", "get"): _Operation(
        name="listHistory",
        says="List a service's changes, the newest first",
        parameters=(_AT_SERVICE, *_PAGING),
        answers={
            HTTPStatus.OK: _Answer(
                says="A page of changes.",
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
    ("/resolve", "post"): _Operation(
        name="resolveNeeds",
        says="Check that everything a function needs will resolve",
        detail="The dry run for a pipeline: the very grammar and answers of the extension. "
        "Reads the index, which trails a publish by a moment.",
        body=schemas.ResolveRequest,
        sends={"needed": "users==1.x,billing"},
        answers={
            HTTPStatus.OK: _Answer(
                says="What the services file would say.",
                document=schemas.ResolutionDocument,
                example={
                    "services": {
                        "users": _MEMBER,
                        "billing": {
                            "requested": "latest",
                            "status": "missing",
                            "error": "no version of 'billing' matches '==latest'",
                        },
                    },
                    "resolved": False,
                },
            )
        },
    ),
    ("/openapi.json", "get"): _Operation(
        name="describe",
        says="Read this description",
        answers={
            HTTPStatus.OK: _Answer(says="This document.", document=dict[str, Any], example={})
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
    """Describe the API.

    Args:
        base_url: Where the API is, without a slash at its end; None where that is not known.
    """
    types: dict[object, None] = {schemas.ProblemDocument: None}
    for operation in _OPERATIONS.values():
        if operation.body is not None:
            types[operation.body] = None
        for answer in operation.answers.values():
            if answer.document is not None:
                types[answer.document] = None
    references, definitions = TypeAdapter.json_schemas(
        [(index, "validation", TypeAdapter(each)) for index, each in enumerate(types)],
        ref_template=_SCHEMAS + "{model}",
        schema_generator=_Schemas,
    )
    schema_of = {each: references[index, "validation"] for index, each in enumerate(types)}
    paths: dict[str, dict[str, Any]] = {}
    for (path, method), operation in _OPERATIONS.items():
        paths.setdefault(path, {})[method] = _operation(operation, schema_of)
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


def _operation(operation: _Operation, schema_of: Mapping[object, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {"operationId": operation.name, "summary": operation.says}
    if operation.detail:
        described["description"] = operation.detail
    if operation.parameters:
        described["parameters"] = [each.to_json() for each in operation.parameters]
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
        **{
            str(int(status)): _answer(answer, schema_of)
            for status, answer in operation.answers.items()
        },
        **{
            str(int(status)): _refusal(status, says, schema_of)
            for status, says in _refusals(operation).items()
        },
    }
    return described


def _answer(answer: _Answer, schema_of: Mapping[object, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {"description": answer.says}
    if answer.headers:
        described["headers"] = {
            name: {"required": True, "description": says, "schema": {"type": "string"}}
            for name, says in answer.headers.items()
        }
    if answer.document is not None:
        described["content"] = {
            "application/json": {
                "schema": schema_of[answer.document],
                "example": answer.example,
            }
        }
    return described


def _refusals(operation: _Operation) -> dict[HTTPStatus, str]:
    """Name what an operation refuses, in the order of the statuses."""
    refusals = dict(operation.refusals)
    takes_query = any(each.place == "query" for each in operation.parameters)
    if operation.body is not None:
        refusals[HTTPStatus.BAD_REQUEST] = "The body is no JSON."
        refusals[HTTPStatus.REQUEST_ENTITY_TOO_LARGE] = f"The body is over {MAX_BODY:,} bytes."
    if operation.body is not None or takes_query:
        refusals[HTTPStatus.UNPROCESSABLE_ENTITY] = (
            "Not what is asked for: `errors` has every fault at once, each with its JSON pointer."
        )
    refusals[HTTPStatus.FORBIDDEN] = "Not signed, or without the right: API Gateway says so."
    refusals[HTTPStatus.TOO_MANY_REQUESTS] = "Too many requests at once: try again in a moment."
    refusals[HTTPStatus.SERVICE_UNAVAILABLE] = (
        "Too many others change the service, or a table is throttled or out of reach: try again."
    )
    return dict(sorted(refusals.items()))


def _refusal(status: HTTPStatus, says: str, schema_of: Mapping[object, Any]) -> dict[str, Any]:
    example: dict[str, Any] = {
        "type": "about:blank",
        "title": problems.title_of(status),
        "status": int(status),
        "detail": says,
    }
    if status is HTTPStatus.UNPROCESSABLE_ENTITY:
        fault = {
            "pointer": "/limit",
            "detail": f"it should be a whole number from 1 to {MAX_LIMIT}",
        }
        example["errors"] = [fault]
    return {
        "description": says,
        "content": {
            problems.CONTENT_TYPE: {
                "schema": schema_of[schemas.ProblemDocument],
                "example": example,
            }
        },
    }
