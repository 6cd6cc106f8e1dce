"""The IAM rights that a function's calls need.

The emulators allow every call, so tests compare these rights with those of the function's role.
Source: Service Authorization Reference.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.client import BaseClient

from testing.template import as_list

Rights = set[tuple[str, str]]
"""Pairs of a resource and an action."""

ANY_TABLE = "any table"
_BUS = "bus"
# These calls need the right with the same name.
_OF_ONE_TABLE = frozenset({"DeleteItem", "DescribeTable", "GetItem", "PutItem", "UpdateItem"})


@contextmanager
def recorded_rights(resources: Mapping[str, str]) -> Iterator[Rights]:
    """Record the rights that this process needs for its calls of AWS.

    Args:
        resources: The template's name of each table and queue, by the name in calls. Calls of
            other tables are not recorded.
    """
    rights: Rights = set()
    # All calls go through this method.
    client_class: Any = BaseClient
    call = client_class._make_api_call

    def recorded(client: BaseClient, operation: str, parameters: dict[str, Any]) -> Any:
        service = client.meta.service_model.service_name
        rights.update(
            (resource, f"{service}:{action}")
            for resource, action in _needed(service, operation, parameters, resources)
        )
        return call(client, operation, parameters)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BaseClient, "_make_api_call", recorded)
        yield rights


def _needed(
    service: str, operation: str, parameters: dict[str, Any], resources: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    if service == "sqs":
        yield resources[parameters["QueueUrl"]], operation
    elif service == "events":
        yield _BUS, operation
    elif service != "dynamodb":
        yield "*", operation
    else:
        for table, action in _on_tables(operation, parameters):
            name, _, index = table.partition("/")
            if name in resources:
                yield resources[name] + (f"/{index}" if index else ""), action


def _on_tables(operation: str, parameters: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if operation in _OF_ONE_TABLE:
        yield parameters["TableName"], operation
    elif operation in {"Query", "Scan"}:
        index = f"/index/{parameters['IndexName']}" if "IndexName" in parameters else ""
        yield parameters["TableName"] + index, operation
    elif operation in {"BatchGetItem", "BatchWriteItem"}:
        for table in parameters["RequestItems"]:
            yield table, operation
    elif operation in {"TransactGetItems", "TransactWriteItems"}:
        for each in parameters["TransactItems"]:
            ((kind, details),) = each.items()
            yield details["TableName"], f"{kind.removesuffix('Check')}{_ITEM[kind]}"
    else:
        message = f"it is not known which right {operation} needs"
        raise NotImplementedError(message)


_ITEM = {"ConditionCheck": "CheckItem", "Delete": "Item", "Get": "Item", "Put": "Item"}


def granted_rights(statements: list[dict[str, Any]]) -> Rights:
    """Return the rights that a role's statements grant, except those on KMS keys."""
    return {
        (_name_of(resource), action)
        for statement in statements
        for action in as_list(statement["Action"])
        for resource in as_list(statement["Resource"])
        if not action.startswith("kms:")
    }


def _name_of(resource: Any) -> str:
    if isinstance(resource, str):
        return resource
    if "Fn::GetAtt" in resource:
        return str(resource["Fn::GetAtt"][0])
    text = str(resource["Fn::Sub"])
    if ":event-bus/" in text:
        return _BUS
    if text.endswith(":dynamodb:*:*:table/*"):
        return ANY_TABLE
    if ":cloudformation:" in text:
        return "*"
    return text.removeprefix("${").replace(".Arn}", "")
