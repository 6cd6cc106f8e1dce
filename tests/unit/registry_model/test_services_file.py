"""The services file, which functions in any language read."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_model import services_file
from registry_model.index_layout import Answer
from registry_model.needs import Need, parse_needs
from registry_model.services_file import (
    Member,
    answers_need,
    member_for,
    missing_member,
    resolved_member,
    unavailable_member,
)
from testing.arns import ARN

AT = "2026-11-23T08:00:00Z"


def answer(version: str = "1.4.2", **members: Any) -> Answer:
    """Return an index answer."""
    defaults: dict[str, Any] = {
        "arn": ARN,
        "status": "active",
        "revision": 7,
        "updated_at": "2026-01-01T00:00:00Z",
    }
    return Answer(version=version, **defaults | members)


def need(text: str) -> Need:
    """Parse one need."""
    (one,) = parse_needs(text)
    return one


def document(member: Member) -> Any:
    """Render a single member, and parse it as a function does."""
    return json.loads(services_file.render([("users", member)]))["users"]


def test_document_is_as_documented() -> None:
    """The documentation's own example, character by character."""
    members = [
        ("users", resolved_member(need("users"), answer(), AT)),
        ("billing", missing_member(need("billing==1.*"))),
    ]

    assert json.loads(services_file.render(members)) == {
        "users": {
            "requested": "latest",
            "version": "1.4.2",
            "arn": ARN,
            "status": "active",
            "resolved_at": AT,
        },
        "billing": {
            "requested": "1.x",
            "status": "missing",
            "error": "no version of 'billing' matches '==1.x'",
        },
    }


def test_nothing_needed_is_an_empty_object() -> None:
    assert json.loads(services_file.render([])) == {}


def test_members_stand_in_the_order_of_the_needs() -> None:
    """Dictionaries are unordered on MicroPython, but two files should be easy to compare."""
    keys = ["z", "a", "m"]

    data = services_file.render([(key, missing_member(need(key))) for key in keys])

    assert list(json.loads(data)) == keys


def test_member_under_an_alias_has_the_service() -> None:
    """Without NEEDED_SERVICES, the file shows which service an alias means."""
    member = document(resolved_member(need("old:users==1.x"), answer(), AT))

    assert member["service"] == "users"


def test_yanked_version_is_shown_with_its_reason_and_metadata() -> None:
    """The function may log it, or refuse to start."""
    yanked = answer(status="yanked", reason="leaks", metadata={"b": "2", "a": "1"})

    member = document(member_for(need("users==1.4.2"), yanked, AT))

    assert (member["status"], member["reason"]) == ("yanked", "leaks")
    assert list(member["metadata"].items()) == [("a", "1"), ("b", "2")]


def test_answer_below_the_minimum_is_missing() -> None:
    """`>=1.5` does not accept `1.4.2`, even if that is the index's `latest`."""
    member = document(member_for(need("users>=1.5"), answer("1.4.2"), AT))

    assert member == {
        "requested": ">=1.5",
        "status": "missing",
        "error": "no version of 'users' matches '>=1.5'",
    }


def test_unavailable_member_has_only_the_reason() -> None:
    """A function must not mistake an unconfirmed version for an answer."""
    member = document(unavailable_member(need("users"), "timed out after 1500 ms"))

    assert member == {
        "requested": "latest",
        "status": "unavailable",
        "error": "timed out after 1500 ms",
    }


_TEXTS = st.text(max_size=8)
_KEYS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,6}", fullmatch=True)
_RESOLVED = st.builds(
    Member,
    requested=_TEXTS,
    status=st.sampled_from(["active", "yanked"]),
    service=st.none() | _TEXTS,
    version=_TEXTS,
    arn=_TEXTS,
    metadata=st.dictionaries(_TEXTS, _TEXTS, max_size=3),
    reason=st.none() | _TEXTS,
    resolved_at=_TEXTS,
)
_UNRESOLVED = st.builds(
    Member,
    requested=_TEXTS,
    status=st.sampled_from(["missing", "unavailable"]),
    service=st.none() | _TEXTS,
    error=_TEXTS,
)
_MEMBERS = st.dictionaries(_KEYS, _RESOLVED | _UNRESOLVED, max_size=4)


def _parts(member: Member) -> dict[str, object]:
    return {name: getattr(member, name) for name in Member.__slots__}


@given(_MEMBERS)
def test_rendered_file_is_read_back(members: dict[str, Member]) -> None:
    """A file left from an earlier run is the last good answer."""
    again = services_file.parse(services_file.render(list(members.items())))

    assert {key: _parts(member) for key, member in again.items()} == {
        key: _parts(member) for key, member in members.items()
    }


@given(_MEMBERS)
def test_rendered_file_is_valid_json(members: dict[str, Member]) -> None:
    """The text is put together without a JSON library; CPython's parser checks it."""
    data = services_file.render(list(members.items()))

    seen = json.loads(data.decode("utf-8"))
    assert {key: dict(member.to_json()) for key, member in members.items()} == seen


@given(_MEMBERS.filter(bool))
def test_file_cut_at_any_byte_is_an_error(members: dict[str, Member]) -> None:
    """Otherwise, the lost services would look as if they were not needed."""
    data = services_file.render(list(members.items())).rstrip()

    for end in range(len(data)):
        with pytest.raises(ValueError, match=r"\w"):
            services_file.parse(data[:end])


@pytest.mark.parametrize("data", [b"", b"[]", b"null", b'"users"', b"1", b"\xff", b"{"])
def test_document_that_is_no_object_is_an_error(data: bytes) -> None:
    """Any program can write to /tmp."""
    with pytest.raises(ValueError, match=r"\w"):
        services_file.parse(data)


GOOD = {"requested": "latest", "version": "1.4.2", "arn": ARN, "status": "active"}


@pytest.mark.parametrize(
    "member",
    [
        None,
        [],
        "active",
        {},
        GOOD,
        GOOD | {"resolved_at": 1},
        GOOD | {"resolved_at": AT, "status": "gone"},
        GOOD | {"resolved_at": AT, "status": None},
        GOOD | {"resolved_at": AT, "requested": None},
        GOOD | {"resolved_at": AT, "metadata": []},
        GOOD | {"resolved_at": AT, "metadata": {"a": 1}},
        {"requested": "latest", "status": "missing"},
        {"requested": "latest", "status": "unavailable"},
    ],
)
def test_malformed_member_is_left_out_and_the_others_stay(member: object) -> None:
    """The other members count."""
    good = GOOD | {"resolved_at": AT}

    members = services_file.parse(json.dumps({"bad": member, "good": good}).encode())

    assert list(members) == ["good"]
    assert members["good"].arn == ARN


@pytest.mark.parametrize(
    ("other", "is_change"),
    [
        ({}, False),
        ({"resolved_at": "later"}, False),
        ({"error": "worded otherwise"}, False),
        ({"requested": "1.x"}, True),
        ({"status": "yanked"}, True),
        ({"service": "customers"}, True),
        ({"version": "1.4.3"}, True),
        ({"arn": ARN + "3"}, True),
        ({"metadata": {"a": "b"}}, True),
        ({"reason": "leaks"}, True),
    ],
)
def test_file_is_written_only_for_another_answer(other: dict[str, Any], *, is_change: bool) -> None:
    """Readers watch the file's time; another error text is no change."""
    member = resolved_member(need("users"), answer(), AT)
    changed = Member(**(_parts(member) | other))  # type: ignore[arg-type]  # its own parts

    assert changed.has_same_answer(member) == member.has_same_answer(changed) == (not is_change)


def test_earlier_answer_counts_only_for_the_same_need() -> None:
    """Key, service and selector must be the same, and an unresolved member is no answer."""
    wanted = need("users==1.x")
    kept = resolved_member(wanted, answer(), AT)
    aliased = need("users:customers==1.x")

    assert answers_need("users", kept, wanted)
    assert answers_need("users", missing_member(wanted), wanted)
    assert not answers_need("users", unavailable_member(wanted, "timed out"), wanted)
    assert not answers_need("users", kept, need("users==2.x"))
    assert not answers_need("other", kept, wanted)
    assert not answers_need("users", kept, aliased)
    assert not answers_need("users", resolved_member(aliased, answer(), AT), wanted)
    assert answers_need("users", resolved_member(aliased, answer(), AT), aliased)
