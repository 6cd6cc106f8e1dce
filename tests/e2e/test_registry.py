"""The deployed registry's API over HTTP, as a pipeline uses it."""

import concurrent.futures
import re
import urllib.parse
from collections.abc import Callable
from typing import Any

import pytest

from local import processes
from registry_client.signed_http import RegistryResponse
from tests.e2e.conftest import App, arn

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


def test_published_version_can_be_read(app: App) -> None:
    """The response to a publish is the record that all readers get."""
    published = app.publish("books", "1.4.2", metadata={"team": "shelf"})

    record = published.document
    assert published.status == 201
    assert published.headers["location"] == "1.4.2"
    assert {name: record[name] for name in ("name", "version", "arn", "status", "metadata")} == {
        "name": "books",
        "version": "1.4.2",
        "arn": arn("books", "1.4.2"),
        "status": "active",
        "metadata": {"team": "shelf"},
    }
    assert _TIME.fullmatch(record["published_at"])
    assert record["revision"] == 1
    read = app.registry.send("GET", "/services/books/versions/1.4.2")
    assert (read.status, read.document) == (200, record)
    service = app.registry.send("GET", "/services/books").document
    assert service["latest"] == record
    assert (service["revision"], service["channels"]) == (1, {})
    assert {"name", "latest", "channels", "revision", "created_at", "updated_at"} == set(service)


def test_unchanged_version_is_not_sent_again(app: App) -> None:
    """A client that polls gets a 304 without a document."""
    app.publish("etags", "1.0.0")
    first = app.registry.send("GET", "/services/etags/versions/1.0.0")

    again = app.registry.send(
        "GET", "/services/etags/versions/1.0.0", headers={"If-None-Match": first.headers["etag"]}
    )

    assert (again.status, again.document) == (304, None)


def test_publishing_again_changes_nothing_and_never_moves_a_version(app: App) -> None:
    """A pipeline may repeat itself, and a published version never changes."""
    first = app.publish("repeated", "1.0.0").document

    same = app.publish("repeated", "1.0.0")
    other = app.publish("repeated", "1.0.0", arn=arn("repeated", "9.9.9"))

    assert (same.status, same.document) == (200, first)
    assert other.status == 409
    assert other.headers["content-type"].startswith("application/problem+json")
    assert other.document["current"] == first
    assert app.registry.send("GET", "/services/repeated").document["revision"] == 1


def test_versions_are_listed_from_the_highest_down_in_pages(app: App) -> None:
    """The order is SemVer precedence, not text or time."""
    ordered = ["10.0.0", "2.0.0", "2.0.0-rc.10", "2.0.0-rc.2", "1.10.0", "1.9.0"]
    for version in ("1.9.0", "2.0.0", "1.10.0", "10.0.0", "2.0.0-rc.10", "2.0.0-rc.2"):
        assert app.publish("listed", version).status == 201

    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        path = "/services/listed/versions?limit=4" + (f"&cursor={cursor}" if cursor else "")
        page = app.registry.send("GET", path).document
        assert len(page["versions"]) <= 4
        seen += [record["version"] for record in page["versions"]]
        cursor = page["cursor"]

    assert seen == ordered
    assert app.registry.send("GET", "/services/listed").document["latest"]["version"] == "10.0.0"


@pytest.mark.parametrize(
    ("document", "pointer"),
    [
        ({"name": "bad name", "version": "1.0.0"}, "/name"),
        ({"name": "faulty", "version": "v1.2"}, "/version"),
        ({"name": "faulty", "version": "1.2"}, "/version"),
        ({"name": "faulty", "version": "01.2.3"}, "/version"),
        ({"name": "faulty", "version": "1.2.3+abc"}, "/version"),
        ({"name": "faulty", "version": "1.0.0", "arn": "arn:aws"}, "/arn"),
        ({"name": "faulty", "version": "1.0.0", "chanel": "beta"}, "/chanel"),
        ({"name": "faulty", "version": "1.0.0", "metadata": {"a/b": 1}}, "/metadata/a~1b"),
        ({"name": "faulty", "version": "1.0.0", "channel": "not one"}, "/channel"),
    ],
)
def test_malformed_publication_is_refused_with_its_fault(
    app: App, document: dict[str, Any], pointer: str
) -> None:
    """The response names the wrong member, and nothing was published."""
    response = app.registry.send("POST", "/services", {"arn": arn("faulty", "1.0.0"), **document})

    assert response.status == 422
    assert response.headers["content-type"].startswith("application/problem+json")
    assert {"type", "title", "status", "detail", "errors"} <= set(response.document)
    assert [error["pointer"] for error in response.document["errors"]] == [pointer]
    assert app.registry.send("GET", "/services/faulty").status == 404


def test_every_fault_is_named_at_once(app: App) -> None:
    """One run of the pipeline shows every fault."""
    document = {"name": "", "version": "1", "arn": "x", "more": 1}

    response = app.registry.send("POST", "/services", document)

    pointers = {error["pointer"] for error in response.document["errors"]}
    assert pointers == {"/name", "/version", "/arn", "/more"}


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/services", b'{"name": ', 400),
        ("POST", "/services", b'{"name": "' + b"x" * 65_536 + b'"}', 413),
        ("GET", "/services/nobody-published-this", None, 404),
        ("GET", "/services/nobody-published-this/versions", None, 404),
        ("GET", "/services/nobody-published-this/versions/1.0.0", None, 404),
        ("GET", "/services/not%20a%20name", None, 404),
        ("GET", "/no/such/path", None, 404),
        ("PUT", "/services", b"{}", 405),
        ("DELETE", "/services/users", None, 405),
        ("GET", "/services/users/versions?limit=0", None, 422),
        ("GET", "/services/users/versions?limit=101", None, 422),
        ("GET", "/services/users/versions?cursor=made-up", None, 422),
        ("GET", "/services?cursor=made-up", None, 422),
        ("GET", "/services/users/history?limit=-1", None, 422),
        ("GET", "/services/users/resolve?selector=1.x", None, 422),
        ("GET", "/services/nobody-published-this/resolve?selector=%3D%3D1.x", None, 404),
        ("GET", "/services/nobody-published-this/history", None, 404),
        ("PATCH", "/services/users/versions/1.0.0", b'{"status": "gone"}', 422),
        ("PATCH", "/services/nobody-published-this/versions/1.0.0", b'{"status": "active"}', 404),
        ("PUT", "/services/nobody-published-this/channels/beta", b'{"version": "1.0.0"}', 404),
        ("PUT", "/services/users/channels/beta", b"", 400),
        ("DELETE", "/services/nobody-published-this/versions/1.0.0", None, 404),
        ("DELETE", "/services/nobody-published-this/channels/latest", None, 404),
        ("POST", "/resolve", b'{"needed": "users=1.x,a,a"}', 422),
        ("POST", "/resolve", b"\xff", 400),
        ("GET", "/resolve", None, 405),
    ],
)
def test_refusals_are_problem_details(
    app: App, method: str, path: str, body: bytes | None, status: int
) -> None:
    """A client can handle all refusals in the same way."""
    response = app.registry.send(method, path, body=body)

    assert response.status == status
    assert response.headers["content-type"].startswith("application/problem+json")
    assert response.document["status"] == status
    assert response.document["title"]
    assert response.document["detail"]


BAD = "/services/night/versions/2.0.0"


def test_operator_rolls_back_and_corrects_a_bad_release(app: App) -> None:
    """An operator reads, rolls back, yanks, corrects and unpins: every route is used."""
    _release(app)
    _roll_back(app)
    _correct(app)
    _clean_up(app)

    events = _history(app)
    assert [event["revision"] for event in events] == list(range(12, 0, -1))
    assert [event["action"] for event in reversed(events)] == [
        *("publish", "publish", "publish", "set-channel", "yank", "publish", "delete-channel"),
        *("delete", "publish", "yank", "activate", "delete-channel"),
    ]
    assert all(_TIME.fullmatch(event["at"]) and event["by"] for event in events)
    yank = events[7]
    assert (yank["revision"], yank["version"], yank["reason"]) == (5, "2.0.0", "loses orders")


def _release(app: App) -> None:
    """Publish a bad version, which becomes the latest."""
    app.publish("night", "1.4.2", channel="stable")
    app.publish("night", "2.0.0", metadata={"commit": "abc"})
    app.publish("night", "2.1.0-rc.1", channel="beta")

    assert _latest(app) == "2.0.0"


def _roll_back(app: App) -> None:
    """Roll back in one call, then yank: afterwards only the exact selector resolves to it."""
    pinned = app.registry.send("PUT", "/services/night/channels/latest", {"version": "1.4.2"})
    assert (pinned.status, pinned.document) == (200, {"channel": "latest", "version": "1.4.2"})
    assert _latest(app) == "1.4.2"
    _wait_until_resolved(app, "", "1.4.2")

    yank = {"status": "yanked", "reason": "loses orders"}
    guarded = app.registry.send("PATCH", BAD, yank)
    assert (guarded.status, guarded.document["selectors"]) == (409, ["2.x"])
    yanked = app.registry.send("PATCH", f"{BAD}?force=true", yank)
    assert (yanked.status, yanked.document["reason"]) == (200, "loses orders")
    _wait_until_resolved(app, "==2.x", None)
    _wait_until_resolved(app, "==2.0.0", "2.0.0", status="yanked")
    exact = _resolve(app, "==2.0.0").document
    assert (exact["reason"], exact["metadata"]) == ("loses orders", {"commit": "abc"})

    refused = app.registry.send("DELETE", "/services/night/versions/1.4.2")
    assert refused.status == 409
    assert "'latest', 'stable'" in refused.document["detail"]


def _correct(app: App) -> None:
    """Publish the corrected version, try it with a dry run, and unpin."""
    assert app.publish("night", "2.0.1").status == 201
    needed = {"needed": "night==2.x,old:night==2.0.0,rc:night@beta,night2:night~=2.0.1"}
    processes.wait_until(
        lambda: app.registry.send("POST", "/resolve", needed).document["resolved"] is True,
        within_s=60,
        what="every need resolves",
    )
    services = app.registry.send("POST", "/resolve", needed).document["services"]
    assert {key: member["version"] for key, member in services.items()} == {
        "night": "2.0.1",
        "old": "2.0.0",
        "rc": "2.1.0-rc.1",
        "night2": "2.0.1",
    }
    assert _latest(app) == "1.4.2"

    assert app.registry.send("DELETE", "/services/night/channels/latest").status == 204
    assert _latest(app) == "2.0.1"
    _wait_until_resolved(app, ">=2", "2.0.1")


def _clean_up(app: App) -> None:
    """Delete the bad version, publish its number again, delete a channel; the index follows."""
    call = app.registry.send
    assert call("DELETE", BAD).status == 204
    assert call("GET", BAD).status == 404
    anew = app.publish("night", "2.0.0", arn=arn("night", "9.9.9"))
    assert (anew.status, anew.document["status"]) == (201, "active")
    assert call("PATCH", BAD, {"status": "yanked"}).status == 200
    assert call("PATCH", BAD, {"status": "active"}).document["status"] == "active"
    assert call("DELETE", "/services/night/channels/beta").status == 204

    exact = {version: version for version in ("1.4.2", "2.0.0", "2.0.1", "2.1.0-rc.1")}
    series = {"1.x": "1.4.2", "1.4.x": "1.4.2", "2.x": "2.0.1", "2.0.x": "2.0.1"}
    expected = exact | series | {"latest": "2.0.1", "@stable": "1.4.2"}
    processes.wait_until(
        lambda: app.wait_for_index("night", expected)["2.0.0"]["arn"]["S"] == arn("night", "9.9.9"),
        within_s=60,
        what="the index has the new ARN of 2.0.0",
    )


def _latest(app: App) -> str | None:
    record = app.registry.send("GET", "/services/night").document["latest"]
    return record and str(record["version"])


def _resolve(app: App, selector: str) -> RegistryResponse:
    escaped = urllib.parse.quote(selector, safe="")
    return app.registry.send("GET", f"/services/night/resolve?selector={escaped}")


def _wait_until_resolved(
    app: App, selector: str, version: str | None, *, status: str = "active"
) -> None:
    """Wait until the index has an answer with this status, or no longer has one."""

    def is_so() -> bool:
        response = _resolve(app, selector)
        assert response.status in {200, 404}
        if response.status == 404:
            return version is None
        return (response.document["version"], response.document["status"]) == (version, status)

    processes.wait_until(is_so, within_s=60, what=f"night{selector} resolves to {version}")


def _history(app: App) -> list[dict[str, Any]]:
    """Read the whole history, page by page."""
    events: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        path = "/services/night/history?limit=5" + (f"&cursor={cursor}" if cursor else "")
        page = app.registry.send("GET", path).document
        events += page["events"]
        cursor = page["cursor"]
    return events


def test_services_are_listed_by_name_in_pages(app: App) -> None:
    """The list may be a moment behind."""
    names = [f"catalog.{letter}" for letter in "edcba"]
    for name in names:
        app.publish(name, "1.0.0")

    def listed() -> list[tuple[str, str]]:
        seen: list[tuple[str, str]] = []
        cursor: str | None = ""
        while cursor is not None:
            path = "/services?prefix=catalog.&limit=2" + (f"&cursor={cursor}" if cursor else "")
            page = app.registry.send("GET", path).document
            assert len(page["services"]) <= 2
            seen += [(entry["name"], entry["latest"]["version"]) for entry in page["services"]]
            cursor = page["cursor"]
        return seen

    expected = [(name, "1.0.0") for name in sorted(names)]
    processes.wait_until(lambda: listed() == expected, within_s=60, what="every service is listed")


def test_32_writers_at_once_lose_nothing(app: App) -> None:
    """Many pipelines and an operator write at once: every change counts once."""
    app.publish("busy", "0.1.0")

    def work(number: int) -> list[int]:
        version = f"1.{number}.0"
        # The first version of the series may be yanked before the next one is published.
        path = f"/services/busy/versions/{version}?force=true"
        channel = {"channel": f"c{number}"} if number % 4 == 0 else {}
        steps: list[Callable[[], RegistryResponse]] = [
            lambda: app.publish("busy", version, **channel)
        ]
        if number % 4 == 1:
            steps.append(lambda: app.registry.send("PATCH", path, {"status": "yanked"}))
        if number % 4 == 2:
            steps.append(lambda: app.registry.send("DELETE", path))
        return [_until_done(step) for step in steps]

    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        statuses = list(pool.map(work, range(32)))

    assert [tuple(each) for each in statuses] == [(201,), (201, 200), (201, 204), (201,)] * 8
    service = app.registry.send("GET", "/services/busy").document
    assert service["revision"] == 1 + 32 + 8 + 8
    assert service["latest"]["version"] == "1.31.0"
    assert service["channels"] == {f"c{n}": f"1.{n}.0" for n in range(0, 32, 4)}
    history = app.registry.send("GET", "/services/busy/history?limit=100").document["events"]
    assert [event["revision"] for event in history] == list(range(49, 0, -1))
    expected = {"latest": "1.31.0", "1.x": "1.31.0", "0.x": "0.1.0", "0.1.x": "0.1.0"}
    expected |= {"0.1.0": "0.1.0"}
    for number in range(32):
        version = f"1.{number}.0"
        expected |= {version: version} if number % 4 != 2 else {}
        expected |= {f"1.{number}.x": version} if number % 4 in {0, 3} else {}
        expected |= {f"@c{number}": version} if number % 4 == 0 else {}
    app.wait_for_index("busy", expected)


def _until_done(step: Callable[[], RegistryResponse]) -> int:
    """Repeat while the service is busy, as a pipeline does after a 503."""
    while True:
        response = step()
        if response.status not in {429, 503}:
            return response.status
