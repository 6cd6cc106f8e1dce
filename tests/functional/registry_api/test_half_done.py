"""Changes that a restore brought back in part: reads return them, one write completes them."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from registry_model import index_layout
from registry_model.version import Version
from registry_tables import versions_layout as layout
from testing import tables
from tests.functional.registry_api.gateway import Call, Publish, arn_of, publication

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ONE, TWO = Version.parse("1.0.0"), Version.parse("2.0.0")
LISTS = ("/services", "/services/users", "/services/users/versions", "/services/users/history")


def item_at(dynamodb: "DynamoDBClient", key: dict[str, Any]) -> dict[str, Any]:
    """Return an item, not parsed."""
    item = dynamodb.get_item(TableName=tables.VERSIONS, Key=key)["Item"]
    return dict(item)


def put(dynamodb: "DynamoDBClient", item: dict[str, Any]) -> None:
    """Write an item."""
    dynamodb.put_item(TableName=tables.VERSIONS, Item=item)


def remove(dynamodb: "DynamoDBClient", key: dict[str, Any]) -> None:
    """Delete an item."""
    dynamodb.delete_item(TableName=tables.VERSIONS, Key=key)


@pytest.fixture
def ready(call: Call, publish: Publish) -> Call:
    """Return the API of two services."""
    publish("1.0.0")
    assert call("POST", "/services", publication(name="billing")).status == 201
    return call


@pytest.fixture
def half_published(ready: Call, publish: Publish, dynamodb: "DynamoDBClient") -> Call:
    """Return the API with a version 2.0.0 that its service and its history do not have."""
    service = item_at(dynamodb, layout.service_key("users"))
    publish("2.0.0")
    put(dynamodb, service)
    remove(dynamodb, layout.history_key("users", 2))
    return ready


def latest(call: Call) -> str | None:
    """Return the latest version of `users`, which must be the same in the list of services."""
    shown = call("GET", "/services/users")
    listed = call("GET", "/services")
    assert (shown.status, listed.status) == (200, 200)
    assert {each["name"] for each in listed.document["services"]} == {"billing", "users"}
    found = [each["latest"] for each in listed.document["services"] if each["name"] == "users"]
    assert found == [shown.document["latest"]]
    return None if found[0] is None else str(found[0]["version"])


def test_half_of_a_publish_is_shown_and_completed_by_the_same_publish(half_published: Call) -> None:
    """A pipeline that publishes again gets 200, and service, version and history agree."""
    assert latest(half_published) == "1.0.0"
    versions = half_published("GET", "/services/users/versions").document["versions"]
    assert [each["version"] for each in versions] == ["2.0.0", "1.0.0"]

    again = half_published("POST", "/services", publication(version="2.0.0", arn=arn_of("2.0.0")))

    assert again.status == 200
    assert latest(half_published) == "2.0.0"
    service = half_published("GET", "/services/users").document
    assert service["revision"] == again.document["revision"]
    events = half_published("GET", "/services/users/history").document["events"]
    assert (events[0]["action"], events[0]["version"]) == ("publish", "2.0.0")
    assert events[0]["revision"] == service["revision"]


@pytest.mark.parametrize("status", ["active", "yanked"])
def test_half_of_a_publish_is_completed_by_a_change_of_its_status(
    half_published: Call, status: str
) -> None:
    """Even a request that does not change the status completes it."""
    response = half_published("PATCH", "/services/users/versions/2.0.0", {"status": status})

    assert response.status == 200
    assert latest(half_published) == ("2.0.0" if status == "active" else "1.0.0")
    assert (
        half_published("GET", "/services/users").document["revision"]
        == (response.document["revision"])
    )


def test_version_without_its_service_is_completed_by_the_same_publish(
    ready: Call, dynamodb: "DynamoDBClient"
) -> None:
    """Another ARN is a conflict, as always."""
    remove(dynamodb, layout.service_key("users"))

    other = ready("POST", "/services", publication(version="1.0.0"))
    again = ready("POST", "/services", publication(version="1.0.0", arn=arn_of("1.0.0")))

    assert (other.status, again.status) == (409, 200)
    assert latest(ready) == "1.0.0"


def test_missing_latest_version_can_be_deleted(
    ready: Call, publish: Publish, dynamodb: "DynamoDBClient"
) -> None:
    """Only the version's item was deleted: the service still has it as its highest."""
    publish("2.0.0")
    remove(dynamodb, layout.version_key("users", TWO))

    assert latest(ready) is None
    assert ready("DELETE", "/services/users/versions/2.0.0").status == 204
    assert latest(ready) == "1.0.0"


def test_channel_of_a_missing_version_is_repaired_by_setting_it(
    ready: Call, publish: Publish, dynamodb: "DynamoDBClient"
) -> None:
    """`latest` may be pinned to a version that does not exist."""
    publish("2.0.0", channel="latest")
    remove(dynamodb, layout.version_key("users", TWO))

    assert latest(ready) is None
    assert ready("PUT", "/services/users/channels/latest", {"version": "1.0.0"}).status == 200
    assert latest(ready) == "1.0.0"


@pytest.mark.parametrize(
    ("key", "attribute", "value"),
    [
        (layout.service_key("users"), layout.REVISION, {"S": "x"}),
        (layout.service_key("users"), layout.CHANNELS, {"S": "beta"}),
        (layout.version_key("users", ONE), layout.ARN, {"S": "users"}),
        (layout.version_key("users", ONE), layout.STATUS, {"S": "gone"}),
        (layout.history_key("users", 1), layout.ACTION, {"S": "explode"}),
    ],
    ids=lambda each: str(each)[:40],
)
def test_damaged_item_makes_no_list_of_others_fail(
    ready: Call,
    dynamodb: "DynamoDBClient",
    key: dict[str, Any],
    attribute: str,
    value: dict[str, Any],
) -> None:
    """A request for the item itself is not a 500 either."""
    put(dynamodb, item_at(dynamodb, key) | {attribute: value})

    names = [each["name"] for each in ready("GET", "/services").document["services"]]
    assert "billing" in names
    for path in (*LISTS, "/services/users/versions/1.0.0"):
        response = ready("GET", path)
        assert response.status in {200, 503}, path
        if response.status == 503:
            assert response.headers["Retry-After"]
            assert "damaged" in response.document["detail"]


def test_page_of_damaged_entries_does_not_end_the_list(
    ready: Call, publish: Publish, dynamodb: "DynamoDBClient"
) -> None:
    """Only a cursor of null ends the list."""
    publish("2.0.0", "3.0.0")
    for version in (TWO, Version.parse("3.0.0")):
        key = layout.version_key("users", version)
        put(dynamodb, item_at(dynamodb, key) | {layout.ARN: {"S": "?"}})

    page = ready("GET", "/services/users/versions", query={"limit": "1"}).document

    assert [each["version"] for each in page["versions"]] == ["1.0.0"]


@pytest.mark.parametrize("value", [{"N": "1"}, {"S": "v1"}])
def test_damaged_index_item_is_named_with_the_way_out(
    ready: Call, dynamodb: "DynamoDBClient", indexed: Callable[[], None], value: dict[str, Any]
) -> None:
    """A rebuild writes it again. Until then no request is a 500, and other services resolve."""
    indexed()
    key = index_layout.item_key("users", "latest")
    item = dynamodb.get_item(TableName=tables.INDEX, Key=key)["Item"]
    dynamodb.put_item(TableName=tables.INDEX, Item=item | {index_layout.VERSION: value})

    for response in (
        ready("GET", "/services/users/resolve"),
        ready("GET", "/services/users/resolve", query={"selector": ">=1.0"}),
        ready("POST", "/resolve", {"needed": "users,billing"}),
        ready("PUT", "/consumers/checkout", {"needed": "billing,users>=1"}),
    ):
        assert response.status == 503, response
        assert response.headers["Retry-After"]
        assert "the item 'latest' of 'users' is damaged" in response.document["detail"]
        assert "service-registry rebuild" in response.document["detail"]
    assert ready("GET", "/services/billing/resolve").status == 200
