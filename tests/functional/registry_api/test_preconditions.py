"""`ETag`, `If-Match` and `If-None-Match`."""

from typing import Any

import pytest

from tests.functional.registry_api.gateway import ARN, OTHER_ARN, Call, Publish, publication

SERVICE = "/services/users"
VERSION = "/services/users/versions/1.0.0"
# Each route that writes, and the path whose ETag its If-Match expects.
WRITES: list[tuple[tuple[Any, ...], str]] = [
    (("POST", "/services", publication(version="1.2.0")), SERVICE),
    (("PUT", "/services/users/versions/1.2.0", {"arn": ARN}), SERVICE),
    (("PUT", "/services/users/channels/beta", {"version": "1.1.0"}), SERVICE),
    (("DELETE", "/services/users/channels/alpha"), SERVICE),
    (("PATCH", VERSION, {"status": "yanked"}), VERSION),
    (("DELETE", VERSION), VERSION),
]


def named(case: object) -> str:
    """Return a test's id."""
    return " ".join(case[:2]) if isinstance(case, tuple) else ""


@pytest.fixture
def ready(call: Call, publish: Publish) -> Call:
    """Return the API of a service with two versions and a channel."""
    publish("1.0.0", "1.1.0")
    call("PUT", "/services/users/channels/alpha", {"version": "1.1.0"})
    return call


def tag(call: Call, path: str) -> str:
    """Return the present entity tag of a path."""
    found: str = call("GET", path).headers["ETag"]
    return found


def test_tag_of_a_service_changes_with_it_and_is_not_the_tag_of_a_version(ready: Call) -> None:
    """A client that mixes them up must not succeed."""
    ready("POST", "/services", publication(version="1.2.0"))
    before = tag(ready, SERVICE)
    versions = {tag(ready, f"{SERVICE}/versions/{each}") for each in ("1.0.0", "1.1.0", "1.2.0")}

    ready("PUT", "/services/users/channels/beta", {"version": "1.0.0"})

    assert tag(ready, SERVICE) != before
    assert not versions & {before, tag(ready, SERVICE)}


@pytest.mark.parametrize("path", [SERVICE, VERSION])
def test_known_document_is_not_sent_again(ready: Call, path: str) -> None:
    """If-None-Match compares weakly (RFC 9110, section 13.1.2)."""
    known = tag(ready, path)

    for condition in (known, f"W/{known}", f'"other", {known}', "*"):
        response = ready("GET", path, headers={"If-None-Match": condition})
        assert (response.status, response.document) == (304, None), condition
        assert response.headers["ETag"] == known
    for condition in ('"other"', "", known.strip('"')):
        assert ready("GET", path, headers={"if-none-match": condition}).status == 200


@pytest.mark.parametrize(("write", "path"), WRITES, ids=named)
def test_write_goes_through_if_nothing_has_changed(
    ready: Call, write: tuple[Any, ...], path: str
) -> None:
    """The header may have the tag, one of several tags, or `*`."""
    known = tag(ready, path)
    flags = {"dry_run": "true", "force": "true"}

    for condition in (known, f'"other", {known}', "*"):
        response = ready(*write, headers={"If-Match": condition}, query=flags)
        assert response.status == 200, condition
    assert ready(*write, headers={"If-Match": known}).status in {200, 201, 204}


@pytest.mark.parametrize(("write", "path"), WRITES, ids=named)
def test_write_is_refused_if_it_has_changed(ready: Call, write: tuple[Any, ...], path: str) -> None:
    """If-Match compares strongly (RFC 9110, 13.1.1); a header without a tag matches nothing."""
    known = tag(ready, path)
    other = tag(ready, VERSION if path == SERVICE else SERVICE)
    before = ready("GET", SERVICE).document

    for condition in ('"other"', f"W/{known}", other, "", known.strip('"')):
        response = ready(*write, headers={"if-match": condition})
        assert response.status == 412, condition
        assert response.document["status"] == 412
    assert ready("GET", SERVICE).document == before


def test_each_value_of_a_repeated_header_counts(ready: Call) -> None:
    """API Gateway's `headers` has only the last value."""
    members = {
        "headers": {"If-Match": '"other"'},
        "multiValueHeaders": {"If-Match": [tag(ready, VERSION), '"other"']},
    }

    response = ready("PATCH", VERSION, {"status": "yanked"}, members=members)

    assert response.status == 200


def test_precondition_comes_after_404_and_422_and_before_409(ready: Call) -> None:
    """A client can rely on this order."""
    stale = {"headers": {"If-Match": '"other"'}}
    pointed_at = "/services/users/versions/1.1.0"

    assert ready("DELETE", "/services/users/versions/9.9.9", **stale).status == 404
    assert ready("DELETE", "/services/users/channels/none", **stale).status == 404
    assert ready("PUT", "/services/no/channels/x", {"version": "1.0.0"}, **stale).status == 404
    assert ready("PATCH", VERSION, {"status": "gone"}, **stale).status == 422
    assert ready("DELETE", VERSION, query={"x": "y"}, **stale).status == 422
    assert ready("DELETE", pointed_at, **stale).status == 412
    assert ready("DELETE", pointed_at).status == 409
    yanked = {"status": "yanked"}
    assert ready("PATCH", pointed_at, yanked, **stale).status == 412
    assert ready("PATCH", pointed_at, yanked).status == 409
    unknown = "/services/users/channels/x", {"version": "9.9.9"}
    assert ready("PUT", *unknown, **stale).status == 412
    assert ready("PUT", *unknown).status == 409
    taken = publication(version="1.0.0", arn=OTHER_ARN)
    assert ready("POST", "/services", taken, **stale).status == 412
    assert ready("POST", "/services", taken).status == 409
    large = publication(version="3.0.0", metadata={"k": "v" * 3_000})
    assert ready("POST", "/services", large, **stale).status == 422


def test_missing_service_matches_no_tag(call: Call) -> None:
    """Not even `*` matches: it requires an existing service (RFC 9110, section 13.1.1)."""
    for condition in ("*", '"s1"'):
        response = call("POST", "/services", publication(), headers={"If-Match": condition})
        assert response.status == 412
    assert call("GET", SERVICE).status == 404


def test_write_responds_with_the_tag_that_the_next_one_expects(ready: Call) -> None:
    """A client needs no GET in between."""
    yanked = ready("PATCH", VERSION, {"status": "yanked"})

    active = ready(
        "PATCH", VERSION, {"status": "active"}, headers={"If-Match": yanked.headers["ETag"]}
    )

    assert active.status == 200
    assert active.headers["ETag"] == tag(ready, VERSION)
