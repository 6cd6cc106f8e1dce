"""The registry API's settings, from the function's environment variables."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiSettings:
    """The names of the tables.

    Attributes:
        versions_table: The source of truth, which this function writes.
        index_table: The read model, which is only read here.
        consumers_table: The consumers and their needs.
    """

    versions_table: str
    index_table: str
    consumers_table: str

    @classmethod
    def from_env(cls, getenv: Callable[[str], str | None]) -> "ApiSettings":
        """Read the environment, which `infra/template.yaml` sets.

        Raises:
            LookupError: A variable is not set.
        """
        return cls(
            versions_table=_required(getenv, "VERSIONS_TABLE"),
            index_table=_required(getenv, "INDEX_TABLE"),
            consumers_table=_required(getenv, "CONSUMERS_TABLE"),
        )


def _required(getenv: Callable[[str], str | None], name: str) -> str:
    value = getenv(name)
    if not value:
        message = f"{name} is not set; infra/template.yaml sets it"
        raise LookupError(message)
    return value
