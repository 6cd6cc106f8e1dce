"""Parses the function's events: CloudFormation's requests and Terraform's invocations."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

# Terraform adds this member to the input (the default of `terraform_key`).
_TERRAFORM = "tf"
_STACK_ID_PARTS = 3


class RequestKind(Enum):
    """The kind of a request."""

    CREATE = "Create"
    UPDATE = "Update"
    DELETE = "Delete"


class EventError(ValueError):
    """The event is neither CloudFormation's nor Terraform's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StackResource:
    """A resource of a stack.

    Attributes:
        stack_id: The stack's ARN.
        logical_id: The resource's name in the template.
    """

    stack_id: str
    logical_id: str

    @property
    def stack_name(self) -> str:
        """The stack's name."""
        # arn:aws:cloudformation:region:account:stack/name/uuid
        parts = self.stack_id.split("/")
        return parts[1] if len(parts) == _STACK_ID_PARTS else self.stack_id

    @property
    def key(self) -> str:
        """The resource's key in the ledger; it stays the same if the stack is created again."""
        return f"{self.stack_id.rpartition('/')[0] or self.stack_id}#{self.logical_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StackRequest:
    """A request from CloudFormation.

    Attributes:
        kind: Create, update or delete.
        request_id: Unique within the stack.
        response_url: The URL to PUT the response to.
        resource: The resource.
        physical_id: The resource's present id; empty for a creation.
        properties: The properties in the template.
        old_properties: The properties before an update.
    """

    kind: RequestKind
    request_id: str
    response_url: str
    resource: StackResource
    physical_id: str
    properties: Mapping[str, Any]
    old_properties: Mapping[str, Any]

    @property
    def key(self) -> str:
        """The request's key in the ledger; only repetitions of the request have the same one."""
        return f"{self.resource.stack_id}#{self.request_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TerraformRequest:
    """An invocation of Terraform's `aws_lambda_invocation` with `lifecycle_scope = "CRUD"`.

    Attributes:
        kind: Create, update or delete.
        properties: The input.
    """

    kind: RequestKind
    properties: Mapping[str, Any]


def parse_event(event: Mapping[str, Any]) -> StackRequest | TerraformRequest:
    """Parse an invocation's event.

    Raises:
        EventError: It is neither kind of request.
    """
    if "RequestType" in event:
        return _parse_stack_request(event)
    if isinstance(event.get(_TERRAFORM), dict):
        return _parse_terraform_request(event, event[_TERRAFORM])
    message = (
        "the event is neither CloudFormation's nor that of Terraform's aws_lambda_invocation "
        'with lifecycle_scope = "CRUD"'
    )
    raise EventError(message)


def _parse_stack_request(event: Mapping[str, Any]) -> StackRequest:
    texts = {}
    for name in ("RequestType", "RequestId", "ResponseURL", "StackId", "LogicalResourceId"):
        if not isinstance(event.get(name), str) or not event[name]:
            message = f"the request has no {name}"
            raise EventError(message)
        texts[name] = event[name]
    if not texts["ResponseURL"].startswith(("https://", "http://")):
        message = "the request's ResponseURL is not an HTTP address"
        raise EventError(message)
    try:
        kind = RequestKind(texts["RequestType"])
    except ValueError as error:
        message = f"the request's type is {texts['RequestType']!r}"
        raise EventError(message) from error
    return StackRequest(
        kind=kind,
        request_id=texts["RequestId"],
        response_url=texts["ResponseURL"],
        resource=StackResource(stack_id=texts["StackId"], logical_id=texts["LogicalResourceId"]),
        physical_id=event.get("PhysicalResourceId") or "",
        properties=event.get("ResourceProperties") or {},
        old_properties=event.get("OldResourceProperties") or {},
    )


def _parse_terraform_request(
    event: Mapping[str, Any], terraform: Mapping[str, Any]
) -> TerraformRequest:
    kinds = {each.value.lower(): each for each in RequestKind}
    action = terraform.get("action")
    if action not in kinds:
        message = (
            f"Terraform's action is {action!r}; it should be one of {', '.join(sorted(kinds))}"
        )
        raise EventError(message)
    properties = {name: value for name, value in event.items() if name != _TERRAFORM}
    return TerraformRequest(kind=kinds[action], properties=properties)
