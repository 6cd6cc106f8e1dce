"""The action that a request calls for, decided without any I/O.

CloudFormation sends the same requests in an ordinary operation and in a roll-back, and a Delete for
three reasons. Only the stack's own state distinguishes them.
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
    """What a stack does at the moment.

    Attributes:
        status: The stack's status, such as `UPDATE_IN_PROGRESS`.
        root_status: The status of the outermost stack; None if the stack is not nested.
    """

    status: str
    root_status: str | None = None

    @property
    def is_rolling_back(self) -> bool:
        """Whether a failed creation or update is being undone.

        A nested stack that a failed update of its parent had created is deleted in an ordinary way;
        only the outermost stack's status shows that this is a roll-back.
        """
        if self.status == _DELETING and self.root_status is not None:
            return _ROLL_BACK in self.root_status
        return _ROLL_BACK in self.status


class Removal(Enum):
    """What a Delete calls for."""

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
    """Return what a Delete calls for.

    Args:
        on_delete: The resource's property.
        physical_id: The id that is to be deleted.
        is_rolling_back: Whether the stack rolls back.
        present_id: The id that the stack has for the resource now; None if there is none.
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
    """Return whether a yanked version may be published again: our own roll-back yanked it.

    Args:
        reason: Why the version was yanked. Another reason is another person's decision.
        stack_name: The stack that publishes it.
        was_rolled_back: Whether the ledger has this resource's roll-back of it.
    """
    return was_rolled_back and reason == roll_back_reason(stack_name)


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicationRequest:
    """A request that publishes a version.

    Attributes:
        resource: The resource's key in the ledger.
        request_id: The request's id: the same at each repetition.
        properties: A digest of its properties.
        stack_name: The stack that makes it.
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

    A repeated request finds what its first attempt did: the state before that attempt counts.

    Args:
        request: The request that publishes.
        wanted: What it publishes.
        known: The present entry.
        channels: What the service's channels are set to now.
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

    An undoable entry for another version is the failed update's. One for the version that the
    roll-back goes back to may be of an earlier update, which went well.

    Args:
        entry: An undoable entry of the resource.
        target_id: The id that the roll-back goes back to.
        failed_properties: A digest of the properties that the failed update had.
    """
    return entry.physical_id != target_id or entry.properties == failed_properties
