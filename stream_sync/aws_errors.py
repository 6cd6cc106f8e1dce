"""Which of DynamoDB's errors mean that a service's recompute should be tried again."""

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import ClientError

_THROTTLED = frozenset(
    {
        "ProvisionedThroughputExceededException",
        "ProvisionedThroughputExceeded",
        "RequestLimitExceeded",
        "ThrottlingException",
        "ThrottlingError",
        "InternalServerError",
    }
)
_MOVED = frozenset({"ConditionalCheckFailed", "TransactionConflict"})


class MovedError(Exception):
    """The service has changed since it was read: what was computed may be wrong by now."""


class BusyError(Exception):
    """A table is asked for more than it gives right now."""


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
        if code in _THROTTLED or reasons & _THROTTLED:
            raise BusyError from error
        raise
