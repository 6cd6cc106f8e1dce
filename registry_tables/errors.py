"""The errors of calls to the tables, one for each reaction of the caller."""


class DynamoError(Exception):
    """Base of the errors that reading or writing a table raises."""


class RaceLostError(DynamoError):
    """Another change of the service was faster: read again and decide again."""

    def __init__(self) -> None:
        super().__init__("the service was changed by another request at the same time")


class ThrottledError(DynamoError):
    """DynamoDB throttles the table: try again later."""

    def __init__(self, reason: str = "no item of a batch was read") -> None:
        super().__init__(f"DynamoDB is throttling requests; try again later: {reason}")


class UnreachableError(DynamoError):
    """DynamoDB can't be reached, is failing, or has no such table: try again later."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"DynamoDB can't be reached: {reason}")


class DamagedItemError(DynamoError):
    """An item lacks an attribute or has a wrong one: it was damaged or half restored."""

    def __init__(self, owner: str, entry: str, reason: Exception) -> None:
        super().__init__(
            f"the item '{entry}' of '{owner}' is damaged ({type(reason).__name__}: {reason})"
        )


class DamagedAnswerError(DamagedItemError):
    """An item of the index table is damaged: a rebuild writes it again."""


class FullError(DynamoError):
    """The service holds the 10 GB that DynamoDB allows one partition with its local indexes."""

    def __init__(self) -> None:
        super().__init__("the service's item collection is at its size limit of 10 GB")
