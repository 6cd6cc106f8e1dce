"""`POST /services`: repeatable, atomic, and never changes a version."""

from typing import TYPE_CHECKING, Any

import pytest

from registry_model.version import Version
from registry_tables import versions_layout as layout
from testing import tables
from tests.functional.registry_api.gateway import (
    ARN,
    CALLER,
    OTHER_ARN,
    PROBLEM,
    Call,
    Publish,
    publication,
)
from tests.unit.registry_api import valid

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


def test_response_to_a_publish_has_record_and_location(call: Call) -> None:
    """A pipeline can log both."""
    response = call("POST", "/services", publication(metadata={"commit": "abc"}))

    assert response.status == 201
    assert response.headers["Location"] == "services/users/versions/1.4.2"
    assert response.headers["ETag"] == '"1"'
    assert response.headers["Content-Type"] == "application/json"
    published_at = response.document.pop("published_at")
    assert published_at.endswith("Z")
    assert response.document == {
        "name": "users",
        "version": "1.4.2",
        "arn": ARN,
        "status": "active",
        "metadata": {"commit": "abc"},
        "published_by": CALLER,
        "revision": 1,
    }


def test_publishing_the_same_again_changes_nothing(call: Call) -> None:
    """A pipeline may run twice; absent metadata and empty metadata are the same."""
    first = call("POST", "/services", publication())

    second = call("POST", "/services", publication(metadata={}), by="arn:aws:iam::1:user/other")

    assert (first.status, second.status) == (201, 200)
    assert second.document == first.document
    assert "metadata" not in first.document
    assert call("GET", "/services/users").document["revision"] == 1
    assert len(call("GET", "/services/users/history").document["events"]) == 1


@pytest.mark.parametrize("other", [{"arn": OTHER_ARN}, {"metadata": {"a": "b"}}])
@pytest.mark.parametrize("channel", [{}, {"channel": "beta"}])
def test_published_version_never_changes(
    call: Call, other: dict[str, Any], channel: dict[str, Any]
) -> None:
    """Consumers that pinned it would get another ARN; the refusal has the published record."""
    first = call("POST", "/services", publication())

    response = call("POST", "/services", publication(**other, **channel))

    assert response.status == 409
    assert response.headers["Content-Type"] == PROBLEM
    assert response.document["current"] == first.document
    assert call("GET", "/services/users/versions/1.4.2").document == first.document
    service = call("GET", "/services/users").document
    assert (service["revision"], service["channels"]) == (1, {})


def test_current_of_a_conflict_is_the_whole_record(call: Call) -> None:
    """The record's reason and metadata show an operator why the publish was refused."""
    call("POST", "/services", publication(metadata={"commit": "abc"}))
    path = "/services/users/versions/1.4.2"
    published = call("PATCH", path, {"status": "yanked", "reason": "broken"}).document

    response = call("POST", "/services", publication())

    assert response.status == 409
    assert response.document["current"] == published
    assert published["reason"] == "broken"
    assert published["metadata"] == {"commit": "abc"}


def test_yanked_version_stays_so_when_it_is_published_again(call: Call) -> None:
    """A repeated pipeline must not undo an operator's yank."""
    call("POST", "/services", publication())
    yanked = call("PATCH", "/services/users/versions/1.4.2", {"status": "yanked", "reason": "r"})

    again = call("POST", "/services", publication())

    assert (again.status, again.document) == (200, yanked.document)
    assert call("GET", "/services/users").document["revision"] == 2


def test_backport_never_moves_latest(call: Call, publish: Publish) -> None:
    """The last publish need not be the highest version."""
    publish("1.4.2", "2.0.0", "1.10.0", "1.9.0", "1.4.9", "3.0.0-rc.1")

    response = call("GET", "/services/users")

    assert response.status == 200
    assert response.document["latest"]["version"] == "2.0.0"
    assert response.document["revision"] == 6
    assert response.document["channels"] == {}
    assert response.document["created_at"] <= response.document["updated_at"]


def test_service_with_only_pre_releases_has_no_latest(call: Call, publish: Publish) -> None:
    """A pre-release never answers `latest`."""
    publish("1.0.0-rc.1")

    assert call("GET", "/services/users").document["latest"] is None


def test_channel_is_set_in_the_publishs_own_change(call: Call) -> None:
    """Version and channel have one revision. A repeated publish sets a new channel in one, too."""
    call("POST", "/services", publication(channel="beta"))
    assert call("GET", "/services/users").document["channels"] == {"beta": "1.4.2"}
    assert call("GET", "/services/users").document["revision"] == 1

    assert call("POST", "/services", publication(channel="stable")).status == 200
    assert call("POST", "/services", publication(channel="stable")).status == 200

    service = call("GET", "/services/users").document
    assert service["channels"] == {"beta": "1.4.2", "stable": "1.4.2"}
    assert service["revision"] == 2
    events = call("GET", "/services/users/history").document["events"]
    assert [(event["action"], event["channel"]) for event in events] == [
        ("set-channel", "stable"),
        ("publish", "beta"),
    ]


def test_publish_with_a_channel_that_may_not_point_at_it_publishes_nothing(call: Call) -> None:
    """`latest` is for stable versions only."""
    response = call("POST", "/services", publication(version="2.0.0-rc.1", channel="latest"))

    assert response.status == 409
    assert call("GET", "/services/users").status == 404


def test_repetition_sets_no_channel_to_a_yanked_version(call: Call) -> None:
    """The pipeline learns that the version was yanked."""
    call("POST", "/services", publication())
    path = "/services/users/versions/1.4.2"
    yanked = call("PATCH", path, {"status": "yanked"}).document

    response = call("POST", "/services", publication(channel="beta"))

    assert response.status == 409
    assert "yanked" in response.document["detail"]
    assert response.document["current"] == yanked
    assert call("GET", "/services/users").document["channels"] == {}


def test_publish_with_one_channel_too_many_publishes_nothing(
    call: Call, dynamodb: "DynamoDBClient"
) -> None:
    """A service has at most a hundred; those that exist still move with a publish."""
    channels = {f"c{number}": Version.parse("1.0.0") for number in range(100)}
    dynamodb.put_item(
        TableName=tables.VERSIONS, Item=layout.service_to_item(valid.service(channels=channels))
    )

    refused = call("POST", "/services", publication(version="1.1.0", channel="one-more"))
    second_publish = call("POST", "/services", publication(version="1.2.0", channel="c7"))

    assert refused.status == 409
    assert "100" in refused.document["detail"]
    assert call("GET", "/services/users/versions/1.1.0").status == 404
    assert second_publish.status == 201
    events = call("GET", "/services/users/history").document["events"]
    assert [(event["revision"], event["channel"]) for event in events] == [(2, "c7")]


def test_publish_into_latest_pins_it(call: Call) -> None:
    """Otherwise the next publish would undo a roll-back."""
    call("POST", "/services", publication(version="1.0.0", channel="latest"))

    call("POST", "/services", publication(version="2.0.0"))

    service = call("GET", "/services/users").document
    assert service["latest"]["version"] == "1.0.0"
    assert service["channels"] == {"latest": "1.0.0"}


@pytest.mark.parametrize(
    "arn",
    [
        ARN,
        "arn:aws-cn:lambda:cn-north-1:123456789012:function:users",
        "arn:aws-us-gov:lambda:us-gov-west-1:123456789012:function:users:live",
        "arn:aws-iso-b:lambda:us-isob-east-1:123456789012:function:users",
        "arn:aws-eusc:lambda:eusc-de-east-1:123456789012:function:users",
        "arn:aws:s3:::bucket/key",
        "arn:aws:states:eu-west-1:123456789012:stateMachine:order",
        "arn:aws:sqs:eu-west-1:123456789012:queue",
        "arn:aws:lambda:eu-west-1:123456789012:function:" + "f" * (2_048 - 47),
    ],
    ids=lambda arn: arn[:30],
)
def test_every_well_formed_arn_is_accepted(call: Call, arn: str) -> None:
    """ARNs of every partition and of any service are accepted."""
    response = call("POST", "/services", publication(arn=arn))

    assert (response.status, response.document["arn"]) == (201, arn)


def test_largest_publication_is_stored_unchanged(call: Call) -> None:
    """Fifty entries with every kind of character, 2,048 bytes of names and values in UTF-8."""
    metadata = {f"\u00fc {number:02} \U0001f389": '\u0001"\\\u20ac' * 4 for number in range(50)}
    spare = 2_048 - sum(len((name + text).encode()) for name, text in metadata.items())
    metadata["\u00fc 00 \U0001f389"] += "x" * spare
    wanted = publication(
        name="n" * 64, version="1.0.0-" + "r" * 58, metadata=metadata, channel="c" * 64
    )

    response = call("POST", "/services", wanted)

    assert response.status == 201
    read = call("GET", "/services/" + "n" * 64 + "/versions/1.0.0-" + "r" * 58).document
    assert (read["metadata"], read["name"], read["version"]) == (
        metadata,
        wanted["name"],
        wanted["version"],
    )


def test_names_differ_by_case(call: Call) -> None:
    """They are two services."""
    call("POST", "/services", publication(name="Users"))

    assert call("GET", "/services/users").status == 404
    assert call("POST", "/services", publication(name="users", arn=OTHER_ARN)).status == 201
    assert call("GET", "/services/Users/versions/1.4.2").document["arn"] == ARN


@pytest.mark.parametrize("identity", [{}, {"identity": {"userArn": None}}, {"identity": None}])
def test_caller_without_an_identity_is_unknown(call: Call, identity: dict[str, Any]) -> None:
    """The history says so."""
    context = {"requestContext": {"requestId": "r", **identity}}

    response = call("POST", "/services", publication(), members=context)

    assert response.document["published_by"] == "unknown"
    events = call("GET", "/services/users/history").document["events"]
    assert [event["by"] for event in events] == ["unknown"]


def test_every_change_leaves_its_history_entry(call: Call, dynamodb: "DynamoDBClient") -> None:
    """Version, revision and history change together, so the stream sees all or nothing."""
    call("POST", "/services", publication(channel="beta"))

    entries = {
        item["entry"]["S"]: item for item in dynamodb.scan(TableName=tables.VERSIONS)["Items"]
    }

    assert sorted(entries) == ["#service", "e#a1", "v#a1.a4.a2~"]
    event = entries["e#a1"]
    assert event["action"]["S"] == "publish"
    assert event["version"]["S"] == "1.4.2"
    assert event["channel"]["S"] == "beta"
    assert event["by"]["S"] == CALLER
