"""Reads of many items: up to a hundred in one call, or page by page."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from stream_sync.aws_errors import BusyError, translated

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_BATCH = 100
_Item = TypeVar("_Item")
_Last = TypeVar("_Last")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[_Item, _Last]):
    """Some items, in their order.

    Attributes:
        last: Where to go on, if there may be more behind it.
    """

    items: tuple[_Item, ...]
    last: _Last | None


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
