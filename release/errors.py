"""What can go wrong while a release is made."""


class ReleaseError(Exception):
    """A step of the release failed.

    Attributes:
        step: What was being done.
    """

    def __init__(self, step: str, reason: str) -> None:
        """Write the message."""
        super().__init__(f"{step} failed: {reason}")
        self.step = step
