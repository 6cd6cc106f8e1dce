"""The ledger in DynamoDB: one item for each entry and for each result."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import BotoCoreError, ClientError

from publisher.ledger import LedgerEntry, LedgerError, RequestResult

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_PARTITION_KEY = "owner"
_SORT_KEY = "entry"
_RESULT = "result"
_EXPIRES_AT = "expires_at"
# CloudFormation waits for an hour at most, and Lambda retries an event for six hours.
_RESULT_KEPT_S = 7 * 24 * 3600
_CONDITION_FAILED = "ConditionalCheckFailedException"
_read = TypeDeserializer().deserialize
_write = TypeSerializer().serialize


@contextmanager
def _ledger_errors() -> Iterator[None]:
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise LedgerError(str(error)) from error


class DynamoLedger:
    """A `Ledger` in a DynamoDB table."""

    def __init__(self, client: "DynamoDBClient", table: str, *, clock: Callable[[], float]) -> None:
        """Set the parts."""
        self._client = client
        self._table = table
        self._clock = clock

    def entry(self, resource: str, physical_id: str) -> LedgerEntry | None:
        """Return a resource's entry for a version."""
        item = self._get(resource, physical_id)
        return _to_entry(item) if item is not None else None

    def entries(self, resource: str) -> list[LedgerEntry]:
        """Return all entries of a resource."""
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            ConsistentRead=True,
            KeyConditionExpression="#owner = :owner",
            ExpressionAttributeNames={"#owner": _PARTITION_KEY},
            ExpressionAttributeValues={":owner": _write(resource)},
        )
        with _ledger_errors():
            return [_to_entry(_plain(item)) for page in pages for item in page["Items"]]

    def write_entry(self, entry: LedgerEntry) -> None:
        """Write an entry in place of the present one."""
        with _ledger_errors():
            self._client.put_item(
                TableName=self._table,
                Item=_item(
                    {
                        _PARTITION_KEY: entry.resource,
                        _SORT_KEY: entry.physical_id,
                        "arn": entry.arn,
                        "request_id": entry.request_id,
                        "properties": entry.properties,
                        "was_absent": entry.was_absent,
                        "channels_before": dict(entry.channels_before),
                        "channels": sorted(entry.channels),
                        "was_rolled_back": entry.was_rolled_back,
                    }
                ),
            )

    def delete_entry(self, entry: LedgerEntry) -> None:
        """Delete an entry."""
        with _ledger_errors():
            self._client.delete_item(
                TableName=self._table, Key=_key(entry.resource, entry.physical_id)
            )

    def result(self, request: str) -> RequestResult | None:
        """Return a request's recorded result; None if there is none."""
        item = self._get(request, _RESULT)
        return _to_result(item) if item is not None else None

    def record_result(self, request: str, result: RequestResult) -> RequestResult:
        """Record a request's result, unless one is recorded already; return the recorded one."""
        item = {
            _PARTITION_KEY: request,
            _SORT_KEY: _RESULT,
            "is_success": result.is_success,
            "physical_id": result.physical_id,
            "reason": result.reason,
            "data": dict(result.data),
            _EXPIRES_AT: int(self._clock()) + _RESULT_KEPT_S,
        }
        with _ledger_errors():
            try:
                self._client.put_item(
                    TableName=self._table,
                    Item=_item(item),
                    ConditionExpression="attribute_not_exists(#owner)",
                    ExpressionAttributeNames={"#owner": _PARTITION_KEY},
                )
            except ClientError as error:
                if error.response["Error"]["Code"] != _CONDITION_FAILED:
                    raise
            else:
                return result
        return self.result(request) or result

    def _get(self, owner: str, entry: str) -> dict[str, Any] | None:
        with _ledger_errors():
            found = self._client.get_item(
                TableName=self._table, Key=_key(owner, entry), ConsistentRead=True
            )
        item = found.get("Item")
        return _plain(item) if item else None


def _key(owner: str, entry: str) -> dict[str, Any]:
    return _item({_PARTITION_KEY: owner, _SORT_KEY: entry})


def _item(attributes: dict[str, Any]) -> dict[str, Any]:
    return {name: _write(value) for name, value in attributes.items()}


def _plain(item: Any) -> dict[str, Any]:  # noqa: ANN401  # boto3-stubs' own unions
    return {name: _read(value) for name, value in item.items()}


def _to_entry(item: dict[str, Any]) -> LedgerEntry:
    return LedgerEntry(
        resource=item[_PARTITION_KEY],
        physical_id=item[_SORT_KEY],
        arn=item["arn"],
        request_id=item["request_id"],
        properties=item["properties"],
        was_absent=item["was_absent"],
        channels_before=item["channels_before"],
        channels=frozenset(item["channels"]),
        was_rolled_back=item["was_rolled_back"],
    )


def _to_result(item: dict[str, Any]) -> RequestResult:
    return RequestResult(
        is_success=item["is_success"],
        physical_id=item["physical_id"],
        reason=item["reason"],
        data=item["data"],
    )
