"""Reads the versions table: one moment of it, or what is strongly consistent."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from registry_model import versions_layout as layout
from registry_model.order_key import series_prefix
from registry_model.records import ServiceRecord, VersionRecord
from registry_model.version import Version
from stream_sync.aws_errors import MovedError, translated
from stream_sync.batches import Page, batch_get
from stream_sync.projection import StableQuery

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

# A transaction reads 100 items and 4 MB. A version's item has at most 75 KB, since a publish's body
# is limited; 25 in all is what every emulator takes, too.
_MAX_READS = 24
# Services and versions that are looked at in one call; no more of them is ever held.
_PAGE = 100


class VersionsReader:
    """The versions table, as the projection needs it."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        """Take a low-level client and the table's name."""
        self._client = client
        self._table = table

    def read(
        self, name: str, versions: Iterable[Version]
    ) -> tuple[ServiceRecord | None, dict[Version, VersionRecord]]:
        """Read a service, None if it is gone, and those of *versions* that are there.

        Plain reads may see one half of a change and not yet the other. This sees all of it or
        nothing.

        Raises:
            MovedError: One of them is being changed right now.
        """
        wanted = sorted(set(versions))
        service: ServiceRecord | None = None
        found: dict[Version, VersionRecord] = {}
        for start in range(0, max(len(wanted), 1), _MAX_READS):
            chunk = wanted[start : start + _MAX_READS]
            keys = [layout.service_key(name)]
            own, *items = self._whole(keys + [layout.version_key(name, each) for each in chunk])
            as_read = layout.service_from_item(own) if own else None
            if start and as_read != service:
                raise MovedError
            service = as_read
            records = [layout.version_from_item(item) for item in items if item]
            found |= {record.version: record for record in records}
        return service, found

    def records(self, name: str, versions: Iterable[Version]) -> dict[Version, VersionRecord]:
        """Read those of *versions* that are there.

        Raises:
            MovedError: One of them is being changed right now.
        """
        wanted = [layout.version_key(name, version) for version in sorted(set(versions))]
        found: dict[Version, VersionRecord] = {}
        for start in range(0, len(wanted), _MAX_READS):
            items = self._whole(wanted[start : start + _MAX_READS])
            records = [layout.version_from_item(item) for item in items if item]
            found |= {record.version: record for record in records}
        return found

    def changed_version(self, name: str, revision: int) -> Version | None:
        """Name the version that a service's change concerned; None where it concerned none.

        Raises:
            MovedError: The change is being made right now.
        """
        (item,) = self._whole([layout.history_key(name, revision)])
        return layout.event_from_item(item).version if item else None

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

    def service_names(self, after: str | None) -> Page[str, str]:
        """Name some services, in order, from the first one behind *after* on.

        The index of services trails by a moment: a service that it does not have yet has a record
        in the stream.
        """
        start: dict[str, Any] = {}
        if after is not None:
            start = {"ExclusiveStartKey": layout.listing_key(after)}
        with translated():
            answer = self._client.query(
                TableName=self._table,
                IndexName=layout.SERVICES_INDEX,
                KeyConditionExpression="#listing = :all",
                ExpressionAttributeNames={"#listing": layout.LISTING},
                ExpressionAttributeValues={":all": {"S": layout.ALL_SERVICES}},
                Limit=_PAGE,
                **start,
            )
        names = tuple(item[layout.SERVICE]["S"] for item in answer["Items"])
        last = answer.get("LastEvaluatedKey", {}).get(layout.SERVICE, {}).get("S")
        return Page(items=names, last=last)

    def version_names(self, name: str, after: Version | None) -> Page[Version, Version]:
        """Name some versions of a service, from the highest one below *after* on."""
        start: dict[str, Any] = {}
        if after is not None:
            start = {"ExclusiveStartKey": layout.version_key(name, after)}
        with translated():
            answer = self._client.query(
                TableName=self._table,
                KeyConditionExpression="#service = :service AND begins_with(#entry, :versions)",
                ProjectionExpression="#version",
                ExpressionAttributeNames={
                    "#service": layout.SERVICE,
                    "#entry": layout.ENTRY,
                    "#version": layout.VERSION,
                },
                ExpressionAttributeValues={
                    ":service": {"S": name},
                    ":versions": {"S": layout.VERSION_PREFIX},
                },
                ScanIndexForward=False,
                Limit=_PAGE,
                **start,
            )
        versions = tuple(Version.parse(item[layout.VERSION]["S"]) for item in answer["Items"])
        has_more = versions and "LastEvaluatedKey" in answer
        return Page(items=versions, last=versions[-1] if has_more else None)

    def existing(self, names: Iterable[str]) -> set[str]:
        """Tell which of these services there are."""
        keys = [layout.service_key(name) for name in names]
        return {item[layout.SERVICE]["S"] for item in batch_get(self._client, self._table, keys)}

    def _whole(self, keys: list[dict[str, Any]]) -> list[layout.Item | None]:
        with translated():
            answer = self._client.transact_get_items(
                TransactItems=[{"Get": {"TableName": self._table, "Key": key}} for key in keys]
            )
        return [response.get("Item") for response in answer["Responses"]]
