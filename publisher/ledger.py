"""The ledger: what each resource has published and set, and the results of requests."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol


class LedgerError(Exception):
    """The ledger can't be read or written at the moment."""

    def __init__(self, reason: str) -> None:
        """Set the message with the reason."""
        super().__init__(f"the publisher's ledger is unreachable ({reason}); try again")


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """What a resource has done with a version.

    It is written before the registry is called, so that an unfinished request can be undone.
    Only the resource's last request can be undone: the next one clears `was_absent` and
    `channels_before` of all other entries.

    Attributes:
        resource: The resource's key.
        physical_id: The version, as `name@version`.
        arn: The version's ARN.
        request_id: The id of the last request that published it.
        properties: A digest of that request's properties.
        was_absent: Whether the version was absent before that request.
        channels_before: The channels that the request set, each with the version that it was set to
            before; None if it was not set.
        channels: Every channel that the resource ever set to this version.
        was_rolled_back: Whether a roll-back yanked the version.
    """

    resource: str
    physical_id: str
    arn: str
    request_id: str
    properties: str
    was_absent: bool
    channels_before: Mapping[str, str | None]
    channels: frozenset[str]
    was_rolled_back: bool = False

    @property
    def is_undoable(self) -> bool:
        """Whether the entry has something to undo."""
        return self.was_absent or bool(self.channels_before)

    def settled(self, *, was_rolled_back: bool | None = None) -> "LedgerEntry":
        """Return the entry with nothing to undo."""
        kept = self.was_rolled_back if was_rolled_back is None else was_rolled_back
        return replace(self, was_absent=False, channels_before={}, was_rolled_back=kept)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestResult:
    """The result of a request, recorded once.

    Attributes:
        is_success: Whether the request was successful.
        physical_id: The resource's id.
        reason: A message for a person; required for a failure.
        data: The values of `Fn::GetAtt`.
    """

    is_success: bool
    physical_id: str
    reason: str
    data: Mapping[str, str]


class Ledger(Protocol):
    """Keeps the entries and results; each method may raise a `LedgerError`."""

    def entry(self, resource: str, physical_id: str) -> LedgerEntry | None:
        """Return a resource's entry for a version."""

    def entries(self, resource: str) -> list[LedgerEntry]:
        """Return all entries of a resource."""

    def write_entry(self, entry: LedgerEntry) -> None:
        """Write an entry in place of the present one."""

    def delete_entry(self, entry: LedgerEntry) -> None:
        """Delete an entry."""

    def result(self, request: str) -> RequestResult | None:
        """Return a request's recorded result; None if there is none."""

    def record_result(self, request: str, result: RequestResult) -> RequestResult:
        """Record a request's result, unless one is recorded already; return the recorded one."""
