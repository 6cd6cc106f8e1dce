"""The operations of a stack, and the registry's content afterwards."""

from typing import Any

import pytest

from publisher.deadline import OutOfTimeError
from publisher.events import RequestKind, TerraformRequest
from publisher.operations import NameNotAllowedError
from publisher.properties import PropertiesError
from publisher.resource import handle_terraform
from registry_client.errors import RefusalError, RegistryUnreachableError
from testing.killing import KilledError
from tests.unit.publisher.conftest import PublisherInMemory, of
from tests.unit.publisher.memory_registry import refusal

ROLLED_BACK = "yanked rolled back: users-app"


def test_creation_publishes(publisher: PublisherInMemory) -> None:
    response = publisher.stack().create(of("1.0.0", Channel="beta", Metadata={"team": "a"}))

    assert response["Status"] == "SUCCESS"
    assert response["PhysicalResourceId"] == "users@1.0.0"
    assert response["Data"] == {"Version": "1.0.0", "Arn": of("1.0.0")["Arn"], "Revision": "1"}
    service = publisher.registry.services["users"]
    assert service.versions["1.0.0"]["metadata"] == {"team": "a"}
    assert service.channels == {"beta": "1.0.0"}


def test_update_publishes_the_new_version_and_leaves_the_old_one(
    publisher: PublisherInMemory,
) -> None:
    """Consumers that need the old version keep it, with any `OnDelete`."""
    stack = publisher.stack()
    stack.create(of("1.0.0", OnDelete="Delete"))

    stack.update(of("2.0.0", OnDelete="Delete"))

    assert stack.present_id == "users@2.0.0"
    assert [request["RequestType"] for request in stack.sent] == ["Create", "Update", "Delete"]
    assert publisher.status("1.0.0") == publisher.status("2.0.0") == "active"
    assert publisher.latest() == "2.0.0"


def test_same_version_with_another_arn_is_refused_and_nothing_moves(
    publisher: PublisherInMemory,
) -> None:
    """A published version does not change; the stack rolls back, and its channel stays."""
    stack = publisher.stack()
    stack.create(of("1.0.0", Channel="stable"))

    response = stack.update(of("1.0.0", Channel="stable", Arn="arn:aws:sqs:eu-west-1:1:other"))

    assert response["Status"] == "FAILED"
    assert "another ARN" in response["Reason"]
    assert stack.status == "UPDATE_ROLLBACK_COMPLETE"
    assert publisher.status("1.0.0") == "active"
    assert publisher.registry.services["users"].channels == {"stable": "1.0.0"}


def test_another_service_name_is_a_replacement(publisher: PublisherInMemory) -> None:
    """The old service's version stays, since its consumers have not moved yet."""
    stack = publisher.stack()
    stack.create(of("1.0.0", OnDelete="Delete"))

    stack.update(of("1.0.0", Name="people", OnDelete="Delete"))

    assert stack.present_id == "people@1.0.0"
    assert publisher.status("1.0.0") == "active"
    assert publisher.status("1.0.0", "people") == "active"


def test_rolled_back_update_restores_latest(publisher: PublisherInMemory) -> None:
    stack = publisher.stack()
    stack.create(of("1.0.0", Channel="stable"))

    stack.update(of("2.0.0", Channel="stable"), then_fails=True)

    assert publisher.latest() == "1.0.0"
    assert publisher.status("2.0.0") == ROLLED_BACK
    assert publisher.registry.services["users"].channels == {"stable": "1.0.0"}
    assert stack.present_id == "users@1.0.0"


def test_rolled_back_pin_is_removed(publisher: PublisherInMemory) -> None:
    """`latest` was not pinned before, so it is not pinned afterwards."""
    stack = publisher.stack()
    stack.create(of("1.0.0"))

    stack.update(of("0.9.0", Channel="latest"), then_fails=True)

    assert publisher.registry.services["users"].channels == {}
    assert publisher.latest() == "1.0.0"


def test_rolled_back_creation_is_undone(publisher: PublisherInMemory) -> None:
    publisher.stack("other").create(of("1.0.0"))

    publisher.stack().create(of("2.0.0", Channel="beta", OnDelete="Retain"), then_fails=True)

    assert publisher.latest() == "1.0.0"
    assert publisher.status("2.0.0") == ROLLED_BACK
    assert publisher.registry.services["users"].channels == {}


def test_roll_back_keeps_a_version_that_existed_before(publisher: PublisherInMemory) -> None:
    """Another pipeline published it, and its consumers use it."""
    publisher.stack("other").create(of("2.0.0"))

    publisher.stack().create(of("2.0.0"), then_fails=True)

    assert publisher.status("2.0.0") == "active"


def test_rolled_back_channel_of_the_same_version_is_set_back(
    publisher: PublisherInMemory,
) -> None:
    """The version existed before this update, and stays."""
    stack = publisher.stack()
    stack.create(of("1.0.0"))

    stack.update(of("1.0.0", Channel="beta"), then_fails=True)

    assert publisher.status("1.0.0") == "active"
    assert publisher.registry.services["users"].channels == {}


def test_roll_back_leaves_a_channel_that_others_have_moved_since(
    publisher: PublisherInMemory,
) -> None:
    stack = publisher.stack()
    stack.create(of("1.0.0", Channel="stable"))
    publisher.stack("other").create(of("1.5.0"))

    def move(name: str) -> None:
        if name == "publish":
            publisher.registry.services["users"].channels["stable"] = "1.5.0"

    publisher.registry.after_write = move
    stack.update(of("2.0.0", Channel="stable"), then_fails=True)

    assert publisher.registry.services["users"].channels == {"stable": "1.5.0"}
    assert publisher.status("2.0.0") == ROLLED_BACK


def test_channel_whose_version_is_gone_is_deleted_by_a_roll_back(
    publisher: PublisherInMemory,
) -> None:
    """The correct version no longer exists, and a wrong one would be worse than none."""
    stack = publisher.stack()
    stack.create(of("1.0.0", Channel="stable"))

    def yank_the_first(name: str) -> None:
        if name == "publish":
            publisher.registry.services["users"].versions["1.0.0"]["status"] = "yanked"

    publisher.registry.after_write = yank_the_first
    stack.update(of("2.0.0", Channel="stable"), then_fails=True)

    assert publisher.registry.services["users"].channels == {}


def test_roll_back_is_not_blocked_by_a_channel_of_others(publisher: PublisherInMemory) -> None:
    """A stack that cannot roll back is worse than a version that is not removed."""
    stack = publisher.stack()
    stack.create(of("1.0.0"))

    def point_at_it(name: str) -> None:
        if name == "publish":
            publisher.registry.services["users"].channels["beta"] = "2.0.0"

    publisher.registry.after_write = point_at_it
    stack.update(of("2.0.0"), then_fails=True)

    assert stack.status == "UPDATE_ROLLBACK_COMPLETE"
    assert publisher.status("2.0.0") == "active"
    assert "beta" in publisher.registry.services["users"].channels


def test_earlier_update_is_not_undone_by_a_later_roll_back(publisher: PublisherInMemory) -> None:
    """Only the failed update is undone."""
    stack = publisher.stack()
    stack.create(of("1.0.0"))
    stack.update(of("2.0.0", Channel="stable"))

    stack.update(of("3.0.0", Chanel="stable"))

    assert stack.status == "UPDATE_ROLLBACK_COMPLETE"
    assert publisher.status("2.0.0") == "active"
    assert publisher.registry.services["users"].channels == {"stable": "2.0.0"}


def test_roll_back_of_an_update_that_was_never_received_undoes_nothing(
    publisher: PublisherInMemory,
) -> None:
    """CloudFormation could not invoke the function, and invokes it for the roll-back."""
    stack = publisher.stack()
    stack.create(of("1.0.0", Channel="stable"))
    stack.status = "UPDATE_ROLLBACK_IN_PROGRESS"

    response = stack._request(
        "Update", of("1.0.0", Channel="stable"), "users@1.0.0", of("1.0.0", Channel="beta")
    )

    assert response["Status"] == "SUCCESS"
    assert publisher.registry.services["users"].channels == {"stable": "1.0.0"}
    assert publisher.status("1.0.0") == "active"


def test_same_version_is_published_again_after_a_roll_back(publisher: PublisherInMemory) -> None:
    """The next attempt has another function version for the same version number."""
    stack = publisher.stack()
    stack.create(of("1.0.0"))
    stack.update(of("2.0.0"), then_fails=True)

    response = stack.update(of("2.0.0", Arn="arn:aws:lambda:eu-west-1:123456789012:function:u:9"))

    assert response["Status"] == "SUCCESS"
    assert publisher.status("2.0.0") == "active"
    assert publisher.latest() == "2.0.0"


def test_new_stack_of_that_name_replaces_the_yank_of_the_old_one(
    publisher: PublisherInMemory,
) -> None:
    """A stack whose creation failed is deleted and created again."""
    first = publisher.stack()
    first.create(of("1.0.0"), then_fails=True)
    assert publisher.status("1.0.0") == ROLLED_BACK

    response = publisher.stack().create(of("1.0.0"))

    assert response["Status"] == "SUCCESS"
    assert publisher.status("1.0.0") == "active"


def test_yank_of_another_person_is_not_replaced(publisher: PublisherInMemory) -> None:
    """The person had a reason that the deployment does not know."""
    stack = publisher.stack()
    stack.create(of("1.0.0"))
    stack.update(of("2.0.0"), then_fails=True)
    publisher.registry.services["users"].versions["2.0.0"]["reason"] = "loses orders"

    response = stack.update(of("2.0.0"))

    assert response["Status"] == "SUCCESS"
    assert "stays yanked (loses orders)" in response["Reason"]
    assert publisher.status("2.0.0") == "yanked loses orders"


@pytest.mark.parametrize(
    ("on_delete", "status", "channels"),
    [
        ("Retain", "active", {"beta": "1.0.0", "stable": "1.0.0"}),
        ("Yank", "yanked deleted with the stack users-app", {}),
        ("Delete", "absent", {}),
    ],
)
def test_deletion_of_a_stack_follows_on_delete(
    publisher: PublisherInMemory, on_delete: str, status: str, channels: dict[str, str]
) -> None:
    """The channels that the resource had set would otherwise keep the version."""
    stack = publisher.stack()
    stack.create(of("1.0.0", Channel="beta", OnDelete=on_delete))
    stack.update(of("1.0.0", Channel="stable", OnDelete=on_delete))

    response = stack.delete()

    assert response["Status"] == "SUCCESS"
    assert publisher.status("1.0.0") == status
    assert publisher.registry.services["users"].channels == channels
    assert publisher.ledger.kept == {}


def test_channel_of_others_refuses_the_deletion_with_its_name(
    publisher: PublisherInMemory,
) -> None:
    """A person has to decide what the channel should be."""
    stack = publisher.stack()
    stack.create(of("1.0.0", OnDelete="Yank"))
    publisher.registry.services["users"].channels["theirs"] = "1.0.0"

    response = stack.delete()

    assert response["Status"] == "FAILED"
    assert "theirs" in response["Reason"]
    assert publisher.status("1.0.0") == "active"


@pytest.mark.parametrize("on_delete", ["Retain", "Yank", "Delete"])
def test_unreadable_stack_fails_the_request_and_changes_nothing(
    publisher: PublisherInMemory, on_delete: str
) -> None:
    """A clean-up and a deletion look the same; a guess could remove versions that are in use."""
    stack = publisher.stack()
    stack.create(of("1.0.0", OnDelete=on_delete))
    publisher.states.is_readable = False

    response = stack.delete()

    assert response["Status"] == "SUCCESS"
    assert "access denied; nothing was changed in the registry" in response["Reason"]
    assert publisher.status("1.0.0") == "active"


def test_unreadable_stack_is_still_rolled_back_by_its_delete(publisher: PublisherInMemory) -> None:
    """Only the last request of the roll-back needs the state."""
    stack = publisher.stack()
    stack.create(of("1.0.0"))
    send = publisher.send

    def unreadable_while_updating(event: dict[str, Any]) -> dict[str, Any]:
        publisher.states.is_readable = event["RequestType"] != "Update"
        return send(event)

    stack._send = unreadable_while_updating
    stack.update(of("2.0.0"), then_fails=True)

    assert publisher.status("2.0.0") == ROLLED_BACK
    assert publisher.latest() == "1.0.0"


def test_wrong_properties_fail_with_every_fault_and_can_be_deleted(
    publisher: PublisherInMemory,
) -> None:
    """A resource that was never created must not block its stack's roll-back."""
    stack = publisher.stack()

    response = stack.create({"Name": "users", "Version": "1", "Chanel": "beta"})

    assert response["Status"] == "FAILED"
    assert response["PhysicalResourceId"] == "nothing-published"
    for message in ("Chanel", "Arn is missing", "'1' is not a version"):
        assert message in response["Reason"]
    assert stack.status == "ROLLBACK_COMPLETE"
    assert publisher.registry.services == {}


def test_name_that_is_not_allowed_is_refused(publisher: PublisherInMemory) -> None:
    """The pattern limits the services that a template can publish."""
    publisher.publications = publisher.publications_for("billing-*")

    response = publisher.stack().create(of("1.0.0"))

    assert response["Status"] == "FAILED"
    assert "PublisherServices" in response["Reason"]
    assert "'billing-*'" in response["Reason"]
    assert publisher.registry.services == {}


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("write", ["publish", "delete"])
def test_creation_that_was_cut_short_is_repeated_and_undone(
    publisher: PublisherInMemory, write: str, moment: str
) -> None:
    """Lambda repeats the request; a version that its first attempt published counts as new."""
    publisher.stack("other").create(of("1.0.0"))
    publisher.stack().create(of("2.0.0", Channel="beta"), then_fails=True)
    crashes = _crash_once(publisher, write, moment)
    stack = publisher.stack()

    def twice(event: dict[str, Any]) -> dict[str, Any]:
        try:
            return publisher.send(event)
        except KilledError:
            return publisher.send(event)

    stack._send = twice
    stack.create(of("2.0.0", Channel="beta"), then_fails=True)

    assert crashes == [write]
    assert publisher.status("2.0.0") == ROLLED_BACK
    assert publisher.latest() == "1.0.0"
    assert publisher.registry.services["users"].channels == {}


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("write", ["delete_channel", "yank"])
def test_roll_back_that_was_cut_short_is_repeated(
    publisher: PublisherInMemory, write: str, moment: str
) -> None:
    stack = publisher.stack()
    stack.create(of("1.0.0"))
    crashes = _crash_once(publisher, write, moment)

    def twice(event: dict[str, Any]) -> dict[str, Any]:
        try:
            return publisher.send(event)
        except KilledError:
            return publisher.send(event)

    stack._send = twice
    stack.update(of("2.0.0", Channel="beta"), then_fails=True)

    assert crashes == [write]
    assert publisher.status("2.0.0") == ROLLED_BACK
    assert publisher.registry.services["users"].channels == {}


def _crash_once(publisher: PublisherInMemory, write: str, moment: str) -> list[str]:
    crashes: list[str] = []

    def crash(name: str) -> None:
        if name == write and not crashes:
            crashes.append(name)
            raise KilledError

    setattr(publisher.registry, f"{moment}_write", crash)
    return crashes


@pytest.mark.parametrize(
    "error",
    [
        refusal(412, "the service has changed"),
        refusal(504, "the function did not respond"),
        RegistryUnreachableError("http://registry", "reset", may_have_run=True),
    ],
)
def test_unclear_outcome_is_repeated(publisher: PublisherInMemory, error: Exception) -> None:
    """Every step reads the state first, so it can be repeated."""
    seen: list[str] = []

    def lose(name: str) -> None:
        if not seen:
            seen.append(name)
            raise error

    publisher.registry.after_write = lose
    stack = publisher.stack()
    stack.create(of("1.0.0", Channel="beta"))
    stack.update(of("2.0.0", Channel="beta"), then_fails=True)

    assert publisher.registry.services["users"].channels == {"beta": "1.0.0"}
    assert publisher.status("2.0.0") == ROLLED_BACK


def test_channel_set_in_a_race_is_set_back_to_the_last_version(
    publisher: PublisherInMemory,
) -> None:
    """Another pipeline set the channel between our read and our write."""
    stack = publisher.stack()
    stack.create(of("1.0.0"))
    publisher.stack("other").create(of("1.1.0"))
    raced: list[str] = []

    def race(name: str) -> None:
        if name == "publish" and not raced:
            raced.append(name)
            service = publisher.registry.services["users"]
            service.revision += 1
            service.channels["beta"] = "1.1.0"

    publisher.registry.before_write = race
    stack.update(of("2.0.0", Channel="beta"), then_fails=True)

    assert publisher.registry.services["users"].channels == {"beta": "1.1.0"}


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (refusal(429, "too many requests"), "throttled or unreachable"),
        (refusal(403, "not authorized"), "the publisher may not call PUT /services/x"),
        (RegistryUnreachableError("http://r", "refused", may_have_run=False), "did not respond"),
        (OutOfTimeError(), "deploy again in a moment"),
    ],
)
def test_failure_has_a_reason_to_act_on(
    publisher: PublisherInMemory, error: Exception, message: str
) -> None:
    def fail(_name: str) -> None:
        raise error

    publisher.registry.before_write = fail
    response = publisher.stack().create(of("1.0.0"))

    assert response["Status"] == "FAILED"
    assert message in response["Reason"]


def _terraform(kind: RequestKind, **properties: Any) -> TerraformRequest:
    return TerraformRequest(kind=kind, properties=properties)


def test_terraform_publishes_updates_and_destroys(publisher: PublisherInMemory) -> None:
    """The provider's documented actions, with the same properties."""
    publications = publisher.publications
    first = of("1.0.0", Channel="beta", OnDelete="Delete")
    second = of("2.0.0", Channel="beta", OnDelete="Delete")

    created = handle_terraform(_terraform(RequestKind.CREATE, **first), "r-1", publications)
    updated = handle_terraform(_terraform(RequestKind.UPDATE, **second), "r-2", publications)

    assert created["PhysicalResourceId"] == "users@1.0.0"
    assert (updated["Version"], updated["Revision"]) == ("2.0.0", "2")
    assert publisher.registry.services["users"].channels == {"beta": "2.0.0"}
    handle_terraform(_terraform(RequestKind.DELETE, **second), "r-3", publications)
    assert publisher.status("1.0.0") == "active"
    assert publisher.status("2.0.0") == "absent"
    assert publisher.registry.services["users"].channels == {}
    assert publisher.ledger.kept == {}


@pytest.mark.parametrize(
    ("properties", "error"),
    [
        (of("1"), PropertiesError),
        (of("1.0.0", Arn="arn:aws:sqs:eu-west-1:1:other"), RefusalError),
        (of("1.0.0", Name="billing"), NameNotAllowedError),
    ],
)
def test_terraforms_failure_is_an_error(
    publisher: PublisherInMemory, properties: dict[str, Any], error: type[Exception]
) -> None:
    """Terraform stops at a function error."""
    publications = publisher.publications_for("users")
    handle_terraform(_terraform(RequestKind.CREATE, **of("1.0.0")), "r-1", publications)

    with pytest.raises(error):
        handle_terraform(_terraform(RequestKind.CREATE, **properties), "r-2", publications)
