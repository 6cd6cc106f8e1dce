"""The actions of the transaction that commits a change to the versions table. Pure."""

from typing import TYPE_CHECKING, Any, TypedDict, cast

from registry_tables import versions_layout as layout
from registry_tables.records import Change, ServiceRecord, VersionRecord

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import (
        ConditionCheckTypeDef,
        DeleteTypeDef,
        PutTypeDef,
        TransactWriteItemTypeDef,
    )


class Condition(TypedDict, total=False):
    """The condition of one action of a transaction."""

    ConditionExpression: str
    ExpressionAttributeNames: dict[str, str]
    ExpressionAttributeValues: dict[str, Any]


def change_actions(table: str, change: Change) -> "list[TransactWriteItemTypeDef]":
    """Return the actions that write the service's item, the history event and the version."""
    unchanged = _unchanged(change.expected)
    return [
        {"Put": {**_put(table, layout.service_to_item(change.service)), **unchanged}},
        {"Put": _put(table, layout.event_to_item(change.event))},
        *_version_actions(table, change),
    ]


def service_check(
    table: str, name: str, expected: ServiceRecord | None
) -> "TransactWriteItemTypeDef":
    """Return the action that cancels a transaction if a service has changed since it was read.

    Args:
        expected: The service as it was read; None if it did not exist.
    """
    action = {"TableName": table, "Key": layout.service_key(name), **_unchanged(expected)}
    return {"ConditionCheck": cast("ConditionCheckTypeDef", action)}


def _version_actions(table: str, change: Change) -> "list[TransactWriteItemTypeDef]":
    """Return the action that writes, deletes or checks the version concerned."""
    unchanged = _unchanged(change.found)
    if change.put is not None:
        put = {**_put(table, layout.version_to_item(change.put)), **unchanged}
        return [{"Put": cast("PutTypeDef", put)}]
    if change.found is None:
        return []
    key = layout.version_key(change.found.name, change.found.version)
    action = {"TableName": table, "Key": key, **unchanged}
    if change.deletes:
        return [{"Delete": cast("DeleteTypeDef", action)}]
    return [{"ConditionCheck": cast("ConditionCheckTypeDef", action)}]


def _put(table: str, item: dict[str, Any]) -> "PutTypeDef":
    return {"TableName": table, "Item": item}


def _unchanged(record: ServiceRecord | VersionRecord | None) -> Condition:
    """Return the condition that a record's item is as it was read, or still absent."""
    if record is None:
        return {"ConditionExpression": f"attribute_not_exists({layout.ENTRY})"}
    return {
        "ConditionExpression": "#revision = :read",
        "ExpressionAttributeNames": {"#revision": layout.REVISION},
        "ExpressionAttributeValues": {":read": {"N": str(record.revision)}},
    }
