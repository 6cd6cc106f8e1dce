"""The interface for the state of stacks."""

from typing import Protocol

from publisher.decisions import StackState
from publisher.events import StackResource


class StackUnreadableError(Exception):
    """The state of a stack can't be read."""

    def __init__(self, stack: str, reason: str) -> None:
        """Set the message: the stack's name and the reason."""
        super().__init__(f"the state of the stack {stack!r} can't be read: {reason}")


class Stacks(Protocol):
    """Reads the state of stacks; each method may raise a `StackUnreadableError`."""

    def state(self, resource: StackResource) -> StackState:
        """Return the present state of a resource's stack."""

    def present_id(self, resource: StackResource) -> str:
        """Return a resource's present physical id."""
