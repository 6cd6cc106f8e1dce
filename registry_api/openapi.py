"""The API's description, OpenAPI 3.1, generated from the routes, the types and the texts."""

from collections.abc import Mapping
from functools import cache
from http import HTTPStatus
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from registry_api import descriptions, problems, schemas
from registry_api.descriptions import DESCRIPTIONS, Description, Success
from registry_api.product_version import product_version
from registry_api.requests import MAX_BODY, MAX_LIMIT
from registry_api.route_table import ROUTES, RouteEntry

_SIGNED = "sigv4"
_SCHEMAS = "#/components/schemas/"


class _SchemaGenerator(GenerateJsonSchema):
    """pydantic's JSON Schema, without defaults and titles."""

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """Omit the default: it stands for an absent member, and is not a valid value."""
        return self.generate_inner(schema["schema"])

    def field_title_should_be_set(self, schema: object) -> bool:  # noqa: ARG002
        """Omit titles that are only the member's name in capitals."""
        return False


@cache
def document(base_url: str | None) -> dict[str, Any]:
    """Return the API's description.

    Args:
        base_url: The API's address without a slash at its end; None if it is not known.
    """
    schema_of, definitions = _schemas()
    described: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "Service registry",
            "version": product_version(),
            "description": "Deploy pipelines publish the ARNs of service versions here. Every "
            "refusal is a problem document (RFC 9457) with every fault at once.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{_SIGNED: []}],
        "paths": _paths(schema_of),
        "components": {
            "schemas": definitions,
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


def _schemas() -> tuple[dict[object, Any], Any]:
    """Return the schema of each document's type, and the definitions that they refer to."""
    types: dict[object, None] = {schemas.ProblemDocument: None, schemas.ImpactDocument: None}
    for operation in DESCRIPTIONS.values():
        documents = [operation.body, *(each.document for each in operation.successes.values())]
        types |= dict.fromkeys(each for each in documents if each is not None)
    references, definitions = TypeAdapter.json_schemas(
        [(index, "validation", TypeAdapter(each)) for index, each in enumerate(types)],
        ref_template=_SCHEMAS + "{model}",
        schema_generator=_SchemaGenerator,
    )
    schema_of = {each: references[index, "validation"] for index, each in enumerate(types)}
    return schema_of, definitions["$defs"]


def _paths(schema_of: Mapping[object, Any]) -> dict[str, dict[str, Any]]:
    paths: dict[str, dict[str, Any]] = {}
    for entry in ROUTES:
        described = _operation(entry, DESCRIPTIONS[entry.name], schema_of)
        paths.setdefault(entry.path, {})[entry.method.lower()] = described
    return paths


def _operation(
    entry: RouteEntry, operation: Description, schema_of: Mapping[object, Any]
) -> dict[str, Any]:
    described: dict[str, Any] = {"operationId": entry.name, "summary": operation.text}
    if operation.detail:
        described["description"] = operation.detail
    parameters = [
        *(descriptions.PATH_PARAMETERS[name] for name in entry.parameters),
        *operation.parameters,
        *(descriptions.WRITE_PARAMETERS if entry.is_write else ()),
    ]
    if parameters:
        described["parameters"] = [each.to_json() for each in parameters]
    if operation.body is not None:
        described["requestBody"] = {
            "required": True,
            "description": "Read as JSON, with any Content-Type.",
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
    entry: RouteEntry, operation: Description, schema_of: Mapping[object, Any]
) -> dict[str, Any]:
    """Return the responses of an operation that succeeds, including a dry run."""
    described = {
        status: _success(success, schema_of) for status, success in operation.successes.items()
    }
    if entry.is_write:
        rehearsed = _success(descriptions.DRY_RUN_SUCCESS, schema_of)
        own = described.get(HTTPStatus.OK)
        if own is None:
            described[HTTPStatus.OK] = rehearsed
        else:
            # The body is either document, and only the first one has the header.
            content = own["content"]["application/json"]
            content["schema"] = {"anyOf": [content["schema"], schema_of[schemas.ImpactDocument]]}
            own["description"] += " " + rehearsed["description"]
            for header in own.get("headers", {}).values():
                header["required"] = False
    return {str(int(status)): described[status] for status in sorted(described)}


def _success(success: Success, schema_of: Mapping[object, Any]) -> dict[str, Any]:
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


def _refusals(entry: RouteEntry, operation: Description) -> dict[HTTPStatus, str]:
    """Return an operation's refusals, in the order of the statuses."""
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
