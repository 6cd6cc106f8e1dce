"""The environment variables of the package's functions, which infra/template.yaml sets."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSyncSettings:
    """The names of the tables.

    Attributes:
        versions_table: The source of truth, which these functions only read.
        index_table: The read model, which only these functions write.
        index_copies: How many copies each index item has, itself included.
    """

    versions_table: str
    index_table: str
    index_copies: int

    @classmethod
    def from_env(cls, getenv: Callable[[str], str | None]) -> "StreamSyncSettings":
        """Read the environment.

        Raises:
            LookupError: A variable is not set.
            ValueError: INDEX_COPIES is not a number.
        """
        return cls(
            versions_table=versions_table(getenv),
            index_table=_required(getenv, "INDEX_TABLE"),
            index_copies=int(_required(getenv, "INDEX_COPIES")),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSettings:
    """The targets of change events.

    Attributes:
        bus: The EventBridge bus, as a name or an ARN; empty for none.
        queue_url: The queue for events that the bus does not accept.
    """

    bus: str
    queue_url: str

    @classmethod
    def from_env(cls, getenv: Callable[[str], str | None]) -> "EventSettings":
        """Read the environment; without EVENT_BUS no events are sent.

        Raises:
            LookupError: There is a bus and no queue.
        """
        bus = getenv("EVENT_BUS") or ""
        return cls(bus=bus, queue_url=_required(getenv, "FAILED_EVENTS_QUEUE") if bus else "")


def versions_table(getenv: Callable[[str], str | None]) -> str:
    """Return the versions table's name.

    Raises:
        LookupError: The variable is not set.
    """
    return _required(getenv, "VERSIONS_TABLE")


def _required(getenv: Callable[[str], str | None], name: str) -> str:
    value = getenv(name)
    if not value:
        message = f"{name} is not set; infra/template.yaml sets it"
        raise LookupError(message)
    return value
