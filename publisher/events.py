"""What invokes the function: CloudFormation's requests and Terraform's, parsed once."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

# Terraform adds this member to the input (`terraform_key`'s default).
_TERRAFORM = "tf"
_STACK_ID_PARTS = 3


class RequestKind(Enum):
    """What is asked for."""

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
        """The resource's key in the ledger: the same when the stack is deleted and made again."""
        return f"{self.stack_id.rpartition('/')[0] or self.stack_id}#{self.logical_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StackRequest:
    """A request of CloudFormation's.

    Attributes:
        kind: What is asked for.
        request_id: Unique within the stack.
        response_url: The address that the response is put to.
        resource: The resource that it is about.
        physical_id: The resource's id so far; empty if it is created.
        properties: As in the template.
        old_properties: Before an update.
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
        """The request's key in the ledger: the same at each repetition, and at no other request."""
        return f"{self.resource.stack_id}#{self.request_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TerraformRequest:
    """An invocation of Terraform's `aws_lambda_invocation` with `lifecycle_scope = "CRUD"`.

    Attributes:
        kind: What is asked for.
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
        "this is no request of CloudFormation's, and none of Terraform's aws_lambda_invocation "
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
        message = "the request's ResponseURL is no HTTP address"
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
        message = f"Terraform's action is {action!r}; known are {', '.join(sorted(kinds))}"
        raise EventError(message)
    properties = {name: value for name, value in event.items() if name != _TERRAFORM}
    return TerraformRequest(kind=kinds[action], properties=properties)
