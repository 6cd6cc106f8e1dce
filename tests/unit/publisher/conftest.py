"""A publisher with a registry and a ledger in memory, and simulated stacks."""

from collections.abc import Callable
from typing import Any

import pytest

from publisher.decisions import StackState
from publisher.events import StackRequest, StackResource, parse_event
from publisher.operations import Publications
from publisher.resource import (
    EXPECTED_ERRORS,
    StackResources,
    describe_failure,
    physical_id_of,
)
from publisher.stacks import StackUnreadableError
from testing.stack import SimulatedStack
from tests.unit.publisher.memory_registry import MemoryLedger, MemoryRegistry


class StackStates:
    """The states of simulated stacks."""

    def __init__(self) -> None:
        """Start without stacks."""
        self.known: list[SimulatedStack] = []
        self.is_readable = True

    def state(self, resource: StackResource) -> StackState:
        """Return a stack's state."""
        return StackState(status=self._find(resource).status)

    def present_id(self, resource: StackResource) -> str:
        """Return the resource's id."""
        return self._find(resource).present_id

    def _find(self, resource: StackResource) -> SimulatedStack:
        if not self.is_readable:
            raise StackUnreadableError(resource.stack_name, "access denied")
        return next(each for each in self.known if each.stack_id == resource.stack_id)


class PublisherInMemory:
    """A publisher, with its registry, its ledger and the stacks."""

    def __init__(self) -> None:
        """Start with nothing published."""
        self.registry = MemoryRegistry()
        self.ledger = MemoryLedger()
        self.states = StackStates()
        self.publications = self.publications_for("*")

    def publications_for(self, allowed_names: str) -> Publications:
        """Return the operations of a publisher that may change some services."""
        return Publications(
            self.registry, self.ledger, allowed_names=allowed_names, sleep=lambda _seconds: None
        )

    def stack(self, name: str = "users-app") -> SimulatedStack:
        """Return a stack that is not created yet."""
        stack = SimulatedStack(self.send, name=name)
        self.states.known.append(stack)
        return stack

    def send(self, event: dict[str, Any]) -> dict[str, Any]:
        """Handle a request; return the response."""
        request = parse_event(event | {"ResponseURL": "https://example.com"})
        assert isinstance(request, StackRequest)
        resources = StackResources(publications=self.publications, stacks=self.states)
        try:
            result = resources.handle(request)
        except EXPECTED_ERRORS as error:
            return {
                "Status": "FAILED",
                "PhysicalResourceId": physical_id_of(request),
                "Reason": describe_failure(error),
            }
        return {
            "Status": "SUCCESS",
            "PhysicalResourceId": result.physical_id,
            "Reason": result.reason,
            "Data": result.data,
        }

    def latest(self, service: str = "users") -> str | None:
        """Return a service's latest version."""
        return self.registry.services[service].latest()

    def status(self, version: str, service: str = "users") -> str:
        """Return a version's status, with its reason; `absent` if there is none."""
        found = self.registry.services.get(service)
        record = found.versions.get(version) if found else None
        if record is None:
            return "absent"
        return " ".join([record["status"], record.get("reason", "")]).strip()


Properties = Callable[..., dict[str, Any]]


@pytest.fixture
def publisher() -> PublisherInMemory:
    """Return a publisher with nothing published."""
    return PublisherInMemory()


def of(version: str, **others: Any) -> dict[str, Any]:
    """Return the properties that publish a version of `users`."""
    arn = f"arn:aws:lambda:eu-west-1:123456789012:function:users:{version.replace('.', '-')}"
    return {"Name": "users", "Version": version, "Arn": arn} | others
