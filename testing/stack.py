"""A simulated CloudFormation stack with one custom resource: it sends CloudFormation's requests.

The order is CloudFormation's ("Custom resource provider request types", "Update behaviors"). A
failed creation is followed by a Delete. An update to another physical id is followed by a Delete of
the old one. A failed update is followed by an Update back to the old properties, and by a Delete of
the physical id that it had made.
"""

import uuid
from collections.abc import Callable
from typing import Any

Properties = dict[str, Any]
Send = Callable[[dict[str, Any]], dict[str, Any]]
"""Sends a request (without its `ResponseURL`); returns the response."""


class SimulatedStack:
    """A stack.

    Attributes:
        status: Its present status.
        stack_id: Its ARN.
        present_id: The resource's physical id; empty if there is none.
        sent: Every request that was sent.
    """

    def __init__(self, send: Send, *, name: str = "users-app") -> None:
        """Prepare a stack that is not created yet."""
        self._send = send
        self.name = name
        self.logical_id = "Published"
        self.stack_id = f"arn:aws:cloudformation:eu-west-1:123456789012:stack/{name}/{uuid.uuid4()}"
        self.status = "REVIEW_IN_PROGRESS"
        self.present_id = ""
        self.properties: Properties = {}
        self.sent: list[dict[str, Any]] = []

    def create(self, properties: Properties, *, then_fails: bool = False) -> dict[str, Any]:
        """Create the stack; return the resource's response.

        Args:
            properties: The resource's properties.
            then_fails: Whether another resource fails afterwards.
        """
        self.status = "CREATE_IN_PROGRESS"
        response = self._request("Create", properties)
        self.present_id, self.properties = response["PhysicalResourceId"], properties
        self.status = "CREATE_COMPLETE"
        if then_fails or response["Status"] == "FAILED":
            self.status = "ROLLBACK_IN_PROGRESS"
            self._must_succeed("Delete", properties, self.present_id)
            self.status, self.present_id = "ROLLBACK_COMPLETE", ""
        return response

    def update(self, properties: Properties, *, then_fails: bool = False) -> dict[str, Any]:
        """Update the resource; return its response."""
        old, old_id = self.properties, self.present_id
        self.status = "UPDATE_IN_PROGRESS"
        response = self._request("Update", properties, old_id, old)
        has_failed = response["Status"] == "FAILED"
        new_id = old_id if has_failed else response["PhysicalResourceId"]
        self.present_id = new_id
        if has_failed or then_fails:
            self.status = "UPDATE_ROLLBACK_IN_PROGRESS"
            back = self._must_succeed("Update", old, new_id, properties)
            self.present_id = back["PhysicalResourceId"]
            self.status = "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS"
            if self.present_id != new_id:
                self._must_succeed("Delete", properties, new_id)
            self.status = "UPDATE_ROLLBACK_COMPLETE"
            return response
        self.properties = properties
        self.status = "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"
        if new_id != old_id:
            self._must_succeed("Delete", old, old_id)
        self.status = "UPDATE_COMPLETE"
        return response

    def delete(self) -> dict[str, Any]:
        """Delete the stack; return the resource's response."""
        self.status = "DELETE_IN_PROGRESS"
        response = self._request("Delete", self.properties, self.present_id)
        has_failed = response["Status"] == "FAILED"
        self.status = "DELETE_FAILED" if has_failed else "DELETE_COMPLETE"
        return response

    def _must_succeed(self, *request: Any) -> dict[str, Any]:
        response = self._request(*request)
        # If a request of a roll-back or of a clean-up fails, a real stack is stuck.
        assert response["Status"] == "SUCCESS", response
        return response

    def _request(
        self,
        kind: str,
        properties: Properties,
        physical_id: str = "",
        old_properties: Properties | None = None,
    ) -> dict[str, Any]:
        request = {
            "RequestType": kind,
            "RequestId": str(uuid.uuid4()),
            "StackId": self.stack_id,
            "LogicalResourceId": self.logical_id,
            "ResourceType": "Custom::ServiceVersion",
            "ResourceProperties": properties,
            **({"PhysicalResourceId": physical_id} if physical_id else {}),
            **({"OldResourceProperties": old_properties} if old_properties is not None else {}),
        }
        self.sent.append(request)
        return self._send(request)
