"""What DynamoDB's errors mean to the operations, and batches of reads that are whole."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from registry_api.store import (
    FullError,
    RaceLostError,
    StoreError,
    ThrottledError,
    UnreachableError,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_THROTTLED = frozenset(
    {
        "ProvisionedThroughputExceededException",
        "ProvisionedThroughputExceeded",
        "RequestLimitExceeded",
        "ThrottlingException",
        "ThrottlingError",
        # Our own transaction, sent again after an answer that was lost, is still at work.
        "TransactionInProgressException",
    }
)
_LOST = frozenset(
    {
        "ConditionalCheckFailed",
        "TransactionConflict",
        "TransactionConflictException",
    }
)
# 10 GB are the most for one partition key of a table with local secondary indexes.
_FULL = frozenset({"ItemCollectionSizeLimitExceeded", "ItemCollectionSizeLimitExceededException"})
_NO_TABLE = "ResourceNotFoundException"
_BATCH = 100


@contextmanager
def translated() -> Iterator[None]:
    """Turn what botocore raises into the store's errors; pass on what is a bug.

    Raises:
        RaceLostError, ThrottledError, FullError, UnreachableError: As the store's methods
            promise.
    """
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
    if codes & _FULL:
        return FullError()
    # What a failing service answers has a status, and not always a code that is documented.
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code == _NO_TABLE or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return UnreachableError(error.response["Error"].get("Message", code))
    return error


def batch_get(
    client: "DynamoDBClient", table: str, keys: Iterable[dict[str, Any]], *, consistent: bool
) -> Iterator[dict[str, Any]]:
    """Read the items of any number of distinct keys: those that are there, in any order.

    Raises:
        ThrottledError, UnreachableError: Not all of them could be read.
    """
    left = list(keys)
    while left:
        wanted, left = left[:_BATCH], left[_BATCH:]
        with translated():
            answer = client.batch_get_item(
                RequestItems={table: {"Keys": wanted, "ConsistentRead": consistent}}
            )
        yield from answer["Responses"].get(table, [])
        unprocessed = answer.get("UnprocessedKeys", {}).get(table)
        if unprocessed and len(unprocessed["Keys"]) == len(wanted):
            raise ThrottledError
        if unprocessed:
            left = [dict(key) for key in unprocessed["Keys"]] + left
