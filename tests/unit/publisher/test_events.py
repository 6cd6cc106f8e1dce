"""The events that invoke the publisher."""

from typing import Any

import pytest

from publisher.events import (
    EventError,
    RequestKind,
    StackRequest,
    TerraformRequest,
    parse_event,
)

_STACK = "arn:aws:cloudformation:eu-west-1:123456789012:stack/users/51af3dc0"


def _request(**others: Any) -> dict[str, Any]:
    return {
        "RequestType": "Create",
        "RequestId": "r-1",
        "ResponseURL": "https://example.com/r",
        "StackId": _STACK,
        "LogicalResourceId": "Published",
        "ResourceType": "Custom::ServiceVersion",
        "ResourceProperties": {"Name": "users"},
    } | others


def test_request_of_cloudformation_is_parsed() -> None:
    event = _request(
        RequestType="Update",
        PhysicalResourceId="users@1.0.0",
        OldResourceProperties={"Name": "old"},
    )

    parsed = parse_event(event)

    assert isinstance(parsed, StackRequest)
    assert (parsed.kind, parsed.physical_id) == (RequestKind.UPDATE, "users@1.0.0")
    assert (parsed.properties, parsed.old_properties) == ({"Name": "users"}, {"Name": "old"})
    assert parsed.resource.stack_name == "users"


def test_keys_outlive_the_stack_but_not_the_request() -> None:
    """A new stack with the same name finds the entries of an earlier roll-back."""
    first = parse_event(_request())
    again = parse_event(_request(StackId=_STACK.replace("51af3dc0", "77aa0000")))

    assert isinstance(first, StackRequest)
    assert isinstance(again, StackRequest)
    assert first.resource.key == again.resource.key
    assert first.key != again.key


@pytest.mark.parametrize("action", ["create", "update", "delete"])
def test_invocation_of_terraform_is_parsed(action: str) -> None:
    """The provider adds `tf` to the input."""
    parsed = parse_event({"Name": "users", "tf": {"action": action, "prev_input": None}})

    assert isinstance(parsed, TerraformRequest)
    assert parsed.kind is RequestKind(action.capitalize())
    assert parsed.properties == {"Name": "users"}


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ({}, "lifecycle_scope"),
        ({"Name": "users"}, "lifecycle_scope"),
        ({"tf": {"action": "read"}}, "'read'; it should be one of create, delete, update"),
        (_request(RequestType="Read"), "'Read'"),
        (_request(ResponseURL="file:///etc/passwd"), "not an HTTP address"),
        ({"RequestType": "Create"}, "has no RequestId"),
    ],
)
def test_other_event_is_refused(event: dict[str, Any], message: str) -> None:
    with pytest.raises(EventError, match=message):
        parse_event(event)
