"""The exception with which tests kill a worker."""


class KilledError(BaseException):
    """Kills a worker: a BaseException, which the product's code does not catch."""
