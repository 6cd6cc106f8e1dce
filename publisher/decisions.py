"""Decide what a request does, without I/O.

CloudFormation sends the same requests in a deployment and in a roll-back, and it sends a Delete for
three reasons. Only the stack's state distinguishes them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from publisher.ledger import LedgerEntry
from publisher.properties import OnDelete, ServiceVersion

_ROLL_BACK = "ROLLBACK"
_DELETING = "DELETE_IN_PROGRESS"


@dataclass(frozen=True, slots=True, kw_only=True)
class StackState:
    """The present state of a stack.

    Attributes:
        status: The stack's status, such as `UPDATE_IN_PROGRESS`.
        root_status: The status of the outermost stack; None if the stack is not nested.
    """

    status: str
    root_status: str | None = None

    @property
    def is_rolling_back(self) -> bool:
        """Whether a failed creation or update is being undone.

        If a failed update has created a nested stack, the roll-back deletes it, with the status
        DELETE_IN_PROGRESS. Then only the outermost stack's status shows the roll-back.
        """
        if self.status == _DELETING and self.root_status is not None:
            return _ROLL_BACK in self.root_status
        return _ROLL_BACK in self.status


class Removal(Enum):
    """What a Delete does."""

    UNDO = "undo what the resource did"
    CLEAN_UP = "the resource has been replaced: leave everything"
    KEEP = "leave everything"
    YANK = "yank the version"
    DELETE = "delete the version"


_REMOVALS = {
    OnDelete.RETAIN: Removal.KEEP,
    OnDelete.YANK: Removal.YANK,
    OnDelete.DELETE: Removal.DELETE,
}


def decide_removal(
    on_delete: OnDelete, physical_id: str, *, is_rolling_back: bool, present_id: str | None
) -> Removal:
    """Return what a Delete does.

    Args:
        on_delete: The resource's property.
        physical_id: The physical id in the Delete.
        is_rolling_back: Whether the stack is rolling back.
        present_id: The resource's physical id in the stack now; None if it has none.
    """
    if is_rolling_back:
        return Removal.UNDO
    if present_id is not None and present_id != physical_id:
        return Removal.CLEAN_UP
    return _REMOVALS[on_delete]


def roll_back_reason(stack_name: str) -> str:
    """Return the reason of a yank that undoes a publish."""
    return f"rolled back: {stack_name}"


def is_replaceable(reason: str | None, stack_name: str, *, was_rolled_back: bool) -> bool:
    """Return whether a yanked version may be published again, since a roll-back yanked it.

    Args:
        reason: The reason of the yank. If it is another one, somebody else yanked the version.
        stack_name: The stack that publishes it.
        was_rolled_back: Whether the ledger says that this resource rolled it back.
    """
    return was_rolled_back and reason == roll_back_reason(stack_name)


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicationRequest:
    """A request that publishes a version.

    Attributes:
        resource: The resource's key in the ledger.
        request_id: The request's id, which stays the same when the request is repeated.
        properties: A digest of its properties.
        stack_name: The stack that sends it.
    """

    resource: str
    request_id: str
    properties: str
    stack_name: str


def next_entry(
    request: PublicationRequest,
    wanted: ServiceVersion,
    known: LedgerEntry | None,
    channels: Mapping[str, str],
    *,
    is_absent: bool,
) -> LedgerEntry:
    """Return the ledger's entry for a publish that is about to be made.

    If the request is repeated, the entry keeps the state from before the first attempt.

    Args:
        request: The request that publishes.
        wanted: The version that it publishes.
        known: The resource's present entry.
        channels: The service's channels now, with their versions.
        is_absent: Whether the version is absent now.
    """
    is_repeated = known is not None and known.request_id == request.request_id
    before: dict[str, str | None] = {}
    if wanted.channel is not None:
        before[wanted.channel] = channels.get(wanted.channel)
        if known and is_repeated and before[wanted.channel] == wanted.version:
            before[wanted.channel] = known.channels_before.get(wanted.channel)
    return LedgerEntry(
        resource=request.resource,
        physical_id=wanted.physical_id,
        arn=wanted.arn,
        request_id=request.request_id,
        properties=request.properties,
        was_absent=is_absent or bool(known and is_repeated and known.was_absent),
        channels_before=before,
        channels=frozenset(before) | (known.channels if known else frozenset()),
    )


def is_undone_by_update(entry: LedgerEntry, target_id: str, failed_properties: str) -> bool:
    """Return whether the Update of a roll-back undoes an entry.

    An undoable entry for another version than the target was made by the failed update. An entry
    for the target may have been made by an earlier, successful update: compare the properties.

    Args:
        entry: An undoable entry of the resource.
        target_id: The physical id that the roll-back returns to.
        failed_properties: A digest of the failed update's properties.
    """
    return entry.physical_id != target_id or entry.properties == failed_properties
