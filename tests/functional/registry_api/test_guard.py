"""The guard, `force` and `dry_run`."""

from collections.abc import Iterable, Sequence
from typing import Any

import pytest

from registry_api.routes import Routes
from registry_model.needs import Need, parse_selector
from registry_tables.consumers_layout import ConsumerNeed
from registry_tables.errors import ThrottledError
from tests.functional.registry_api.gateway import (
    PROBLEM,
    Call,
    GatewayResponse,
    Publish,
    publication,
)

YANKED = {"status": "yanked"}
# Every route that writes, on a service with the versions 1.0.0, 1.1.0 and 2.0.0-rc.1.
WRITES: list[tuple[Any, ...]] = [
    ("POST", "/services", publication(version="1.2.0")),
    ("PUT", "/services/users/versions/1.2.0", {"arn": publication()["arn"]}),
    ("PATCH", "/services/users/versions/1.1.0", YANKED),
    ("DELETE", "/services/users/versions/1.1.0"),
    ("PUT", "/services/users/channels/beta", {"version": "2.0.0-rc.1"}),
    ("DELETE", "/services/users/channels/alpha"),
]


class ScriptedConsumerNeeds:
    """Consumers' needs from a test, or an error when they are read."""

    def __init__(self, *needs: tuple[str, str], error: Exception | None = None) -> None:
        self._needs = needs
        self._error = error

    def needs_of_service(self, service: str) -> Iterable[ConsumerNeed]:
        """Return the needs of the service."""
        if self._error:
            raise self._error
        return [
            ConsumerNeed(
                consumer=name, generation="1", need=Need(service, service, parse_selector(text))
            )
            for name, text in self._needs
        ]

    def valid_needs(self, needs: Sequence[ConsumerNeed]) -> Sequence[ConsumerNeed]:
        """Return those that are not outdated."""
        return [each for each in needs if not each.consumer.startswith("outdated")]


@pytest.fixture
def ready(call: Call, publish: Publish) -> Call:
    """Return the API of a service with three versions and a channel."""
    publish("1.0.0", "1.1.0", "2.0.0-rc.1")
    assert call("PUT", "/services/users/channels/alpha", {"version": "1.0.0"}).status == 200
    return call


def act(call: Call, *request: Any, **flags: str) -> GatewayResponse:
    """Send a request with exactly these query parameters."""
    return call(*request, query=flags)


def revision(call: Call) -> int:
    """Return the service's revision."""
    number: int = call("GET", "/services/users").document["revision"]
    return number


def is_guarded(response: GatewayResponse, *selectors: str) -> bool:
    """Return whether the guard refuses, for these selectors."""
    assert response.status == 409, response
    assert response.headers["Content-Type"] == PROBLEM
    assert response.document["selectors"] == list(selectors)
    assert "?force=true" in response.document["detail"]
    return True


def test_last_answer_is_guarded(call: Call, publish: Publish) -> None:
    """All consumers of the answer would have an outage within their MAX_AGE."""
    publish("1.0.0")
    path = "/services/users/versions/1.0.0"

    for request in (("PATCH", path, YANKED), ("DELETE", path)):
        refused = act(call, *request)
        assert is_guarded(refused, "1.x", "latest")
        assert refused.document["consumers"] == []
        assert refused.document["consumers_total"] == 0
        assert act(call, *request, force="false").status == 409
    assert revision(call) == 1

    assert act(call, "PATCH", path, YANKED, force="true").status == 200
    assert act(call, "DELETE", path).status == 204


def test_guard_looks_at_the_major_series_and_at_latest(call: Call, publish: Publish) -> None:
    """One of two versions in a series may be removed, and so may a pre-release."""
    publish("1.0.0", "1.1.0", "2.0.0", "3.0.0-rc.1")

    assert is_guarded(act(call, "DELETE", "/services/users/versions/2.0.0"), "2.x")
    assert act(call, "DELETE", "/services/users/versions/3.0.0-rc.1").status == 204
    assert act(call, "PATCH", "/services/users/versions/1.1.0", YANKED).status == 200
    assert is_guarded(act(call, "PATCH", "/services/users/versions/1.0.0", YANKED), "1.x")
    assert act(call, "PATCH", "/services/users/versions/1.1.0", YANKED).status == 200
    assert act(call, "DELETE", "/services/users/versions/1.1.0").status == 204


def test_pinned_latest_stays_when_the_highest_version_is_removed(
    call: Call, publish: Publish
) -> None:
    """A pinned `latest` has an answer while the pin lasts."""
    publish("1.0.0", "2.0.0")
    call("PUT", "/services/users/channels/latest", {"version": "1.0.0"})

    assert is_guarded(act(call, "PATCH", "/services/users/versions/2.0.0", YANKED), "2.x")


def test_channel_is_named_before_the_guard(call: Call, publish: Publish) -> None:
    """`force` does not override this refusal: the channel has to be moved first."""
    publish("1.0.0", channel="beta")

    for flags in ({}, {"force": "true"}):
        refused = act(call, "PATCH", "/services/users/versions/1.0.0", YANKED, **flags)
        assert refused.status == 409
        assert "'beta'" in refused.document["detail"]
        assert "selectors" not in refused.document


def test_dry_run_shows_what_a_publish_moves(ready: Call) -> None:
    """The order is the index's, and only selectors that change are listed."""
    wanted = publication(version="1.1.5", channel="alpha")

    response = act(ready, "POST", "/services", wanted, dry_run="true")

    assert response.status == 200
    assert response.document == {
        "changes": [
            {"selector": "1.1.5", "from": None, "to": "1.1.5"},
            {"selector": "1.1.x", "from": "1.1.0", "to": "1.1.5"},
            {"selector": "1.x", "from": "1.1.0", "to": "1.1.5"},
            {"selector": "@alpha", "from": "1.0.0", "to": "1.1.5"},
            {"selector": "latest", "from": "1.1.0", "to": "1.1.5"},
        ],
        "consumers": [],
        "consumers_total": 0,
    }


@pytest.mark.parametrize(
    ("request_", "changes"),
    [
        (
            ("PATCH", "/services/users/versions/1.1.0", YANKED),
            [("1.1.x", "1.1.0", None), ("1.x", "1.1.0", "1.0.0"), ("latest", "1.1.0", "1.0.0")],
        ),
        (
            ("DELETE", "/services/users/versions/2.0.0-rc.1"),
            [("2.0.0-rc.1", "2.0.0-rc.1", None)],
        ),
        (("PATCH", "/services/users/versions/1.1.0", {"status": "active"}), []),
        (("PUT", "/services/users/channels/alpha", {"version": "1.0.0"}), []),
        (
            ("PUT", "/services/users/channels/latest", {"version": "1.0.0"}),
            [("latest", "1.1.0", "1.0.0")],
        ),
        (("PUT", "/services/users/channels/latest", {"version": "1.1.0"}), []),
        (("DELETE", "/services/users/channels/alpha"), [("@alpha", "1.0.0", None)]),
        (
            ("PUT", "/services/users/versions/0.9.0", {"arn": publication()["arn"]}),
            [("0.9.0", None, "0.9.0"), ("0.9.x", None, "0.9.0"), ("0.x", None, "0.9.0")],
        ),
        (("POST", "/services", publication(version="1.1.0", arn="arn:aws:s3:::users")), None),
    ],
)
def test_dry_run_shows_what_every_change_moves(
    ready: Call, request_: tuple[Any, ...], changes: list[tuple[str, ...]] | None
) -> None:
    """It shows nothing if nothing changes, and the refusal if the write would be refused."""
    response = act(ready, *request_, dry_run="true")

    if changes is None:
        assert response.status == 409
        assert "changes" not in response.document
        return
    seen = [(each["selector"], each["from"], each["to"]) for each in response.document["changes"]]
    assert (response.status, seen) == (200, changes)


@pytest.mark.parametrize("write", WRITES, ids=lambda write: " ".join(write[:2]))
def test_dry_run_changes_nothing(ready: Call, write: tuple[Any, ...]) -> None:
    """The service and its history stay the same."""
    before = ready("GET", "/services/users").document
    history = ready("GET", "/services/users/history").document

    response = act(ready, *write, dry_run="true")

    assert response.status == 200
    assert response.document["changes"]
    assert ready("GET", "/services/users").document == before
    assert ready("GET", "/services/users/history").document == history
    assert act(ready, *write, dry_run="false").status in {200, 201, 204}
    assert revision(ready) == before["revision"] + 1


def test_dry_run_is_guarded_like_the_write(call: Call, publish: Publish) -> None:
    """With `force` it shows what would be lost."""
    publish("1.0.0")
    path = "/services/users/versions/1.0.0"

    assert is_guarded(act(call, "DELETE", path, dry_run="true"), "1.x", "latest")
    forced = act(call, "DELETE", path, dry_run="true", force="true")

    assert [each["selector"] for each in forced.document["changes"]] == [
        "1.0.0",
        "1.0.x",
        "1.x",
        "latest",
    ]
    assert all(each["to"] is None for each in forced.document["changes"])
    assert call("GET", path).status == 200


@pytest.mark.parametrize("write", WRITES, ids=lambda write: " ".join(write[:2]))
@pytest.mark.parametrize(
    ("query", "pointers"),
    [
        ({"dry-run": "true"}, ["/dry-run"]),
        ({"dryrun": "true", "dry_run": "true"}, ["/dryrun"]),
        ({"DRY_RUN": "true"}, ["/DRY_RUN"]),
        ({"dry_run": "1", "force": "yes"}, ["/dry_run", "/force"]),
        ({"dry_run": ""}, ["/dry_run"]),
        ({"dry_run": "True"}, ["/dry_run"]),
        ({"a/b": "c"}, ["/a~1b"]),
        ({"limit": "10"}, ["/limit"]),
    ],
    ids=str,
)
def test_misspelt_query_parameter_commits_nothing(
    ready: Call, write: tuple[Any, ...], query: dict[str, str], pointers: list[str]
) -> None:
    """`?dry-run=true` must not commit."""
    before = revision(ready)

    response = act(ready, *write, **query)

    assert response.status == 422
    assert response.pointers() == pointers
    assert revision(ready) == before


def test_repeated_query_parameter_commits_nothing(ready: Call) -> None:
    """API Gateway's `queryStringParameters` has only the last value."""
    before = revision(ready)
    members = {
        "queryStringParameters": {"dry_run": "false"},
        "multiValueQueryStringParameters": {"dry_run": ["true", "false"]},
    }

    response = ready("POST", "/services", publication(version="1.2.0"), members=members)

    assert response.status == 422
    assert response.pointers() == ["/dry_run"]
    assert revision(ready) == before


def test_routes_that_read_ignore_unknown_query_parameters(ready: Call) -> None:
    assert act(ready, "GET", "/services/users", dry_run="x", other="y").status == 200
    assert act(ready, "POST", "/resolve", {"needed": "users"}, dry_run="x").status == 200


def test_consumers_needs_are_guarded_and_shown(
    ready: Call, routes: Routes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A need without an answer is an outage of that consumer, even if the series has one."""
    consumers = ScriptedConsumerNeeds(
        *(("exact", "==1.1.0"), ("minor", "==1.1.x"), ("least", ">=1.1"), ("major", "==1.x")),
        *(("calm", "==1.0.0"), ("beta", "@beta"), ("outdated", "==1.1.0")),
    )
    monkeypatch.setattr(routes._registry._guard, "consumers", consumers)
    path = "/services/users/versions/1.1.0"

    refused = act(ready, "DELETE", path)
    shown = act(ready, "DELETE", path, dry_run="true", force="true").document

    assert is_guarded(refused)
    assert [each["consumer"] for each in refused.document["consumers"]] == [
        "exact",
        "least",
        "minor",
    ]
    assert refused.document["consumers_total"] == 3
    assert shown["consumers"] == [
        {"consumer": "exact", "need": "users==1.1.0", "from": "1.1.0", "to": None},
        {"consumer": "least", "need": "users>=1.1", "from": "1.1.0", "to": None},
        {"consumer": "major", "need": "users==1.x", "from": "1.1.0", "to": "1.0.0"},
        {"consumer": "minor", "need": "users==1.1.x", "from": "1.1.0", "to": None},
    ]
    assert act(ready, "DELETE", path, force="true").status == 204


def test_guard_and_dry_run_list_a_hundred_consumers(
    ready: Call, routes: Routes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The totals count all consumers."""
    needs = [(f"c{number:03}", "==1.1.x") for number in range(120)]
    monkeypatch.setattr(routes._registry._guard, "consumers", ScriptedConsumerNeeds(*needs))

    refused = act(ready, "DELETE", "/services/users/versions/1.1.0").document

    assert (len(refused["consumers"]), refused["consumers_total"]) == (100, 120)
    assert "120" in refused["detail"]


def test_consumers_that_cannot_be_read_do_not_block_a_change(
    ready: Call, routes: Routes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guard then protects only the selectors."""
    monkeypatch.setattr(
        routes._registry._guard, "consumers", ScriptedConsumerNeeds(error=ThrottledError())
    )

    assert act(ready, "DELETE", "/services/users/versions/1.1.0").status == 204
    ready("DELETE", "/services/users/channels/alpha")
    assert is_guarded(act(ready, "DELETE", "/services/users/versions/1.0.0"), "1.x", "latest")
