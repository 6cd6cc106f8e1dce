"""The death of a worker in the middle of its work."""


class KilledError(BaseException):
    """Kills a worker: the product's code does not catch it."""
