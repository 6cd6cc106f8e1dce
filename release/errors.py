"""The errors of making a release."""


class ReleaseError(Exception):
    """A step of the release failed.

    Attributes:
        step: The step that failed.
    """

    def __init__(self, step: str, reason: str) -> None:
        """Write the message."""
        super().__init__(f"{step} failed: {reason}")
        self.step = step
