"""What the function's environment asks of the registry API."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The names of the tables.

    Attributes:
        versions_table: The source of truth, which this function alone writes.
    """

    versions_table: str

    @classmethod
    def from_env(cls, getenv: Callable[[str], str | None]) -> "Settings":
        """Read the environment, which `infra/template.yaml` sets.

        Raises:
            LookupError: A variable is not set.
        """
        versions_table = getenv("VERSIONS_TABLE")
        if not versions_table:
            message = "VERSIONS_TABLE is not set: it names the versions table"
            raise LookupError(message)
        return cls(versions_table=versions_table)
