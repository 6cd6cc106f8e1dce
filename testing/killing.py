"""Kills workers at any point of their work."""


class KilledError(BaseException):
    """Kills a worker: the product's code does not catch it."""
