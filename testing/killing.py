"""The death of a worker in the middle of its work."""


class KilledError(BaseException):
    """Kills a worker: no code of ours catches it."""
