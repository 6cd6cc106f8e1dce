"""Reads of up to a hundred items in one call."""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from stream_sync.aws_errors import BusyError, translated

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_BATCH = 100


def batch_get(
    client: "DynamoDBClient", table: str, keys: Iterable[Mapping[str, Any]]
) -> Iterator[Mapping[str, Any]]:
    """Read those items that are there, strongly consistent, in no order.

    Raises:
        BusyError: The table gives nothing at all of what it was asked for.
    """
    wanted = [dict(key) for key in keys]
    while wanted:
        asked = wanted[:_BATCH]
        with translated():
            answer = client.batch_get_item(
                RequestItems={table: {"Keys": asked, "ConsistentRead": True}}
            )
        yield from answer["Responses"].get(table, [])
        left = answer.get("UnprocessedKeys", {}).get(table)
        unread = [dict(key) for key in left["Keys"]] if left else []
        if len(unread) == len(asked):
            raise BusyError
        wanted = wanted[_BATCH:] + unread
