"""Which of DynamoDB's errors mean that a service's recompute should be tried again."""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

from botocore.exceptions import ClientError

_THROTTLED = frozenset(
    {
        "ProvisionedThroughputExceededException",
        "ProvisionedThroughputExceeded",
        "RequestLimitExceeded",
        "ThrottlingException",
        "ThrottlingError",
    }
)
_MOVED = frozenset({"ConditionalCheckFailed", "TransactionConflict"})


class MovedError(Exception):
    """The service has changed since it was read: what was computed may be wrong by now."""

    def __init__(self) -> None:
        super().__init__("the service kept changing while it was read")


class BusyError(Exception):
    """A table is asked for more than it gives right now, or DynamoDB is failing."""

    def __init__(self, reason: str = "it gave nothing of a batch") -> None:
        super().__init__(f"DynamoDB kept refusing; try again later: {reason}")


@contextmanager
def translated() -> Iterator[None]:
    """Turn what botocore raises into what the recompute knows; pass everything else on.

    Raises:
        MovedError, BusyError: Try again.
    """
    try:
        yield
    except ClientError as error:
        code = error.response["Error"]["Code"]
        reasons = {reason.get("Code") for reason in error.response.get("CancellationReasons", [])}
        if code == "TransactionInProgressException" or reasons & _MOVED:
            raise MovedError from error
        # What a failing service answers has a status, and not always a code that is documented.
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        is_failing = status >= HTTPStatus.INTERNAL_SERVER_ERROR
        if is_failing or code in _THROTTLED or reasons & _THROTTLED:
            raise BusyError(str(error)) from error
        raise
