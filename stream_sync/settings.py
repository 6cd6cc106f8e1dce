"""What the function's environment asks of the stream's function."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The names of the tables.

    Attributes:
        versions_table: The source of truth, which is only read.
        index_table: The read model, which this function alone writes.
        index_copies: How many copies each index item has, itself included.
    """

    versions_table: str
    index_table: str
    index_copies: int

    @classmethod
    def from_env(cls, getenv: Callable[[str], str | None]) -> "Settings":
        """Read the environment, which `infra/template.yaml` sets.

        Raises:
            LookupError: A variable is not set.
            ValueError: INDEX_COPIES is not a number.
        """
        return cls(
            versions_table=_wanted(getenv, "VERSIONS_TABLE"),
            index_table=_wanted(getenv, "INDEX_TABLE"),
            index_copies=int(_wanted(getenv, "INDEX_COPIES")),
        )


def _wanted(getenv: Callable[[str], str | None], name: str) -> str:
    value = getenv(name)
    if not value:
        message = f"{name} is not set; infra/template.yaml sets it"
        raise LookupError(message)
    return value
