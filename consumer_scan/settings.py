"""The scan function's settings, from its environment variables."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanSettings:
    """The scan function's settings.

    Attributes:
        consumers_table: The table that the scan writes.
    """

    consumers_table: str

    @classmethod
    def from_env(cls, getenv: Callable[[str], str | None]) -> "ScanSettings":
        """Read the environment, which `infra/template.yaml` sets.

        Raises:
            LookupError: CONSUMERS_TABLE is not set.
        """
        table = getenv("CONSUMERS_TABLE")
        if not table:
            message = "CONSUMERS_TABLE is not set; infra/template.yaml sets it"
            raise LookupError(message)
        return cls(consumers_table=table)
