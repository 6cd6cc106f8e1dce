"""The versions table and the index table in DynamoDB."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypedDict, cast

from registry_api.aws_errors import batch_get, translated
from registry_api.store import Change, Page
from registry_model import index_layout
from registry_model import versions_layout as layout
from registry_model.index_layout import Answer
from registry_model.needs import MAX_NAME
from registry_model.order_key import order_key
from registry_model.records import HistoryEvent, ServiceRecord, VersionRecord
from registry_model.version import Version

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import (
        ConditionCheckTypeDef,
        DeleteTypeDef,
        PutTypeDef,
        QueryOutputTypeDef,
        TransactWriteItemTypeDef,
    )


class _Condition(TypedDict, total=False):
    """What an action of a transaction is subject to."""

    ConditionExpression: str
    ExpressionAttributeNames: dict[str, str]
    ExpressionAttributeValues: dict[str, Any]


class DynamoVersionStore:
    """A `VersionStore` on one DynamoDB table."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        """Take a low-level client and the table's name."""
        self._client = client
        self._table = table

    def read(
        self, name: str, version: Version
    ) -> tuple[ServiceRecord | None, VersionRecord | None]:
        """Read a service and one of its versions, in one call."""
        found = {
            item[layout.ENTRY]["S"]: item
            for item in self._batch([layout.service_key(name), layout.version_key(name, version)])
        }
        service = found.get(layout.SERVICE_ENTRY)
        record = found.get(layout.version_entry(version))
        return (
            layout.service_from_item(service) if service else None,
            layout.version_from_item(record) if record else None,
        )

    def service(self, name: str) -> ServiceRecord | None:
        """Read a service."""
        item = self._get(layout.service_key(name))
        return layout.service_from_item(item) if item else None

    def version(self, name: str, version: Version) -> VersionRecord | None:
        """Read one version of a service."""
        item = self._get(layout.version_key(name, version))
        return layout.version_from_item(item) if item else None

    def see_last_change(self, service: ServiceRecord) -> None:
        """Read the change's items transactionally, which DynamoDB refuses while one is written.

        Other reads meanwhile may see some of a transaction's items new and others old (Developer
        Guide, "Amazon DynamoDB Transactions: How it works", isolation levels).
        """
        item = self._whole(layout.history_key(service.name, service.revision))
        version = layout.event_from_item(item).version if item else None
        if version is not None:
            self._whole(layout.version_key(service.name, version))

    def highest_stable(self, name: str, *, below: Version) -> Version | None:
        """Find it with one query of the index that has the active stable versions alone."""
        answer = self._query(
            "#service = :service AND #order < :below",
            names={"#service": layout.SERVICE, "#order": layout.STABLE_ORDER},
            values={":service": name, ":below": order_key(below)},
            limit=1,
            IndexName=layout.STABLE_INDEX,
            ScanIndexForward=False,
        )
        items = answer["Items"]
        return Version.parse(items[0][layout.VERSION]["S"]) if items else None

    def service_names(self, prefix: str, *, limit: int, after: str | None) -> Page[str]:
        """Read a page of the index of services by name, which trails by a moment."""
        if len(prefix) > MAX_NAME:
            # No name is as long, and DynamoDB takes no key of any length.
            return Page(items=(), has_more=False)
        condition = "#listing = :all"
        names, values = {"#listing": layout.LISTING}, {":all": layout.ALL_SERVICES}
        if prefix:
            condition += " AND begins_with(#service, :prefix)"
            names["#service"] = layout.SERVICE
            values[":prefix"] = prefix
        answer = self._query(
            condition,
            names=names,
            values=values,
            limit=limit,
            start=None if after is None else layout.listing_key(after),
            IndexName=layout.SERVICES_INDEX,
            ConsistentRead=False,
        )
        found = tuple(item[layout.SERVICE]["S"] for item in answer["Items"])
        return Page(items=found, has_more=_has_more(answer))

    def services(self, names: Iterable[str]) -> dict[str, ServiceRecord]:
        """Read services, a hundred in a call."""
        services = map(layout.service_from_item, self._batch(map(layout.service_key, names)))
        return {service.name: service for service in services}

    def records(self, wanted: Iterable[tuple[str, Version]]) -> dict[str, VersionRecord]:
        """Read versions, a hundred in a call."""
        keys = [layout.version_key(name, version) for name, version in wanted]
        records = map(layout.version_from_item, self._batch(keys))
        return {record.name: record for record in records}

    def versions(self, name: str, *, limit: int, after: Version | None) -> Page[VersionRecord]:
        """Read a page of versions: their sort key has them in the order of precedence."""
        answer = self._entries(
            name,
            layout.VERSION_PREFIX,
            limit=limit,
            start=None if after is None else layout.version_key(name, after),
        )
        records = tuple(map(layout.version_from_item, answer["Items"]))
        return Page(items=records, has_more=_has_more(answer))

    def history(self, name: str, *, limit: int, before: int | None) -> Page[HistoryEvent]:
        """Read a page of events: their sort key has them in the order of revisions."""
        answer = self._entries(
            name,
            layout.HISTORY_PREFIX,
            limit=limit,
            start=None if before is None else layout.history_key(name, before),
        )
        events = tuple(map(layout.event_from_item, answer["Items"]))
        return Page(items=events, has_more=_has_more(answer))

    def commit(self, change: Change) -> None:
        """Make a change: the service's item, on which all writers meet, the version, the history.

        The version has a condition of its own, since no batch of reads is one moment: a version
        that was read before another's publish, and a service that was read after it, would pass
        the condition on the service alone and overwrite what was published.

        Raises:
            RaceLostError: The service or the version is not as it was read any more.
        """
        service_as_read = _as_read(change.expected)
        actions: list[TransactWriteItemTypeDef] = [
            {"Put": {**self._put(layout.service_to_item(change.service)), **service_as_read}},
            {"Put": self._put(layout.event_to_item(change.event))},
            *self._version_actions(change),
        ]
        with translated():
            self._client.transact_write_items(TransactItems=actions)

    def _version_actions(self, change: Change) -> "list[TransactWriteItemTypeDef]":
        """Write the version, take it away, or see that it is as it was read."""
        as_read = _as_read(change.found)
        if change.put is not None:
            put = {**self._put(layout.version_to_item(change.put)), **as_read}
            return [{"Put": cast("PutTypeDef", put)}]
        if change.found is None:
            return []
        key = layout.version_key(change.found.name, change.found.version)
        action = {"TableName": self._table, "Key": key, **as_read}
        if change.deletes:
            return [{"Delete": cast("DeleteTypeDef", action)}]
        return [{"ConditionCheck": cast("ConditionCheckTypeDef", action)}]

    def _put(self, item: dict[str, Any]) -> "PutTypeDef":
        return {"TableName": self._table, "Item": item}

    def _get(self, key: dict[str, Any]) -> layout.Item | None:
        with translated():
            answer = self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True)
        return answer.get("Item")

    def _whole(self, key: dict[str, Any]) -> layout.Item | None:
        with translated():
            answer = self._client.transact_get_items(
                TransactItems=[{"Get": {"TableName": self._table, "Key": key}}]
            )
        return answer["Responses"][0].get("Item")

    def _batch(self, keys: Iterable[dict[str, Any]]) -> Iterable[layout.Item]:
        return batch_get(self._client, self._table, keys, consistent=True)

    def _entries(
        self, name: str, prefix: str, *, limit: int, start: dict[str, Any] | None
    ) -> "QueryOutputTypeDef":
        """Read a service's entries of one kind, from the highest down."""
        return self._query(
            "#service = :service AND begins_with(#entry, :prefix)",
            names={"#service": layout.SERVICE, "#entry": layout.ENTRY},
            values={":service": name, ":prefix": prefix},
            limit=limit,
            start=start,
            ScanIndexForward=False,
        )

    def _query(
        self,
        condition: str,
        *,
        names: dict[str, str],
        values: dict[str, str],
        limit: int,
        start: dict[str, Any] | None = None,
        **options: Any,  # noqa: ANN401  # botocore's own, passed on
    ) -> "QueryOutputTypeDef":
        if start is not None:
            options["ExclusiveStartKey"] = start
        with translated():
            return self._client.query(
                TableName=self._table,
                KeyConditionExpression=condition,
                ExpressionAttributeNames=names,
                ExpressionAttributeValues={name: {"S": text} for name, text in values.items()},
                Limit=limit,
                **{"ConsistentRead": True, **options},
            )


class DynamoIndexStore:
    """An `IndexStore` on one DynamoDB table."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        """Take a low-level client and the table's name."""
        self._client = client
        self._table = table

    def answers(self, wanted: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Answer]:
        """Read answers, a hundred in a call; eventually consistent, as the extension does."""
        keys = [index_layout.item_key(*pair) for pair in set(wanted)]
        items = batch_get(self._client, self._table, keys, consistent=False)
        return {index_layout.key_of(item): index_layout.answer_from_item(item) for item in items}


def _has_more(answer: "QueryOutputTypeDef") -> bool:
    # Without a filter, the last key evaluated is the last item's, which a cursor goes on from.
    return bool(answer["Items"]) and "LastEvaluatedKey" in answer


def _as_read(record: ServiceRecord | VersionRecord | None) -> _Condition:
    """Spell that a record's item is as it was read, or still absent."""
    if record is None:
        return {"ConditionExpression": f"attribute_not_exists({layout.ENTRY})"}
    return {
        "ConditionExpression": "#revision = :read",
        "ExpressionAttributeNames": {"#revision": layout.REVISION},
        "ExpressionAttributeValues": {":read": {"N": str(record.revision)}},
    }
