"""The changes by an operator: yank, activate, roll back, pin, unpin, delete."""

from typing import TYPE_CHECKING

import pytest

from registry_model.version import Version
from registry_tables import versions_layout as layout
from testing import tables
from tests.functional.registry_api.gateway import (
    ARN,
    OTHER_ARN,
    PROBLEM,
    Call,
    GatewayResponse,
    Publish,
    publication,
)
from tests.unit.registry_api import valid

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ONE, TWO = "/services/users/versions/1.0.0", "/services/users/versions/2.0.0"
LATEST, BETA = "/services/users/channels/latest", "/services/users/channels/beta"


@pytest.fixture
def ready(call: Call, publish: Publish) -> Call:
    """Return the API of a service with three versions, the highest one a pre-release."""
    publish("1.0.0", "2.0.0", "3.0.0-rc.1")
    return call


def service(call: Call) -> tuple[str | None, dict[str, str], int]:
    """Return the service's latest, channels and revision."""
    document = call("GET", "/services/users").document
    return (
        document["latest"] and document["latest"]["version"],
        document["channels"],
        document["revision"],
    )


def conflict(response: GatewayResponse) -> str:
    """Return the detail of a 409."""
    assert response.status == 409
    assert response.headers["Content-Type"] == PROBLEM
    assert (response.document["status"], response.document["title"]) == (409, "Conflict")
    detail: str = response.document["detail"]
    return detail


def test_response_to_a_yank_is_the_record(ready: Call) -> None:
    """The response is the record that all readers get from now on."""
    before = ready("GET", TWO).document

    response = ready("PATCH", TWO, {"status": "yanked", "reason": "loses orders"})

    assert response.status == 200
    assert response.headers["Content-Type"] == "application/json"
    assert response.document == before | {
        "status": "yanked",
        "reason": "loses orders",
        "revision": 4,
    }
    assert ready("GET", TWO).document == response.document
    assert service(ready) == ("1.0.0", {}, 4)


def test_reason_is_kept_changed_and_cleared(ready: Call) -> None:
    """Another reason is a change, none keeps the present one, and an activation removes it."""
    steps: list[tuple[dict[str, str], str | None, int]] = [
        ({"status": "yanked"}, None, 4),
        ({"status": "yanked"}, None, 4),
        ({"status": "yanked", "reason": "a"}, "a", 5),
        ({"status": "yanked"}, "a", 5),
        ({"status": "yanked", "reason": "a"}, "a", 5),
        ({"status": "yanked", "reason": "b"}, "b", 6),
        ({"status": "yanked", "reason": ""}, "", 7),
        ({"status": "active"}, None, 8),
        ({"status": "active"}, None, 8),
        ({"status": "yanked"}, None, 9),
    ]

    for document, reason, revision in steps:
        response = ready("PATCH", TWO, document)
        assert response.status == 200
        assert response.document["status"] == document["status"]
        assert (response.document.get("reason"), response.document["revision"]) == (
            reason,
            revision,
        )
        assert service(ready)[2] == revision


def test_longest_reason_is_stored_unchanged(ready: Call) -> None:
    """The longest reason has 1,024 characters of any kind."""
    reason = '"\\\u20ac\U0001f389' * 256

    response = ready("PATCH", TWO, {"status": "yanked", "reason": reason})

    assert response.document["reason"] == reason
    events = ready("GET", "/services/users/history").document["events"]
    assert events[0]["reason"] == reason


MALFORMED_STATUSES: list[tuple[object, list[str]]] = [
    ({"status": "yanked", "reason": "r" * 1_025}, ["/reason"]),
    ({"status": "yanked", "reason": None}, ["/reason"]),
    ({"status": "yanked", "reason": 1}, ["/reason"]),
    ({"status": "active", "reason": "r"}, ["/reason"]),
    ({"status": "active", "reason": ""}, ["/reason"]),
    ({"status": "active", "reason": None}, ["/reason"]),
    ({"reason": "r", "status": "active"}, ["/reason"]),
    ({"status": "deleted"}, ["/status"]),
    ({"status": "YANKED"}, ["/status"]),
    ({"status": None}, ["/status"]),
    ({"status": ["yanked"]}, ["/status"]),
    ({"reason": "r"}, ["/status"]),
    ({}, ["/status"]),
    ({"status": "yanked", "resaon": "r"}, ["/resaon"]),
    ({"status": "yanked", "arn": ARN}, ["/arn"]),
    ({"status": "x", "reason": 1, "more": 1}, ["/more", "/reason", "/status"]),
    ([], [""]),
    ("yanked", [""]),
]


def test_malformed_status_is_refused_with_every_fault(ready: Call) -> None:
    """Such a request changes nothing."""
    for document, pointers in MALFORMED_STATUSES:
        response = ready("PATCH", TWO, document)

        assert (response.status, document) == (422, document)
        assert sorted(response.pointers()) == pointers
    assert service(ready) == ("2.0.0", {}, 3)


@pytest.mark.parametrize("take", [("PATCH", TWO, {"status": "yanked"}), ("DELETE", TWO)])
def test_version_that_a_channel_points_at_is_not_removed(
    ready: Call, take: tuple[object, ...]
) -> None:
    """The refusal names the channel that has to be moved first."""
    ready("PUT", BETA, {"version": "2.0.0"})
    assert "'beta'" in conflict(ready(*take))
    ready("PUT", LATEST, {"version": "2.0.0"})
    named = conflict(ready(*take))
    assert "'beta'" in named
    assert "'latest'" in named
    assert service(ready) == ("2.0.0", {"beta": "2.0.0", "latest": "2.0.0"}, 5)

    ready("PUT", BETA, {"version": "1.0.0"})
    ready("DELETE", LATEST)
    assert ready(*take).status in {200, 204}
    assert service(ready)[0] == "1.0.0"


def test_response_to_a_delete_is_empty(ready: Call) -> None:
    """The status is 204, and only the history still has the version."""
    response = ready("DELETE", TWO)

    assert (response.status, response.document) == (204, None)
    assert ready("GET", TWO).status == 404
    assert ready("DELETE", TWO).status == 404
    assert ready("PATCH", TWO, {"status": "active"}).status == 404
    records = ready("GET", "/services/users/versions").document["versions"]
    assert [record["version"] for record in records] == ["3.0.0-rc.1", "1.0.0"]
    assert service(ready) == ("1.0.0", {}, 4)


def test_wrong_publish_is_deleted_and_made_again(ready: Call) -> None:
    """The new version has another ARN; the history shows both."""
    assert conflict(ready("POST", "/services", publication(version="2.0.0", arn=OTHER_ARN)))
    ready("DELETE", TWO)

    response = ready("POST", "/services", publication(version="2.0.0", arn=OTHER_ARN))

    assert (response.status, response.document["arn"], response.document["revision"]) == (
        201,
        OTHER_ARN,
        5,
    )
    events = ready("GET", "/services/users/history").document["events"]
    assert [event["action"] for event in events if event["version"] == "2.0.0"] == [
        "publish",
        "delete",
        "publish",
    ]


def test_yanked_version_may_be_deleted(ready: Call) -> None:
    """A version that is published again is active, without a reason."""
    ready("PATCH", TWO, {"status": "yanked", "reason": "broken"})
    assert ready("DELETE", TWO).status == 204

    response = ready("POST", "/services", publication(version="2.0.0"))

    assert (response.status, response.document["status"]) == (201, "active")
    assert "reason" not in response.document


def test_service_outlives_its_last_version(ready: Call) -> None:
    """Latest is null, revision and history continue; the list of services still has it."""
    for version in ("1.0.0", "2.0.0", "3.0.0-rc.1"):
        assert ready("DELETE", f"/services/users/versions/{version}").status == 204

    assert service(ready) == (None, {}, 6)
    entries = ready("GET", "/services").document["services"]
    assert entries == [{"name": "users", "latest": None, "revision": 6}]
    page = ready("GET", "/services/users/versions").document
    assert page == {"versions": [], "cursor": None}
    assert len(ready("GET", "/services/users/history").document["events"]) == 6
    assert conflict(ready("PUT", BETA, {"version": "1.0.0"}))

    assert ready("POST", "/services", publication()).document["revision"] == 7


def test_roll_back_is_one_call(ready: Call) -> None:
    """`latest` is pinned, `channels` shows it, and a newer publish does not undo it."""
    response = ready("PUT", LATEST, {"version": "1.0.0"})

    assert (response.status, response.document) == (200, {"channel": "latest", "version": "1.0.0"})
    assert service(ready) == ("1.0.0", {"latest": "1.0.0"}, 4)
    ready("POST", "/services", publication(version="4.0.0"))
    assert service(ready)[0] == "1.0.0"
    assert ready("PUT", LATEST, {"version": "1.0.0"}).status == 200
    assert service(ready)[2] == 5


def test_unpin_goes_back_to_the_highest(ready: Call) -> None:
    """The status is 204; a second request finds nothing pinned."""
    ready("PUT", LATEST, {"version": "1.0.0"})
    ready("POST", "/services", publication(version="1.5.0"))

    response = ready("DELETE", LATEST)

    assert (response.status, response.document) == (204, None)
    assert service(ready) == ("2.0.0", {}, 6)
    again = ready("DELETE", LATEST)
    assert again.status == 404
    assert "not pinned" in again.document["detail"]


def test_broken_release_is_rolled_back_and_yanked(ready: Call) -> None:
    """Each step is a separate change."""
    ready("PUT", LATEST, {"version": "1.0.0"})
    assert ready("PATCH", TWO, {"status": "yanked", "reason": "broken"}).status == 200
    ready("DELETE", LATEST)
    assert service(ready) == ("1.0.0", {}, 6)

    ready("POST", "/services", publication(version="2.0.1"))

    assert service(ready) == ("2.0.1", {}, 7)


@pytest.mark.parametrize(
    ("path", "version", "named"),
    [
        (BETA, "9.9.9", "no version 9.9.9"),
        (BETA, "1.0.0", "yanked"),
        (LATEST, "1.0.0", "yanked"),
        (LATEST, "9.9.9", "no version 9.9.9"),
        (LATEST, "3.0.0-rc.1", "pre-release"),
    ],
)
def test_channel_that_may_not_point_at_the_version_is_a_conflict(
    ready: Call, path: str, version: str, named: str
) -> None:
    """Unknown and yanked versions are refused, and pre-releases for `latest`."""
    ready("PATCH", ONE, {"status": "yanked"})

    response = ready("PUT", path, {"version": version})

    assert named in conflict(response)
    assert service(ready) == ("2.0.0", {}, 4)


def test_channel_is_set_moved_and_deleted(ready: Call) -> None:
    """A channel has any name, and may point at a pre-release."""
    steps: list[tuple[tuple[object, ...], int, dict[str, str], int]] = [
        (("PUT", BETA, {"version": "3.0.0-rc.1"}), 200, {"beta": "3.0.0-rc.1"}, 4),
        (("PUT", BETA, {"version": "3.0.0-rc.1"}), 200, {"beta": "3.0.0-rc.1"}, 4),
        (("PUT", BETA, {"version": "2.0.0"}), 200, {"beta": "2.0.0"}, 5),
        (("DELETE", BETA), 204, {}, 6),
        (("DELETE", BETA), 404, {}, 6),
    ]

    for request, status, channels, revision in steps:
        response = ready(*request)
        assert response.status == status
        if status == 200:
            assert response.document == {"channel": "beta", "version": channels["beta"]}
        assert service(ready) == ("2.0.0", channels, revision)


def test_channels_differ_by_case_and_end_at_64_characters(ready: Call) -> None:
    """Channels' names follow the rule of services' names; `Latest` is not `latest`."""
    for channel in ("Beta", "beta", "Latest", "c" * 64, "1.x", "0"):
        path = f"/services/users/channels/{channel}"
        assert ready("PUT", path, {"version": "3.0.0-rc.1"}).status == 200

    channels = service(ready)[1]
    assert sorted(channels) == ["0", "1.x", "Beta", "Latest", "beta", "c" * 64]


MALFORMED_CHANNELS: list[tuple[object, list[str]]] = [
    ({"version": "1.0"}, ["/version"]),
    ({"version": "v1.0.0"}, ["/version"]),
    ({"version": "latest"}, ["/version"]),
    ({"version": "1.x"}, ["/version"]),
    ({"version": None}, ["/version"]),
    ({"version": 1}, ["/version"]),
    ({}, ["/version"]),
    ({"verison": "1.0.0"}, ["/verison", "/version"]),
    ({"version": "1.0.0", "channel": "beta"}, ["/channel"]),
    (["1.0.0"], [""]),
]


def test_malformed_channel_is_refused_with_every_fault(ready: Call) -> None:
    """Such a request sets nothing."""
    for document, pointers in MALFORMED_CHANNELS:
        response = ready("PUT", BETA, document)

        assert (response.status, document) == (422, document)
        assert sorted(response.pointers()) == pointers
    assert service(ready) == ("2.0.0", {}, 3)


def test_service_has_a_hundred_channels_at_most(ready: Call, dynamodb: "DynamoDBClient") -> None:
    """Existing channels can be moved, and a deleted one makes room for another."""
    channels = {f"c{number}": Version.parse("1.0.0") for number in range(100)}
    record = valid.service(revision=3, channels=channels, highest=Version.parse("2.0.0"))
    dynamodb.put_item(TableName=tables.VERSIONS, Item=layout.service_to_item(record))

    assert "100" in conflict(ready("PUT", BETA, {"version": "1.0.0"}))
    assert ready("PUT", "/services/users/channels/c1", {"version": "2.0.0"}).status == 200
    assert ready("DELETE", "/services/users/channels/c2").status == 204
    assert ready("PUT", BETA, {"version": "1.0.0"}).status == 200

    _, seen, revision = service(ready)
    assert (len(seen), seen["c1"], seen["beta"], revision) == (100, "2.0.0", "1.0.0", 6)


CHANGES_OF_UNKNOWN_ITEMS: list[tuple[object, ...]] = [
    ("PATCH", "/services/users/versions/9.9.9", {"status": "yanked"}),
    ("PATCH", "/services/users/versions/v1", {"status": "yanked"}),
    ("PATCH", "/services/nobody/versions/1.0.0", {"status": "yanked"}),
    ("PATCH", "/services/a%20b/versions/1.0.0", {"status": "yanked"}),
    ("DELETE", "/services/users/versions/9.9.9"),
    ("DELETE", "/services/users/versions/1.x"),
    ("DELETE", "/services/nobody/versions/1.0.0"),
    ("PUT", "/services/nobody/channels/beta", {"version": "1.0.0"}),
    ("PUT", "/services/users/channels/-beta", {"version": "1.0.0"}),
    ("PUT", "/services/users/channels/" + "c" * 65, {"version": "1.0.0"}),
    ("PUT", "/services/us er/channels/beta", {"version": "1.0.0"}),
    ("DELETE", "/services/nobody/channels/beta"),
    ("DELETE", "/services/users/channels/beta"),
    ("DELETE", "/services/users/channels/@beta"),
    ("DELETE", "/services/users/channels/latest"),
]


def test_change_of_something_unknown_is_a_404(ready: Call) -> None:
    """Malformed names and versions in a path are unknown; no service is created."""
    for change in CHANGES_OF_UNKNOWN_ITEMS:
        response = ready(*change)

        assert (response.status, change) == (404, change)
        assert response.headers["Content-Type"] == PROBLEM
        assert response.document["status"] == 404
    assert service(ready) == ("2.0.0", {}, 3)
    assert len(ready("GET", "/services").document["services"]) == 1
