"""Calls to DynamoDB: the client's settings, the mapping of errors, and batches."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar, cast

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from registry_tables.errors import (
    DynamoError,
    FullError,
    RaceLostError,
    ThrottledError,
    UnreachableError,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import KeysAndAttributesTypeDef, WriteRequestTypeDef

Item = Mapping[str, Any]
_Parsed = TypeVar("_Parsed")
# The exceptions that parsing a damaged item can raise.
MALFORMED = (AttributeError, LookupError, TypeError, ValueError)

# If DynamoDB does not respond, a request fails within 10 s: API Gateway waits for 29 s.
CLIENT_CONFIG = Config(
    connect_timeout=1,
    read_timeout=3,
    retries={"mode": "standard", "total_max_attempts": 3},
    # DynamoDB validates each request. A second validation here takes a sixth of the time of a large
    # read.
    parameter_validation=False,
)

_THROTTLED = frozenset(
    {
        "ProvisionedThroughputExceededException",
        "ProvisionedThroughputExceeded",
        "RequestLimitExceeded",
        "ThrottlingException",
        "ThrottlingError",
        # The same transaction, which botocore sent again after a lost response, is still running.
        # Its result is unknown, so the caller has to wait, as botocore's retries do.
        "TransactionInProgressException",
    }
)
_RACE_LOST = frozenset(
    {
        "ConditionalCheckFailed",
        "ConditionalCheckFailedException",
        "TransactionConflict",
        "TransactionConflictException",
    }
)
_FULL = frozenset({"ItemCollectionSizeLimitExceeded", "ItemCollectionSizeLimitExceededException"})
_NO_TABLE = "ResourceNotFoundException"
_MAX_BATCH_KEYS = 100
_MAX_BATCH_WRITES = 25
# The number of attempts of a write before its table is reported as throttled.
MAX_ATTEMPTS = 8


def keep_requests_out_of_logs() -> None:
    """Stop botocore from logging its requests and responses.

    At DEBUG it logs signed headers, session tokens and whole responses. If a function's log level
    is DEBUG and its log format JSON, Lambda's runtime gives that level to every logger.
    """
    logging.getLogger("botocore").setLevel(logging.INFO)


def readable(parse: Callable[[Item], _Parsed], items: Iterable[Item]) -> Iterator[_Parsed]:
    """Parse items, and skip damaged ones: one damaged item must not make a list fail."""
    for item in items:
        try:
            yield parse(item)
        except MALFORMED:
            continue


@contextmanager
def mapped_errors() -> Iterator[None]:
    """Convert botocore's errors to the package's; errors that mean a bug pass unchanged.

    Raises:
        RaceLostError, ThrottledError, FullError, UnreachableError: By the error code.
    """
    try:
        yield
    except ClientError as error:
        raise _mapped(error) from error
    except BotoCoreError as error:
        raise UnreachableError(str(error)) from error


def _mapped(error: ClientError) -> DynamoError | ClientError:
    """Return the package's error for an error code; the error unchanged if it means a bug."""
    code = error.response["Error"]["Code"]
    codes = {reason.get("Code") for reason in error.response.get("CancellationReasons", [])}
    codes.add(code)
    if codes & _RACE_LOST:
        return RaceLostError()
    if codes & _THROTTLED:
        return ThrottledError(str(error))
    if codes & _FULL:
        return FullError()
    # A failing service responds with a 5xx status, and not always with a documented code.
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code == _NO_TABLE or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return UnreachableError(str(error))
    return error


def batch_get(
    client: "DynamoDBClient",
    table: str,
    keys: Iterable[Mapping[str, Any]],
    *,
    consistent: bool,
    attributes: Sequence[str] = (),
) -> Iterator[Item]:
    """Read the existing items of any number of distinct keys, in no fixed order.

    Args:
        attributes: The attributes to read; all if empty. With fewer attributes, botocore parses the
            response faster.

    Raises:
        ThrottledError, UnreachableError: Not all of them could be read.
    """
    options: dict[str, Any] = {"ConsistentRead": consistent}
    if attributes:
        names = {f"#{position}": name for position, name in enumerate(attributes)}
        options |= {"ProjectionExpression": ", ".join(names), "ExpressionAttributeNames": names}
    unread = [dict(key) for key in keys]
    while unread:
        requested, rest = unread[:_MAX_BATCH_KEYS], unread[_MAX_BATCH_KEYS:]
        with mapped_errors():
            request = cast("KeysAndAttributesTypeDef", {"Keys": requested, **options})
            response = client.batch_get_item(RequestItems={table: request})
        yield from response["Responses"].get(table, [])
        unprocessed = response.get("UnprocessedKeys", {}).get(table)
        left = [dict(key) for key in unprocessed["Keys"]] if unprocessed else []
        if len(left) == len(requested):
            raise ThrottledError
        unread = left + rest


def batch_write(
    client: "DynamoDBClient",
    table: str,
    requests: "Iterable[WriteRequestTypeDef]",
    *,
    pause: Callable[[int], None],
) -> None:
    """Put and delete items without conditions; send again what DynamoDB leaves unprocessed.

    Args:
        pause: Waits before the next batch; its argument is the number of incomplete batches in a
            row.

    Raises:
        ThrottledError, UnreachableError: Not all of them could be written.
    """
    left = list(requests)
    refusals = 0
    while left:
        batch, left = left[:_MAX_BATCH_WRITES], left[_MAX_BATCH_WRITES:]
        with mapped_errors():
            response = client.batch_write_item(RequestItems={table: batch})
        unprocessed = response.get("UnprocessedItems", {}).get(table, [])
        if not unprocessed:
            refusals = 0
            continue
        refusals += 1
        if refusals == MAX_ATTEMPTS:
            raise ThrottledError("a batch was not written completely")
        pause(refusals)
        # The response has the unprocessed requests as they were sent.
        left = [cast("WriteRequestTypeDef", each) for each in unprocessed] + left


def transact_get(
    client: "DynamoDBClient", table: str, keys: Iterable[Mapping[str, Any]]
) -> list[Item | None]:
    """Read items in one transaction, in the order of the keys; None for a missing item.

    Raises:
        RaceLostError: Another transaction is writing one of them.
        ThrottledError, UnreachableError: They could not be read.
    """
    with mapped_errors():
        response = client.transact_get_items(
            TransactItems=[{"Get": {"TableName": table, "Key": dict(key)}} for key in keys]
        )
    return [each.get("Item") for each in response["Responses"]]
