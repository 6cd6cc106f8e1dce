from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_model.version import Version
from stream_sync import stream_records
from stream_sync.stream_records import ChangeRecord, RecordError


def record(entry: str = "e#a7", image: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "eventName": "INSERT",
        "dynamodb": {
            "Keys": {"service": {"S": "users"}, "entry": {"S": entry}},
            "NewImage": image or {},
            "SequenceNumber": "111",
            "ApproximateCreationDateTime": 1_700_000_000,
        },
    }


def test_history_event_has_version_channel_and_revision() -> None:
    """From the revision the worker knows whether there are later changes."""
    image = {"version": {"S": "1.4.2"}, "channel": {"S": "beta"}, "revision": {"N": "7"}}

    assert stream_records.parse(record(image=image)) == ChangeRecord(
        service="users",
        sequence_number="111",
        created_at=1_700_000_000.0,
        version=Version(1, 4, 2),
        channel="beta",
        revision=7,
    )


def test_attributes_and_actions_of_a_newer_writer_are_accepted() -> None:
    """Only the version and the channel matter, not the action's name."""
    image = {"version": {"S": "1.4.2"}, "action": {"S": "bless"}, "blessed": {"BOOL": True}}

    assert stream_records.parse(record(image=image)).version == Version(1, 4, 2)


def test_version_that_a_channel_is_set_to_is_not_affected_itself() -> None:
    """The version's own answers and those of its series have not changed."""
    image = {"version": {"S": "1.4.2"}, "channel": {"S": "beta"}, "action": {"S": "set-channel"}}

    found = stream_records.parse(record(image=image))

    assert (found.version, found.channel) == (None, "beta")


def test_removed_service_has_neither_version_nor_channel() -> None:
    """The whole service was deleted; it may exist again now."""
    found = stream_records.parse(record("#service") | {"eventName": "REMOVE"})

    assert found.is_removal
    assert (found.service, found.version, found.channel, found.revision) == ("users", None, None, 0)


@pytest.mark.parametrize(
    "image",
    [
        {"version": {"S": "one"}},
        {"version": {"N": "1"}},
        {"version": "1.0.0"},
        {"version": {"S": ["1.0.0"]}},
        {"channel": {"S": ""}},
        {"channel": {"S": "a b"}},
        {"channel": {"S": {}}},
        {"revision": {"N": "seven"}},
        {"revision": {"S": "7"}},
        {"revision": None},
    ],
)
def test_poisoned_image_is_refused(image: dict[str, Any]) -> None:
    """It would otherwise fail the batch, or recompute the wrong answers."""
    with pytest.raises(RecordError):
        stream_records.parse(record(image=image))


def test_entry_of_an_unknown_kind_is_refused_and_named() -> None:
    """A newer writer's record may mean anything, so the log has its key."""
    with pytest.raises(RecordError, match="z#new"):
        stream_records.parse(record("z#new"))


_NAMES = (
    *("dynamodb", "Keys", "NewImage", "OldImage", "SequenceNumber", "ApproximateCreationDateTime"),
    *("service", "entry", "version", "channel", "revision", "S", "N"),
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_NAMES), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(_JSON)
def test_any_record_is_parsed_or_refused(document: Any) -> None:
    """A malformed record must not end the invocation."""
    number = stream_records.sequence_number_of(document)
    assert isinstance(number, str)
    assert isinstance(stream_records.service_of(document), str)
    try:
        found = stream_records.parse(document)
    except RecordError:
        return
    assert found.sequence_number == number


@given(st.sampled_from(["service", "entry", "NewImage", "SequenceNumber", "version"]), _JSON)
def test_record_with_one_changed_part_is_parsed_or_refused(part: str, other: Any) -> None:
    """The same for records that are nearly right."""
    whole = record(image={"version": {"S": "1.0.0"}, "revision": {"N": "1"}})
    change = whole["dynamodb"]
    if part in change["Keys"]:
        change["Keys"][part] = other
    elif part in change:
        change[part] = other
    else:
        change["NewImage"][part] = other
    try:
        found = stream_records.parse(whole)
    except RecordError:
        return
    assert isinstance(found.service, str)
    assert found.version is None or isinstance(found.version, Version)
