"""The versions table in DynamoDB: every read and write of it."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from registry_model.needs import MAX_NAME
from registry_model.version import Version
from registry_tables import versions_layout as layout
from registry_tables.calls import (
    MALFORMED,
    Item,
    batch_get,
    mapped_errors,
    readable,
    transact_get,
)
from registry_tables.errors import DamagedItemError, RaceLostError
from registry_tables.order_key import release_bound, series_prefix
from registry_tables.page import Page
from registry_tables.records import Change, HistoryEvent, ServiceRecord, VersionRecord
from registry_tables.series import Series
from registry_tables.versions_actions import change_actions, service_check

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import QueryOutputTypeDef, TransactWriteItemTypeDef

# TransactGetItems reads at most 100 items and 4 MB. A version's item has at most 75 KB, since a
# publish's body is limited. Every emulator accepts 25 items: a service and 24 versions.
_MAX_TRANSACT_READS = 24
_Record = TypeVar("_Record")


class VersionsTable:
    """The versions table.

    Plain reads are strongly consistent, except `service_names`. They may return some items as they
    were before a transaction and others as they are after it (Developer Guide, "Amazon
    DynamoDB Transactions: How it works", isolation levels); the `transact_read` methods do not.

    Raises:
        ThrottledError, UnreachableError: From every method.
    """

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        """Use a low-level client on the table of this name."""
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
        return (
            _parsed(layout.service_from_item, found.get(layout.SERVICE_ENTRY)),
            _parsed(layout.version_from_item, found.get(layout.version_entry(version))),
        )

    def transact_read(
        self, name: str, versions: Iterable[Version]
    ) -> tuple[ServiceRecord | None, dict[Version, VersionRecord]]:
        """Read a service and those of *versions* that exist, in one transaction.

        Raises:
            RaceLostError: Another transaction is changing one of them.
        """
        wanted = sorted(set(versions))
        service: ServiceRecord | None = None
        found: dict[Version, VersionRecord] = {}
        for start in range(0, max(len(wanted), 1), _MAX_TRANSACT_READS):
            chunk = wanted[start : start + _MAX_TRANSACT_READS]
            keys = [layout.service_key(name), *(layout.version_key(name, each) for each in chunk)]
            own, *items = self._transact_get(keys)
            as_read = layout.service_from_item(own) if own else None
            if start and as_read != service:
                raise RaceLostError
            service = as_read
            found |= _by_version(items)
        return service, found

    def transact_read_versions(
        self, name: str, versions: Iterable[Version]
    ) -> dict[Version, VersionRecord]:
        """Read those of *versions* that exist, in one transaction.

        Raises:
            RaceLostError: Another transaction is changing one of them.
        """
        keys = [layout.version_key(name, version) for version in sorted(set(versions))]
        found: dict[Version, VersionRecord] = {}
        for start in range(0, len(keys), _MAX_TRANSACT_READS):
            found |= _by_version(self._transact_get(keys[start : start + _MAX_TRANSACT_READS]))
        return found

    def transact_read_event(self, name: str, revision: int) -> HistoryEvent | None:
        """Read the history event of one of a service's changes; None if there is none.

        Raises:
            RaceLostError: The change is still being written.
        """
        (item,) = self._transact_get([layout.history_key(name, revision)])
        return layout.event_from_item(item) if item else None

    def service(self, name: str) -> ServiceRecord | None:
        """Read a service."""
        return _parsed(layout.service_from_item, self._get(layout.service_key(name)))

    def version(self, name: str, version: Version) -> VersionRecord | None:
        """Read one version of a service."""
        return _parsed(layout.version_from_item, self._get(layout.version_key(name, version)))

    def check_last_change(self, service: ServiceRecord) -> None:
        """Check that every item of the service's last change can be read.

        The service's item may become visible before the version that changed with it.

        Raises:
            RaceLostError: The change is still being written.
        """
        event = self.transact_read_event(service.name, service.revision)
        if event is not None and event.version is not None:
            self.transact_read_versions(service.name, [event.version])

    def highest_stable(
        self, name: str, series: Series, *, below: Version | None = None
    ) -> Version | None:
        """Find the highest active stable version of a series; if *below* is given, below that.

        This is one query of the index of active stable versions, for any number of versions.
        """
        condition = "#service = :service"
        names, values = {"#service": layout.SERVICE}, {":service": name}
        prefix = "" if series.major is None else series_prefix(series.major, series.minor)
        if below is not None:
            # BETWEEN includes its bounds; no stable version's order key equals the upper one.
            condition += " AND #order BETWEEN :from AND :to"
            # A key can't be empty; every order key begins with a letter.
            values |= {":from": prefix or "a", ":to": release_bound(below)}
        elif prefix:
            condition += " AND begins_with(#order, :series)"
            values[":series"] = prefix
        if len(values) > 1:
            names["#order"] = layout.STABLE_ORDER
        response = self._query(
            condition,
            names=names,
            values=values,
            limit=1,
            IndexName=layout.STABLE_INDEX,
            ScanIndexForward=False,
        )
        items = response["Items"]
        return Version.parse(items[0][layout.VERSION]["S"]) if items else None

    def service_names(self, prefix: str, *, limit: int, after: str | None) -> Page[str, str]:
        """Read a page of the names that begin with *prefix*, in order.

        The index of services by name is eventually consistent: a new service may be missing.
        """
        if len(prefix) > MAX_NAME:
            # Names are shorter, and DynamoDB limits the length of keys.
            return Page(items=(), last=None)
        condition = "#listing = :all"
        names, values = {"#listing": layout.LISTING}, {":all": layout.ALL_SERVICES}
        if prefix:
            condition += " AND begins_with(#service, :prefix)"
            names["#service"] = layout.SERVICE
            values[":prefix"] = prefix
        response = self._query(
            condition,
            names=names,
            values=values,
            limit=limit,
            start=None if after is None else layout.listing_key(after),
            IndexName=layout.SERVICES_INDEX,
            ConsistentRead=False,
        )
        found = tuple(item[layout.SERVICE]["S"] for item in response["Items"])
        return Page(items=found, last=found[-1] if _has_more(response) else None)

    def services(self, names: Iterable[str]) -> dict[str, ServiceRecord]:
        """Read the services with these names, 100 a call; skip missing and damaged ones."""
        items = self._batch(map(layout.service_key, names))
        return {each.name: each for each in readable(layout.service_from_item, items)}

    def existing(self, names: Iterable[str]) -> set[str]:
        """Return the names for which a service exists."""
        return {item[layout.SERVICE]["S"] for item in self._batch(map(layout.service_key, names))}

    def records(self, wanted: Iterable[tuple[str, Version]]) -> dict[str, VersionRecord]:
        """Read one version of each of several services, by service name; skip damaged ones."""
        keys = [layout.version_key(name, version) for name, version in wanted]
        items = self._batch(keys)
        return {each.name: each for each in readable(layout.version_from_item, items)}

    def versions(
        self, name: str, *, limit: int, after: Version | None
    ) -> Page[VersionRecord, Version]:
        """Read a page of versions below *after*, highest first; skip damaged ones."""
        start = None if after is None else layout.version_key(name, after)
        records, has_more = self._readable_entries(
            layout.version_from_item, name, layout.VERSION_PREFIX, limit=limit, start=start
        )
        return Page(items=records, last=records[-1].version if has_more else None)

    def version_revisions(
        self, name: str, *, limit: int, after: Version | None
    ) -> Page[tuple[Version, int], Version]:
        """Read a page of versions below *after* with their revisions, highest first."""
        response = self._entries(
            name,
            layout.VERSION_PREFIX,
            limit=limit,
            start=None if after is None else layout.version_key(name, after),
            attributes=(layout.VERSION, layout.REVISION),
        )
        found = tuple(
            (Version.parse(item[layout.VERSION]["S"]), int(item[layout.REVISION]["N"]))
            for item in response["Items"]
        )
        return Page(items=found, last=found[-1][0] if _has_more(response) else None)

    def history(self, name: str, *, limit: int, before: int | None) -> Page[HistoryEvent, int]:
        """Read a page of events before revision *before*, newest first; skip damaged ones."""
        start = None if before is None else layout.history_key(name, before)
        events, has_more = self._readable_entries(
            layout.event_from_item, name, layout.HISTORY_PREFIX, limit=limit, start=start
        )
        return Page(items=events, last=events[-1].revision if has_more else None)

    def commit(self, change: Change) -> None:
        """Write the service's item, the version and the history event in one transaction.

        Every write has a condition on the service's item. The version has its own condition, too. A
        batch read is not isolated: it may return the version as it was before another publish, and
        the service as it is after it. With a condition on the service alone, the write would then
        overwrite that publish.

        Raises:
            RaceLostError: The service or the version has changed since it was read.
            FullError: The service has reached its size limit.
        """
        with mapped_errors():
            self._client.transact_write_items(TransactItems=change_actions(self._table, change))

    def unchanged_service(
        self, name: str, expected: ServiceRecord | None
    ) -> "TransactWriteItemTypeDef":
        """Return the action that cancels a transaction if a service has changed since it was read.

        Args:
            expected: The service as it was read; None if it did not exist.
        """
        return service_check(self._table, name, expected)

    def _get(self, key: dict[str, Any]) -> Item | None:
        with mapped_errors():
            response = self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True)
        return response.get("Item")

    def _transact_get(self, keys: Iterable[dict[str, Any]]) -> list[Item | None]:
        return transact_get(self._client, self._table, keys)

    def _batch(self, keys: Iterable[dict[str, Any]]) -> Iterable[Item]:
        return batch_get(self._client, self._table, keys, consistent=True)

    def _readable_entries(
        self,
        parse: Callable[[Item], _Record],
        name: str,
        prefix: str,
        *,
        limit: int,
        start: dict[str, Any] | None,
    ) -> tuple[tuple[_Record, ...], bool]:
        """Read a page of a service's undamaged entries; return also whether there are more.

        A page with only damaged entries has no position to continue after, so it is skipped.
        """
        while True:
            response = self._entries(name, prefix, limit=limit, start=start)
            found = tuple(readable(parse, response["Items"]))
            if found or not _has_more(response):
                return found, bool(found) and _has_more(response)
            start = response["LastEvaluatedKey"]

    def _entries(
        self,
        name: str,
        prefix: str,
        *,
        limit: int,
        start: dict[str, Any] | None,
        attributes: tuple[str, ...] = (),
    ) -> "QueryOutputTypeDef":
        """Read a service's entries of one kind, highest first; only *attributes*, if given."""
        names = {"#service": layout.SERVICE, "#entry": layout.ENTRY}
        options: dict[str, Any] = {}
        if attributes:
            names |= {f"#{attribute}": attribute for attribute in attributes}
            options["ProjectionExpression"] = ", ".join(f"#{each}" for each in attributes)
        return self._query(
            "#service = :service AND begins_with(#entry, :prefix)",
            names=names,
            values={":service": name, ":prefix": prefix},
            limit=limit,
            start=start,
            ScanIndexForward=False,
            **options,
        )

    def _query(
        self,
        condition: str,
        *,
        names: dict[str, str],
        values: dict[str, str],
        limit: int,
        start: dict[str, Any] | None = None,
        **options: Any,  # noqa: ANN401  # boto3's own, passed on
    ) -> "QueryOutputTypeDef":
        if start is not None:
            options["ExclusiveStartKey"] = start
        with mapped_errors():
            return self._client.query(
                TableName=self._table,
                KeyConditionExpression=condition,
                ExpressionAttributeNames=names,
                ExpressionAttributeValues={name: {"S": text} for name, text in values.items()},
                Limit=limit,
                **{"ConsistentRead": True, **options},
            )


def _parsed(parse: Callable[[Item], _Record], item: Item | None) -> _Record | None:
    """Parse an item that was read by its key; None if it does not exist.

    Raises:
        DamagedItemError: It is malformed.
    """
    if item is None:
        return None
    try:
        return parse(item)
    except MALFORMED as error:
        key = item[layout.SERVICE]["S"], item[layout.ENTRY]["S"]
        raise DamagedItemError(*key, error) from error


def _by_version(items: Iterable[Item | None]) -> dict[Version, VersionRecord]:
    records = [layout.version_from_item(item) for item in items if item]
    return {record.version: record for record in records}


def _has_more(response: "QueryOutputTypeDef") -> bool:
    # Without a filter, the last evaluated key is the last item's.
    return bool(response["Items"]) and "LastEvaluatedKey" in response
