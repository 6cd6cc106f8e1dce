"""Reads the versions table, always strongly consistent."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from registry_model import versions_layout as layout
from registry_model.order_key import series_prefix
from registry_model.records import ServiceRecord, VersionRecord
from registry_model.version import Version
from stream_sync.aws_errors import BusyError, translated
from stream_sync.projection import StableQuery

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_BATCH = 100


class VersionsReader:
    """The versions table, as the projection needs it."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        """Take a low-level client and the table's name."""
        self._client = client
        self._table = table

    def service(self, name: str) -> ServiceRecord | None:
        """Read a service; None if it is gone."""
        with translated():
            answer = self._client.get_item(
                TableName=self._table, Key=layout.service_key(name), ConsistentRead=True
            )
        item = answer.get("Item")
        return layout.service_from_item(item) if item else None

    def highest(self, name: str, query: StableQuery) -> Version | None:
        """Find the highest active stable version of a series: one read, however many there are."""
        condition = "#service = :service"
        names = {"#service": layout.SERVICE}
        values: dict[str, Any] = {":service": {"S": name}}
        if query.major is not None:
            condition += " AND begins_with(#order, :series)"
            names["#order"] = layout.STABLE_ORDER
            values[":series"] = {"S": series_prefix(query.major, query.minor)}
        with translated():
            answer = self._client.query(
                TableName=self._table,
                IndexName=layout.STABLE_INDEX,
                ConsistentRead=True,
                KeyConditionExpression=condition,
                ExpressionAttributeNames=names,
                ExpressionAttributeValues=values,
                ScanIndexForward=False,
                Limit=1,
            )
        items = answer["Items"]
        return Version.parse(items[0][layout.VERSION]["S"]) if items else None

    def records(self, name: str, versions: Iterable[Version]) -> dict[Version, VersionRecord]:
        """Read the records of *versions* that are there."""
        wanted = [layout.version_key(name, version) for version in set(versions)]
        found: dict[Version, VersionRecord] = {}
        while wanted:
            with translated():
                answer = self._client.batch_get_item(
                    RequestItems={self._table: {"Keys": wanted[:_BATCH], "ConsistentRead": True}}
                )
            for item in answer["Responses"].get(self._table, []):
                record = layout.version_from_item(item)
                found[record.version] = record
            left = answer.get("UnprocessedKeys", {}).get(self._table)
            left_keys = [dict(key) for key in left["Keys"]] if left else []
            if len(left_keys) == len(wanted[:_BATCH]):
                raise BusyError
            wanted = wanted[_BATCH:] + left_keys
        return found
