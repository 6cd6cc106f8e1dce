"""The types of requests and responses: faults with their pointers, and records."""

from typing import Any

import pytest
from pydantic import ValidationError

from registry_api.documents import service_document, version_document
from registry_api.schemas import PublishRequest, StatusRequest, faults_of
from registry_api.values import ServiceView
from registry_model.version import Version
from registry_tables.records import Status
from tests.unit.registry_api import valid

GOOD = {"name": "users", "version": "1.4.2", "arn": str(valid.ARN)}


def faults(document: object) -> list[dict[str, str]]:
    """Return the faults of a publish request; none if it is valid."""
    try:
        PublishRequest.model_validate(document)
    except ValidationError as error:
        return faults_of(error)
    return []


def pointers(document: object) -> list[str]:
    """Return the pointers of a publish request's faults."""
    return [fault["pointer"] for fault in faults(document)]


def test_valid_request_is_converted_to_values() -> None:
    """Absent metadata is empty, and an absent channel is None."""
    plain = PublishRequest.model_validate(GOOD).to_publication()
    whole = PublishRequest.model_validate(
        GOOD | {"metadata": {"commit": "abc"}, "channel": "beta"}
    ).to_publication()

    assert plain == valid.publication("1.4.2")
    assert whole == valid.publication("1.4.2", metadata={"commit": "abc"}, channel="beta")


@pytest.mark.parametrize(
    "member",
    [
        {"metadata": {str(number): "" for number in range(50)}},
        {"metadata": {"k" * 128: "v" * 20_000}},
        {"metadata": {"ключ": "значение 🎉"}},
        {"name": "n" * 64},
        {"channel": "c" * 64},
        {"version": "1.0.0-" + "r" * 58},
        {"arn": "arn:aws:s3:::" + "k" * (2_048 - 13)},
    ],
    ids=lambda member: next(iter(member)),
)
def test_largest_request_is_accepted(member: dict[str, Any]) -> None:
    """The limits themselves are allowed."""
    assert faults(GOOD | member) == []


@pytest.mark.parametrize(
    ("member", "pointer"),
    [
        ({"name": ""}, "/name"),
        ({"name": "-users"}, "/name"),
        ({"name": "us ers"}, "/name"),
        ({"name": "üsers"}, "/name"),
        ({"name": "users\n"}, "/name"),
        ({"name": "n" * 65}, "/name"),
        ({"name": 1}, "/name"),
        ({"name": None}, "/name"),
        ({"version": "1.4"}, "/version"),
        ({"version": 1.4}, "/version"),
        ({"version": "1.0.0-" + "r" * 59}, "/version"),
        ({"version": "1.4.2\n"}, "/version"),
        ({"arn": "users"}, "/arn"),
        ({"arn": "arn:aws:s3:::" + "k" * (2_049 - 13)}, "/arn"),
        ({"arn": ["arn"]}, "/arn"),
        ({"metadata": None}, "/metadata"),
        ({"metadata": []}, "/metadata"),
        ({"metadata": {str(number): "" for number in range(51)}}, "/metadata"),
        ({"metadata": {"k": None}}, "/metadata/k"),
        ({"metadata": {"k": {"deep": "er"}}}, "/metadata/k"),
        ({"metadata": {"k": True}}, "/metadata/k"),
        ({"metadata": {"k" * 129: "v"}}, "/metadata/" + "k" * 129),
        ({"metadata": {"": "v"}}, "/metadata/"),
        ({"channel": ""}, "/channel"),
        ({"channel": "not one"}, "/channel"),
        ({"channel": None}, "/channel"),
        ({"chanel": "beta"}, "/chanel"),
        ({"a/b": 1}, "/a~1b"),
        ({"m~n": 1}, "/m~0n"),
        ({"~1": 1}, "/~01"),
        ({"": 1}, "/"),
        ({"[key]": 1}, "/[key]"),
        ({"metadata": {"[key]": 1}}, "/metadata/[key]"),
        ({"metadata": {"a/~b": 1}}, "/metadata/a~1~0b"),
    ],
    ids=str,
)
def test_fault_has_its_pointer(member: dict[str, Any], pointer: str) -> None:
    """Tools can show the place of the fault by its pointer (RFC 6901)."""
    assert pointers(GOOD | member) == [pointer]


@pytest.mark.parametrize("document", [None, [], [GOOD], "text", 1, True])
def test_body_of_another_shape_is_at_fault_as_a_whole(document: object) -> None:
    """The pointer of the whole document is empty."""
    assert pointers(document) == [""]


def test_all_faults_are_named_at_once() -> None:
    """One run of the pipeline shows everything that has to be corrected."""
    seen = pointers({"name": "-", "arn": "x", "metadata": {"a": 1, "b": 2}, "more": 1})

    assert sorted(seen) == ["/arn", "/metadata/a", "/metadata/b", "/more", "/name", "/version"]


def test_faults_have_the_models_own_messages() -> None:
    """The messages do not mention a library that the client does not know."""
    details = {fault["pointer"]: fault["detail"] for fault in faults(GOOD | {"version": "v1.4.2"})}

    assert details == {
        "/version": "'v1.4.2' is not a version: it starts with 'v'; write only the number"
    }


@pytest.mark.parametrize(
    ("document", "detail"),
    [
        ([], "it should be a JSON object"),
        (GOOD | {"metadata": []}, "it should be a JSON object"),
        (GOOD | {"channel": 3}, "it should be a string"),
        ({"name": "users", "version": "1.4.2"}, "it is missing"),
        (GOOD | {"metadata": {"": "v"}}, "it is empty"),
        (GOOD | {"metadata": {"k" * 129: "v"}}, "it has more than 128 characters"),
        (GOOD | {"metadata": {f"k{n}": "" for n in range(51)}}, "it has more than 50 members"),
    ],
)
def test_faults_of_shape_speak_of_json(document: object, detail: str) -> None:
    """A client that sends JSON knows neither dictionaries nor our classes."""
    assert [fault["detail"] for fault in faults(document)] == [detail]


@pytest.mark.parametrize(
    ("document", "detail"),
    [
        ({"status": "yank"}, "it should be 'active' or 'yanked'"),
        ({"status": "yanked", "reason": "r" * 1_025}, "it has more than 1,024 characters"),
    ],
)
def test_faults_of_a_status_say_what_is_expected(document: object, detail: str) -> None:
    with pytest.raises(ValidationError) as raised:
        StatusRequest.model_validate(document)

    assert [fault["detail"] for fault in faults_of(raised.value)] == [detail]


def test_record_has_no_empty_members() -> None:
    """A record has no reason without a yank, and no empty metadata."""
    plain = version_document(valid.record("1.4.2"))
    yanked = version_document(
        valid.record("1.4.2", status=Status.YANKED, reason="broken", metadata={"a": "b"})
    )

    assert plain == GOOD | {
        "status": "active",
        "published_at": valid.NOW,
        "published_by": "somebody",
        "revision": 1,
    }
    assert yanked == plain | {"status": "yanked", "reason": "broken", "metadata": {"a": "b"}}


def test_service_shows_its_latest_and_its_channels() -> None:
    """Channels are in the order of names, so that a diff of two documents shows only changes."""
    channels = {name: Version.parse("1.4.2") for name in ("beta", "alpha")}
    view = ServiceView(service=valid.service(channels=channels), latest=valid.record("1.4.2"))

    document = service_document(view)

    assert document == {
        "name": "users",
        "latest": version_document(valid.record("1.4.2")),
        "channels": {"alpha": "1.4.2", "beta": "1.4.2"},
        "revision": 1,
        "created_at": valid.NOW,
        "updated_at": valid.NOW,
    }
    assert list(document["channels"]) == ["alpha", "beta"]


def test_service_without_a_stable_version_has_no_latest() -> None:
    view = ServiceView(service=valid.service(), latest=None)

    assert service_document(view)["latest"] is None
