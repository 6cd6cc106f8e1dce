"""The versions table in DynamoDB."""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypedDict, cast

from botocore.exceptions import BotoCoreError, ClientError

from registry_api.store import (
    Change,
    RaceLostError,
    StoreError,
    ThrottledError,
    UnreachableError,
    VersionsPage,
)
from registry_model import versions_layout as layout
from registry_model.records import ServiceRecord, VersionRecord
from registry_model.version import Version

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import (
        ConditionCheckTypeDef,
        PutTypeDef,
        TransactWriteItemTypeDef,
    )

_THROTTLED = frozenset(
    {
        "ProvisionedThroughputExceededException",
        "ProvisionedThroughputExceeded",
        "RequestLimitExceeded",
        "ThrottlingException",
        "ThrottlingError",
    }
)
_LOST = frozenset(
    {
        "ConditionalCheckFailed",
        "TransactionConflict",
        "TransactionConflictException",
        "TransactionInProgressException",
    }
)
_NO_TABLE = "ResourceNotFoundException"


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
        wanted = [layout.service_key(name), layout.version_key(name, version)]
        found: dict[str, layout.Item] = {}
        while wanted:
            with _translated():
                answer = self._client.batch_get_item(
                    RequestItems={self._table: {"Keys": wanted, "ConsistentRead": True}}
                )
            for item in answer["Responses"].get(self._table, []):
                found[item[layout.ENTRY]["S"]] = item
            left = answer.get("UnprocessedKeys", {}).get(self._table)
            if left and len(left["Keys"]) == len(wanted):
                raise ThrottledError
            wanted = [dict(key) for key in left["Keys"]] if left else []
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

    def highest_stable(self, name: str) -> VersionRecord | None:
        """Find the highest active stable version: one query of the index that has only those."""
        with _translated():
            answer = self._client.query(
                TableName=self._table,
                IndexName=layout.STABLE_INDEX,
                ConsistentRead=True,
                KeyConditionExpression="#service = :service",
                ExpressionAttributeNames={"#service": layout.SERVICE},
                ExpressionAttributeValues={":service": {"S": name}},
                ScanIndexForward=False,
                Limit=1,
            )
        if not answer["Items"]:
            return None
        return self.version(name, Version.parse(answer["Items"][0][layout.VERSION]["S"]))

    def versions(self, name: str, *, limit: int, after: Version | None) -> VersionsPage:
        """Read a page of versions: their sort key has them in the order of precedence."""
        start: dict[str, Any] = {}
        if after is not None:
            start = {"ExclusiveStartKey": layout.version_key(name, after)}
        with _translated():
            answer = self._client.query(
                TableName=self._table,
                ConsistentRead=True,
                KeyConditionExpression="#service = :service AND begins_with(#entry, :versions)",
                ExpressionAttributeNames={"#service": layout.SERVICE, "#entry": layout.ENTRY},
                ExpressionAttributeValues={
                    ":service": {"S": name},
                    ":versions": {"S": layout.VERSION_PREFIX},
                },
                ScanIndexForward=False,
                Limit=limit,
                **start,
            )
        versions = tuple(layout.version_from_item(item) for item in answer["Items"])
        # Without a filter, the last key evaluated is the last item's.
        has_more = versions and "LastEvaluatedKey" in answer
        return VersionsPage(versions=versions, last=versions[-1].version if has_more else None)

    def commit(self, change: Change) -> None:
        """Make a change: the service's item, on which all writers meet, the version, the history.

        The version has a condition of its own, since no batch of reads is one moment: a version
        that was read before another's publish, and a service that was read after it, would pass
        the condition on the service alone and overwrite what was published.

        Raises:
            RaceLostError: The service or the version is not as it was read any more.
        """
        service_as_read = _as_read(change.expected)
        version_as_read = _as_read(change.found)
        actions: list[TransactWriteItemTypeDef] = [
            {"Put": {**self._put(layout.service_to_item(change.service)), **service_as_read}},
            {"Put": self._put(layout.event_to_item(change.event))},
        ]
        if change.put is not None:
            put = self._put(layout.version_to_item(change.put))
            actions.append({"Put": {**put, **version_as_read}})
        elif change.found is not None:
            key = layout.version_key(change.found.name, change.found.version)
            check = {"TableName": self._table, "Key": key, **version_as_read}
            actions.append({"ConditionCheck": cast("ConditionCheckTypeDef", check)})
        with _translated():
            self._client.transact_write_items(TransactItems=actions)

    def _put(self, item: dict[str, Any]) -> "PutTypeDef":
        return {"TableName": self._table, "Item": item}

    def _get(self, key: dict[str, Any]) -> layout.Item | None:
        with _translated():
            answer = self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True)
        return answer.get("Item")


def _as_read(record: ServiceRecord | VersionRecord | None) -> _Condition:
    """Spell that a record's item is as it was read, or still absent."""
    if record is None:
        return {"ConditionExpression": f"attribute_not_exists({layout.ENTRY})"}
    return {
        "ConditionExpression": "#revision = :read",
        "ExpressionAttributeNames": {"#revision": layout.REVISION},
        "ExpressionAttributeValues": {":read": {"N": str(record.revision)}},
    }


@contextmanager
def _translated() -> Iterator[None]:
    """Turn what botocore raises into the store's errors; pass on what is a bug."""
    try:
        yield
    except ClientError as error:
        raise _store_error(error) from error
    except BotoCoreError as error:
        raise UnreachableError(str(error)) from error


def _store_error(error: ClientError) -> StoreError | ClientError:
    """Name what an error code means for the operations; the error itself where it is a bug."""
    code = error.response["Error"]["Code"]
    codes = {reason.get("Code") for reason in error.response.get("CancellationReasons", [])}
    codes.add(code)
    if codes & _LOST:
        return RaceLostError()
    if codes & _THROTTLED:
        return ThrottledError()
    # What a failing service answers has a status, and not always a code that is documented.
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code == _NO_TABLE or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return UnreachableError(error.response["Error"].get("Message", code))
    return error
