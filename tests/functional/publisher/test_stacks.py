"""Stacks that publish, against the registry's own handler."""

from typing import Any

import boto3
import pytest

from publisher.invocation import PublishFailedError
from publisher.responder import ResponseNotSentError
from registry_client.client import WriteOptions, publish_request, yank_request
from tests.functional.http_gateway import REGION, Canned
from tests.functional.publisher.conftest import LEDGER, DeployedPublisher

_FUNCTION = "arn:aws:lambda:eu-west-1:123456789012:function:users"
_FORCED = WriteOptions(force=True)


def _of(version: str, number: int = 42, **others: Any) -> dict[str, Any]:
    return {"Name": "users", "Version": version, "Arn": f"{_FUNCTION}:{number}"} | others


def test_stack_publishes_updates_and_rolls_back(publisher: DeployedPublisher) -> None:
    """`latest` follows the deployments, and a failed one changes nothing for consumers."""
    stack = publisher.stack()
    created = stack.create(_of("1.0.0", Channel="stable", Metadata={"team": "a"}))
    stack.update(_of("1.1.0", 43, Channel="stable"))
    assert publisher.latest() == "1.1.0"

    stack.update(_of("2.0.0", 44, Channel="stable"), then_fails=True)

    assert created["Data"] == {"Version": "1.0.0", "Arn": f"{_FUNCTION}:42", "Revision": "1"}
    assert publisher.latest() == "1.1.0"
    assert publisher.registry.service("users")["channels"] == {"stable": "1.1.0"}
    rolled_back = publisher.registry.version("users", "2.0.0")
    assert (rolled_back["status"], rolled_back["reason"]) == ("yanked", "rolled back: users-app")
    assert publisher.registry.version("users", "1.0.0")["status"] == "active"


def test_version_is_published_again_with_another_arn_after_a_roll_back(
    publisher: DeployedPublisher,
) -> None:
    """The roll-back has deleted the function version; the next one has another number."""
    stack = publisher.stack()
    stack.create(_of("1.0.0"))
    stack.update(_of("2.0.0", 43), then_fails=True)

    stack.update(_of("2.0.0", 44))

    record = publisher.registry.version("users", "2.0.0")
    assert (record["status"], record["arn"]) == ("active", f"{_FUNCTION}:44")


def test_rolled_back_first_creation_removes_the_only_answer(
    publisher: DeployedPublisher,
) -> None:
    """The guard does not apply: before this stack there was no answer either."""
    publisher.stack().create(_of("1.0.0", Channel="beta"), then_fails=True)

    assert publisher.registry.service("users")["latest"] is None
    assert publisher.registry.service("users")["channels"] == {}


def test_pin_is_set_back_to_the_version_that_it_held(publisher: DeployedPublisher) -> None:
    stack = publisher.stack()
    stack.create(_of("1.0.0", Channel="latest"))

    stack.update(_of("2.0.0", 43, Channel="latest"), then_fails=True)

    assert publisher.registry.service("users")["channels"] == {"latest": "1.0.0"}
    assert publisher.latest() == "1.0.0"


def test_same_version_with_another_arn_fails_with_the_published_arn(
    publisher: DeployedPublisher,
) -> None:
    stack = publisher.stack()
    stack.create(_of("1.0.0"))

    response = stack.update(_of("1.0.0", 43))

    assert response["Status"] == "FAILED"
    assert f"{_FUNCTION}:42" in response["Reason"]
    assert stack.status == "UPDATE_ROLLBACK_COMPLETE"
    assert publisher.registry.version("users", "1.0.0")["arn"] == f"{_FUNCTION}:42"


@pytest.mark.parametrize(
    ("on_delete", "status"), [("Retain", "active"), ("Yank", "yanked"), ("Delete", None)]
)
def test_deletion_follows_on_delete_and_passes_the_guard(
    publisher: DeployedPublisher, on_delete: str, status: str | None
) -> None:
    """Even the only version of a service is removed."""
    stack = publisher.stack()
    stack.create(_of("1.0.0", Channel="beta", OnDelete=on_delete))

    response = stack.delete()

    assert response["Status"] == "SUCCESS", response
    versions = {each["version"]: each["status"] for each in publisher.registry.versions("users")}
    assert versions == ({"1.0.0": status} if status else {})
    kept = publisher.registry.service("users")["channels"]
    assert kept == ({"beta": "1.0.0"} if on_delete == "Retain" else {})


def test_deletion_changes_nothing_if_the_stack_cannot_be_read(
    publisher: DeployedPublisher,
) -> None:
    stack = publisher.stack()
    stack.create(_of("1.0.0", OnDelete="Delete"))
    publisher.cloudformation.is_denied = True

    response = stack.delete()

    assert response["Status"] == "SUCCESS"
    assert "can't be read" in response["Reason"]
    assert "nothing was changed" in response["Reason"]
    assert publisher.latest() == "1.0.0"


def test_request_of_another_stack_of_that_name_changes_nothing(
    publisher: DeployedPublisher,
) -> None:
    """A late request must not use another stack's state."""
    stack = publisher.stack()
    stack.create(_of("1.0.0", OnDelete="Delete"))
    stack.stack_id = stack.stack_id.replace("stack/users-app/", "stack/users-app/old-")
    late = publisher.stack()
    late.status = "DELETE_IN_PROGRESS"

    response = publisher.send(
        stack.sent[0]
        | {"RequestType": "Delete", "RequestId": "late", "PhysicalResourceId": "users@1.0.0"}
    )

    assert "another stack has this name now" in response["Reason"]
    assert publisher.latest() == "1.0.0"


def test_repeated_request_gets_the_same_response_after_any_change(
    publisher: DeployedPublisher,
) -> None:
    """CloudFormation uses the first response."""
    stack = publisher.stack()
    first = stack.create(_of("1.0.0"))
    publisher.registry.change(yank_request("users", "1.0.0", "loses orders"), _FORCED)
    calls = len(publisher.gateway.requests)

    request = stack.sent[0]
    publisher.invoke(
        request | {"ResponseURL": publisher.cloudformation.response_url(request["RequestId"])}
    )

    assert publisher.cloudformation.received[request["RequestId"]] == [first, first]
    assert len(publisher.gateway.requests) == calls


def test_failed_result_stays_although_the_registry_would_accept_it_now(
    publisher: DeployedPublisher,
) -> None:
    """The stack has been rolled back already."""
    stack = publisher.stack()
    stack.create(_of("1.0.0", Version="1"))
    request = stack.sent[0] | {"ResourceProperties": _of("1.0.0")}

    publisher.invoke(
        request | {"ResponseURL": publisher.cloudformation.response_url(request["RequestId"])}
    )

    first, second = publisher.cloudformation.received[request["RequestId"]]
    assert first == second
    assert first["Status"] == "FAILED"


def test_throttled_registry_is_asked_again(publisher: DeployedPublisher) -> None:
    publisher.gateway.script.extend(
        Canned(status=status, headers={"Retry-After": "0"}) for status in (429, 503, 429)
    )

    response = publisher.stack().create(_of("1.0.0"))

    assert response["Status"] == "SUCCESS"
    assert publisher.latest() == "1.0.0"


def test_registry_that_stays_throttled_fails_the_request_in_time(
    publisher: DeployedPublisher,
) -> None:
    """The function responds before its timeout, and the response says what to do."""
    publisher.gateway.script.extend(
        Canned(status=429, headers={"Retry-After": "1"}) for _ in range(30)
    )

    def with_little_time(request: dict[str, Any]) -> dict[str, Any]:
        return publisher.send(request, remaining_s=22)

    response = publisher.stack(with_little_time).create(_of("1.0.0"))
    publisher.gateway.script.clear()

    assert response["Status"] == "FAILED"
    assert "deploy again in a moment" in response["Reason"]


def test_watchdog_responds_when_the_registry_hangs(
    publisher: DeployedPublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CloudFormation does not wait for an hour, and a late success changes no response."""
    held = publisher.module._invocations

    def slow(*_: Any, **__: Any) -> Any:
        import time  # noqa: PLC0415  # the test's own

        time.sleep(3)
        return original(*_, **__)

    original = held._publications
    monkeypatch.setattr(held, "_publications", slow)
    stack = publisher.stack()
    request_id = ""

    def with_little_time(request: dict[str, Any]) -> dict[str, Any]:
        nonlocal request_id
        if request["RequestType"] == "Create":
            request_id = request["RequestId"]
            url = publisher.cloudformation.response_url(request_id)
            publisher.invoke(request | {"ResponseURL": url}, remaining_s=21)
            return publisher.cloudformation.received[request_id][0]
        return publisher.send(request)

    stack._send = with_little_time
    stack.create(_of("1.0.0"))

    responses = publisher.cloudformation.received[request_id]
    assert {response["Status"] for response in responses} == {"FAILED"}
    assert len({response["Reason"] for response in responses}) == 1


def test_response_url_that_fails_at_first_gets_the_response(publisher: DeployedPublisher) -> None:
    publisher.cloudformation.statuses = [503, 500]

    response = publisher.stack().create(_of("1.0.0"))

    assert response["Status"] == "SUCCESS"


def test_response_that_could_not_be_sent_is_sent_by_lambdas_next_attempt(
    publisher: DeployedPublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The invocation fails, Lambda repeats it, and nothing is published twice."""
    monkeypatch.setattr("publisher.invocation.WORK_MARGIN_S", 2.0)
    stack = publisher.stack()
    publisher.cloudformation.statuses = [503] * 20

    def twice(request: dict[str, Any]) -> dict[str, Any]:
        with pytest.raises(ResponseNotSentError):
            publisher.send(request, remaining_s=6)
        publisher.cloudformation.statuses.clear()
        publisher.gateway.requests.clear()
        return publisher.send(request)

    stack._send = twice
    response = stack.create(_of("1.0.0"))

    assert response["Status"] == "SUCCESS"
    assert publisher.gateway.requests == []


def test_ledger_out_of_reach_fails_the_request_before_anything_is_published(
    publisher: DeployedPublisher,
) -> None:
    """A publish that could not be undone is not made."""
    boto3.client("dynamodb", region_name=REGION).delete_table(TableName=LEDGER)

    response = publisher.stack()._request("Create", _of("1.0.0"))

    assert response["Status"] == "FAILED"
    assert "ledger is unreachable" in response["Reason"]
    assert [method for method, _ in publisher.gateway.calls() if method != "GET"] == []


def test_bug_is_a_failed_response_that_leads_to_the_log(
    publisher: DeployedPublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug must not make a stack wait for an hour."""

    def broken(*_: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(publisher.module._invocations, "_publications", broken)

    response = publisher.stack()._request("Create", _of("1.0.0"))

    assert response["Status"] == "FAILED"
    assert "ZeroDivisionError" in response["Reason"]
    assert "log" in response["Reason"]


def test_service_of_another_team_is_refused(publisher: DeployedPublisher) -> None:
    response = publisher.stack().create(_of("1.0.0", Name="billing"))

    assert response["Status"] == "FAILED"
    assert "'users*'" in response["Reason"]


def test_terraform_creates_updates_and_destroys(publisher: DeployedPublisher) -> None:
    """`aws_lambda_invocation` sends the input with `tf`, and shows the result."""
    first = _of("1.0.0", Channel="beta", OnDelete="Delete", Metadata={"build": 7})
    second = first | {"Version": "1.1.0", "Arn": f"{_FUNCTION}:43"}

    created = publisher.invoke(first | {"tf": {"action": "create", "prev_input": None}})
    updated = publisher.invoke(second | {"tf": {"action": "update", "prev_input": first}})

    assert (created["PhysicalResourceId"], created["Version"]) == ("users@1.0.0", "1.0.0")
    assert updated["Arn"] == f"{_FUNCTION}:43"
    assert publisher.registry.service("users")["channels"] == {"beta": "1.1.0"}
    publisher.invoke(second | {"tf": {"action": "delete", "prev_input": second}})
    assert publisher.latest() == "1.0.0"
    assert publisher.registry.service("users")["channels"] == {}


def test_terraforms_refusal_is_a_function_error_with_the_reason(
    publisher: DeployedPublisher,
) -> None:
    publisher.registry.publish(publish_request("users", "1.0.0", f"{_FUNCTION}:1"))

    with pytest.raises(PublishFailedError, match=f"it is published with {_FUNCTION}:1"):
        publisher.invoke(_of("1.0.0") | {"tf": {"action": "create", "prev_input": None}})
