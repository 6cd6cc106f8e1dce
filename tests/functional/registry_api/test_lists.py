"""Reading: a service, a version, and the three lists, page by page."""

import json
from typing import TYPE_CHECKING, Any

import pytest

from registry_api.cursors import to_cursor
from registry_tables import versions_layout as layout
from testing import tables
from tests.functional.registry_api.gateway import (
    CALLER,
    PROBLEM,
    Call,
    GatewayResponse,
    Publish,
    publication,
)
from tests.unit.registry_api import valid

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from registry_tables.records import VersionRecord

LISTS = {
    "services": "/services",
    "versions": "/services/users/versions",
    "events": "/services/users/history",
}


@pytest.fixture
def filled(call: Call, publish: Publish) -> Call:
    """Return a registry in which every list has four entries."""
    publish("1.0.0", "1.1.0", "1.2.0", "2.0.0-rc.1")
    for name in ("users-a", "users-b", "other"):
        assert call("POST", "/services", publication(name=name)).status == 201
    return call


def pages(call: Call, path: str, **query: str) -> list[GatewayResponse]:
    """Read a list to its end."""
    seen = [call("GET", path, query=query)]
    while seen[-1].document["cursor"] is not None:
        query["cursor"] = seen[-1].document["cursor"]
        seen.append(call("GET", path, query=query))
    return seen


def test_service_is_read_with_all_its_members(call: Call, publish: Publish) -> None:
    publish("1.0.0", channel="stable")
    latest = publish("1.1.0", metadata={"commit": "abc"}).document
    publish("2.0.0-rc.1", channel="beta")

    response = call("GET", "/services/users")

    assert response.status == 200
    assert response.headers["Content-Type"] == "application/json"
    document = response.document
    times = document.pop("created_at"), document.pop("updated_at")
    assert all(len(time) == 20 and time.endswith("Z") for time in times)
    assert document == {
        "name": "users",
        "latest": latest,
        "channels": {"beta": "2.0.0-rc.1", "stable": "1.0.0"},
        "revision": 3,
    }


def test_unchanged_version_is_not_sent_twice(call: Call) -> None:
    """ETag and If-None-Match are accepted in every form that RFC 9110 allows."""
    call("POST", "/services", publication())
    path = "/services/users/versions/1.4.2"
    etag = call("GET", path).headers["ETag"]
    assert etag.startswith('"')
    assert etag.endswith('"')

    for name in ("If-None-Match", "if-none-match"):
        for value in (etag, f"W/{etag}", f'"other", W/{etag}', f'"other",{etag}', "*"):
            again = call("GET", path, headers={"Accept": "*/*", name: value})
            assert (again.status, again.document, again.headers["ETag"]) == (304, None, etag)
    for value in ('"other"', etag.strip('"'), "", '""', f'"{etag}"'):
        other = call("GET", path, headers={"If-None-Match": value})
        assert (other.status, other.headers["ETag"]) == (200, etag)


def test_etag_changes_only_with_the_record(call: Call, publish: Publish) -> None:
    """A client that polls a version learns of its yank, and not of other versions' changes."""
    path = "/services/users/versions/1.0.0"
    publish("1.0.0")
    etags = [call("GET", path).headers["ETag"]]
    publish("1.1.0")
    call("PUT", "/services/users/channels/beta", {"version": "1.1.0"})
    assert call("GET", path, headers={"If-None-Match": etags[0]}).status == 304

    call("PATCH", path, {"status": "yanked"})
    etags.append(call("GET", path).headers["ETag"])
    call("PATCH", path, {"status": "active"})
    etags.append(call("GET", path).headers["ETag"])
    call("DELETE", path)
    assert call("GET", path, headers={"If-None-Match": "*"}).status == 404
    call("POST", "/services", publication(version="1.0.0"))
    etags.append(call("GET", path).headers["ETag"])

    assert len(set(etags)) == len(etags)


def test_versions_come_highest_first_and_page_by_page(call: Call, publish: Publish) -> None:
    """The order is SemVer precedence, not text or time; yanked versions are listed too."""
    publish("1.9.0", "1.10.0", "2.0.0-rc.1", "2.0.0", "2.0.0-rc.2", "0.1.0", "2.0.0-1")
    call("PATCH", "/services/users/versions/1.10.0", {"status": "yanked"})

    seen = pages(call, LISTS["versions"], limit="3")

    records = [record for page in seen for record in page.document["versions"]]
    assert [record["version"] for record in records] == [
        *("2.0.0", "2.0.0-rc.2", "2.0.0-rc.1", "2.0.0-1", "1.10.0", "1.9.0", "0.1.0")
    ]
    assert all(len(page.document["versions"]) <= 3 for page in seen)
    assert records[4]["status"] == "yanked"
    path = "/services/users/versions/2.0.0-rc.2"
    assert records[1] == call("GET", path).document


def test_list_continues_after_the_version_of_its_cursor_was_deleted(
    call: Call, publish: Publish
) -> None:
    """A cursor is a position, not an entry."""
    publish("1.0.0", "2.0.0", "3.0.0")
    cursor = call("GET", LISTS["versions"], query={"limit": "2"}).document["cursor"]
    call("DELETE", "/services/users/versions/2.0.0")

    page = call("GET", LISTS["versions"], query={"cursor": cursor})

    assert [record["version"] for record in page.document["versions"]] == ["1.0.0"]


def test_services_come_by_name_with_their_latest(call: Call, publish: Publish) -> None:
    """Names are case-sensitive and in byte order; a service without a latest has null."""
    latest = publish("1.4.2").document
    for name in ("users.api", "Users", "users-api", "billing", "0"):
        call("POST", "/services", publication(name=name, version="1.0.0-rc.1"))

    seen = pages(call, "/services", limit="4")

    entries = [entry for page in seen for entry in page.document["services"]]
    names = [entry["name"] for entry in entries]
    assert names == ["0", "Users", "billing", "users", "users-api", "users.api"]
    assert entries[3] == {"name": "users", "latest": latest, "revision": 1}
    assert entries[4] == {"name": "users-api", "latest": None, "revision": 1}


@pytest.mark.parametrize(
    ("prefix", "found"),
    [
        ("", ["other", "users", "users-a", "users-b"]),
        ("users", ["users", "users-a", "users-b"]),
        ("users-", ["users-a", "users-b"]),
        ("users-b", ["users-b"]),
        ("Users", []),
        ("users-bb", []),
        ("#1#users", []),
        ("\u00fc \U0001f389", []),
        ("%", []),
        ("u" * 65, []),
        ("u" * 2_100, []),
        ("\0", []),
        ('"', []),
    ],
)
def test_services_are_found_by_their_prefix(filled: Call, prefix: str, found: list[str]) -> None:
    """Any text is a prefix, even if no name begins with it."""
    for limit in ("1", "100"):
        seen = pages(filled, "/services", prefix=prefix, limit=limit)
        assert [entry["name"] for page in seen for entry in page.document["services"]] == found


def test_first_page_has_fifty_and_the_largest_a_hundred(
    call: Call, dynamodb: "DynamoDBClient"
) -> None:
    """These are the default of `limit` and its maximum."""
    for number in range(101):
        service = valid.service(name=f"s{number:03}")
        dynamodb.put_item(TableName=tables.VERSIONS, Item=layout.service_to_item(service))

    first = call("GET", "/services")
    all_but_one = call("GET", "/services", query={"limit": "100"})

    assert len(first.document["services"]) == 50
    assert len(all_but_one.document["services"]) == 100
    rest = call("GET", "/services", query={"cursor": all_but_one.document["cursor"]})
    assert [entry["name"] for entry in rest.document["services"]] == ["s100"]
    assert rest.document["cursor"] is None


def test_history_has_actor_action_and_reason(call: Call, publish: Publish) -> None:
    """The newest change comes first."""
    operator = "arn:aws:iam::123456789012:user/operator"
    publish("1.0.0", channel="beta")
    publish("2.0.0")
    version, channel = "/services/users/versions/2.0.0", "/services/users/channels/latest"
    for request in (
        ("PATCH", version, {"status": "yanked", "reason": "loses orders"}),
        ("PATCH", version, {"status": "yanked", "reason": "loses orders, see 42"}),
        ("PATCH", version, {"status": "active"}),
        ("PUT", channel, {"version": "1.0.0"}),
        ("DELETE", channel),
        ("DELETE", version),
    ):
        assert call(*request, by=operator).status in {200, 204}

    response = call("GET", "/services/users/history")

    assert response.status == 200
    assert response.document["cursor"] is None
    events = response.document["events"]
    assert all(len(event["at"]) == 20 and event.pop("at").endswith("Z") for event in events)
    two = {"version": "2.0.0"}
    yank = {"action": "yank", "by": operator} | two
    assert events == [
        {"revision": 8, "by": operator, "action": "delete"} | two,
        {"revision": 7, "by": operator, "action": "delete-channel", "channel": "latest"},
        {"revision": 6, "by": operator, "action": "set-channel", "channel": "latest"}
        | {"version": "1.0.0"},
        {"revision": 5, "by": operator, "action": "activate"} | two,
        {"revision": 4, "reason": "loses orders, see 42"} | yank,
        {"revision": 3, "reason": "loses orders"} | yank,
        {"revision": 2, "by": CALLER, "action": "publish"} | two,
        {"revision": 1, "by": CALLER, "action": "publish", "version": "1.0.0", "channel": "beta"},
    ]


def test_history_pages_by_number_and_not_by_text(call: Call, publish: Publish) -> None:
    """Revision 10 is newer than 9."""
    publish(*[f"1.0.{number}" for number in range(12)])

    seen = pages(call, LISTS["events"], limit="5")

    revisions = [[event["revision"] for event in page.document["events"]] for page in seen]
    assert revisions == [[12, 11, 10, 9, 8], [7, 6, 5, 4, 3], [2, 1]]


def test_page_that_was_begun_is_not_shifted_by_new_changes(call: Call, publish: Publish) -> None:
    """No event appears twice, and none is left out."""
    publish("1.0.0", "1.1.0", "1.2.0")
    cursor = call("GET", LISTS["events"], query={"limit": "2"}).document["cursor"]
    publish("1.3.0")

    page = call("GET", LISTS["events"], query={"cursor": cursor})

    assert [event["revision"] for event in page.document["events"]] == [1]


@pytest.mark.parametrize("member", LISTS)
def test_full_last_page_ends_the_list(filled: Call, member: str) -> None:
    """Only a null ends the list, so a client that follows cursors comes to its end."""
    seen = pages(filled, LISTS[member], limit="4")

    assert [len(page.document[member]) for page in seen] in ([4], [4, 0])


@pytest.mark.parametrize("member", LISTS)
@pytest.mark.parametrize("limit", ["1", "3"])
def test_every_entry_is_on_one_page(filled: Call, member: str, limit: str) -> None:
    """The size of the pages does not matter."""
    whole = filled("GET", LISTS[member]).document[member]

    seen = pages(filled, LISTS[member], limit=limit)

    assert [entry for page in seen for entry in page.document[member]] == whole
    assert len(whole) == 4


@pytest.mark.parametrize("member", LISTS)
def test_cursor_is_good_only_for_its_own_list(filled: Call, member: str) -> None:
    """Another list's cursor would return a wrong page without an error."""
    path = LISTS[member]
    cursor = filled("GET", path, query={"limit": "1"}).document["cursor"]
    others = [
        ("/services", {}),
        ("/services", {"prefix": "users"}),
        ("/services", {"prefix": "users-"}),
        ("/services/users/versions", {}),
        ("/services/users-a/versions", {}),
        ("/services/users/history", {}),
        ("/services/users-a/history", {}),
    ]

    for other, query in others:
        response = filled("GET", other, query=query | {"cursor": cursor})
        assert response.status == (200 if (other, query) == (path, {}) else 422), (other, query)

    with_prefix = filled("GET", "/services", query={"prefix": "users", "limit": "1"})
    for prefix in ("", "user", "users-"):
        query = {"prefix": prefix, "cursor": with_prefix.document["cursor"]}
        assert filled("GET", "/services", query=query).pointers() == ["/cursor"]


@pytest.mark.parametrize("member", LISTS)
def test_altered_cursor_is_refused(filled: Call, member: str) -> None:
    """A cursor that is truncated, longer or changed in one character is a client's error."""
    path = LISTS[member]
    cursor = filled("GET", path, query={"limit": "1"}).document["cursor"]
    altered = [
        *(cursor[:end] for end in range(len(cursor))),
        *(cursor[:at] + ("A" if cursor[at] != "A" else "B") + cursor[at + 1 :] for at in range(9)),
        cursor.swapcase(),
        *(cursor + more for more in ("=", "A", "AA==", " ", "\n")),
        *(" " + cursor, "null", "0", "\u00e9", "\0", "A" * 3_000),
    ]

    for text in altered:
        response = filled("GET", path, query={"cursor": text})
        assert (response.status, response.headers["Content-Type"]) == (422, PROBLEM)
        assert response.pointers() == ["/cursor"]


@pytest.mark.parametrize(
    ("member", "scope", "positions"),
    [
        (
            "versions",
            "versions/users",
            ["", "e#a1", "v#a1.a0.a0~", "1.0", "\0", "9" * 3_000, "1.0.0+a", "\u00e9"],
        ),
        (
            "events",
            "history/users",
            ["", "0", "-1", "01", "1.5", "e#a1", "9" * 19, "9" * 3_000, "\u0663", "1\n", "\0"],
        ),
        ("services", "services/", ["", "-", "a b", "n" * 65, "\u00e9", "\0", "#service", "\n"]),
    ],
)
def test_forged_cursor_is_refused(
    filled: Call, member: str, scope: str, positions: list[str]
) -> None:
    """The checksum is not a secret: a forged cursor must name a position in the list."""
    for position in positions:
        response = filled("GET", LISTS[member], query={"cursor": to_cursor(scope, position)})

        assert (response.status, position) == (422, position)
        assert response.pointers() == ["/cursor"]


def test_forged_cursor_outside_of_the_prefix_is_refused(filled: Call) -> None:
    """DynamoDB refuses a position that the query does not read: a client's error, not a 500."""
    for position in ("billing", "other", "zebra", "user"):
        query = {"prefix": "users", "cursor": to_cursor("services/users", position)}

        response = filled("GET", "/services", query=query)

        assert (response.status, position) == (422, position)


LIMITS = ["0", "101", "-1", "1.0", "", "ten", "9" * 5_000, "\u0663", " 1", "+1", "1e1", "null"]


@pytest.mark.parametrize("member", LISTS)
def test_limit_is_a_number_from_1_to_100(filled: Call, member: str) -> None:
    """A page of another size than was asked for would break clients that count."""
    for limit in LIMITS:
        response = filled("GET", LISTS[member], query={"limit": limit})

        assert (response.status, limit) == (422, limit)
        assert response.pointers() == ["/limit"]


@pytest.mark.parametrize("member", LISTS)
def test_faults_of_a_query_are_named_at_once(filled: Call, member: str) -> None:
    response = filled("GET", LISTS[member], query={"cursor": "", "limit": "0"})

    assert sorted(response.pointers()) == ["/cursor", "/limit"]


@pytest.mark.parametrize("member", LISTS)
def test_unknown_query_parameter_is_ignored(filled: Call, member: str) -> None:
    """Proxies and tools add their own parameters."""
    response = filled("GET", LISTS[member], query={"limit": "100", "utm": "x", "Cursor": "y"})

    assert response.status == 200
    assert len(response.document[member]) == 4
    assert response.document["cursor"] is None


def large(name: str, version: str) -> "VersionRecord":
    """Return a record as large as a body may be; Lambda's encoding makes it larger."""
    metadata = {f"{number:03}" + "k" * 120: '"\\' * 265 + "\u20ac" * 20 for number in range(49)}
    wanted = publication(name=name, version=version, metadata=metadata)
    assert 60_000 < len(json.dumps(wanted)) < 65_536
    return valid.record(version, name=name, metadata=metadata)


def test_page_of_large_records_fits_a_response_of_lambda(
    call: Call, dynamodb: "DynamoDBClient"
) -> None:
    """Lambda limits a response to 6 MB: a page may have fewer entries, and the list continues."""
    versions = [f"1.{minor}.0" for minor in range(45)]
    dynamodb.put_item(TableName=tables.VERSIONS, Item=layout.service_to_item(valid.service()))
    for version in versions:
        item = layout.version_to_item(large("users", version))
        dynamodb.put_item(TableName=tables.VERSIONS, Item=item)

    seen = pages(call, LISTS["versions"], limit="100")

    records = [record for page in seen for record in page.document["versions"]]
    assert [record["version"] for record in records] == versions[::-1]
    metadata = large("users", "1.0.0").metadata
    assert all(record["metadata"] == metadata for record in records)
    assert max(page.size for page in seen) < 6_000_000
    assert 1 < len(seen) < 10


def test_page_of_services_with_large_records_fits_as_well(
    call: Call, dynamodb: "DynamoDBClient"
) -> None:
    """Each service has the whole record of its latest version."""
    names = [f"s{number:02}" for number in range(45)]
    for name in names:
        record = large(name, "1.0.0")
        service = valid.service(name=name, highest=record.version)
        for item in (layout.version_to_item(record), layout.service_to_item(service)):
            dynamodb.put_item(TableName=tables.VERSIONS, Item=item)

    seen = pages(call, "/services", limit="100", prefix="s")

    entries: list[Any] = [entry for page in seen for entry in page.document["services"]]
    assert [entry["name"] for entry in entries] == names
    assert all(entry["latest"]["metadata"] for entry in entries)
    assert max(page.size for page in seen) < 6_000_000
    assert 1 < len(seen) < 10
