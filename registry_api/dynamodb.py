"""The versions table in DynamoDB."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

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
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

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
_UNREACHABLE = frozenset({"ResourceNotFoundException", "InternalServerError", "ServiceUnavailable"})


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

    def versions(self, name: str, *, limit: int, after: str | None) -> VersionsPage:
        """Read a page of versions: their sort key has them in the order of precedence."""
        start: dict[str, Any] = {}
        if after is not None:
            key = {layout.SERVICE: {"S": name}, layout.ENTRY: {"S": after}}
            start = {"ExclusiveStartKey": key}
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
        last = answer.get("LastEvaluatedKey")
        return VersionsPage(
            versions=tuple(layout.version_from_item(item) for item in answer["Items"]),
            last=last[layout.ENTRY]["S"] if last else None,
        )

    def commit(self, change: Change) -> None:
        """Make a change: the service's item, on which all writers meet, the version, the history.

        Raises:
            RaceLostError: The service is not as it was read any more.
        """
        actions = [
            self._service_put(change),
            self._put(layout.event_to_item(change.event)),
        ]
        if change.put is not None:
            actions.append(self._put(layout.version_to_item(change.put)))
        with _translated():
            self._client.transact_write_items(TransactItems=actions)

    def _service_put(self, change: Change) -> "TransactWriteItemTypeDef":
        put = self._put(layout.service_to_item(change.service))
        if change.expected is None:
            put["Put"]["ConditionExpression"] = f"attribute_not_exists({layout.ENTRY})"
        else:
            put["Put"]["ConditionExpression"] = "#revision = :expected"
            put["Put"]["ExpressionAttributeNames"] = {"#revision": layout.REVISION}
            put["Put"]["ExpressionAttributeValues"] = {
                ":expected": {"N": str(change.expected.revision)}
            }
        return put

    def _put(self, item: dict[str, Any]) -> "TransactWriteItemTypeDef":
        return {"Put": {"TableName": self._table, "Item": item}}

    def _get(self, key: dict[str, Any]) -> layout.Item | None:
        with _translated():
            answer = self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True)
        return answer.get("Item")


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
    if code in _UNREACHABLE:
        return UnreachableError(error.response["Error"].get("Message", code))
    return error
