"""The index table's items: a public format."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_model import index_layout as layout
from registry_model.index_layout import Answer, IndexItemError, answer_from_item, answer_to_item

_TEXTS = st.text(max_size=10)
_ANSWERS = st.builds(
    Answer,
    version=_TEXTS,
    arn=_TEXTS,
    status=st.sampled_from(["active", "yanked"]),
    revision=st.integers(1, 10**12),
    updated_at=_TEXTS,
    reason=st.none() | _TEXTS,
    metadata=st.dictionaries(_TEXTS, _TEXTS, max_size=3),
    copies=st.integers(1, 50),
)
ITEM: dict[str, Any] = {
    "service": {"S": "users"},
    "selector": {"S": "latest"},
    "version": {"S": "1.4.2"},
    "arn": {"S": "arn:aws:lambda:eu-west-1:123456789012:function:users:42"},
    "status": {"S": "active"},
    "revision": {"N": "7"},
    "updated_at": {"S": "2026-01-01T00:00:00Z"},
}


def _parts(answer: Answer) -> dict[str, object]:
    return {name: getattr(answer, name) for name in Answer.__slots__}


@given(_ANSWERS, st.integers(0, 49))
def test_answer_is_read_back_from_its_item(answer: Answer, copy: int) -> None:
    item = answer_to_item("users", "1.x", answer, copy)

    assert _parts(answer_from_item(item)) == _parts(answer)
    assert layout.key_of(item) == (layout.partition_key("users", copy), "1.x")
    assert item.items() >= layout.item_key("users", "1.x", copy).items()


def test_item_is_as_documented() -> None:
    """Readers in other languages rely on it; absent values have no attribute."""
    answer = answer_from_item(ITEM)

    assert answer_to_item("users", "latest", answer) == ITEM


def test_item_has_reason_metadata_and_copies() -> None:
    """The reason of a yank, the metadata and the number of copies are in the item."""
    more = {
        "status": {"S": "yanked"},
        "reason": {"S": "broken"},
        "metadata": {"M": {"team": {"S": "shelf"}}},
        "copies": {"N": "3"},
    }
    item = ITEM | more

    answer = answer_from_item(item)

    assert (answer.reason, answer.metadata, answer.copies) == ("broken", {"team": "shelf"}, 3)
    assert answer_to_item("users", "latest", answer) == item


def test_copies_stand_under_keys_of_their_own() -> None:
    """No service's name begins with `#`, so no copy hides another service."""
    assert [layout.partition_key("users", copy) for copy in range(3)] == [
        "users",
        "#1#users",
        "#2#users",
    ]


@pytest.mark.parametrize("name", ["version", "arn", "status", "revision", "updated_at"])
@pytest.mark.parametrize(
    "value", [None, {}, {"NULL": True}, {"S": 1}, {"N": "x"}, "text", {"BOOL": True}, {"S": None}]
)
def test_error_of_a_malformed_item_names_the_attribute(name: str, value: object) -> None:
    """The table may have been edited; a function must not get an incomplete answer."""
    item = {key: attribute for key, attribute in ITEM.items() if key != name}
    if value is not None:
        item[name] = value

    with pytest.raises(IndexItemError, match=name):
        answer_from_item(item)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("status", {"S": "gone"}),
        ("reason", {"N": "1"}),
        ("metadata", {"S": "x"}),
        ("metadata", {"M": []}),
        ("metadata", {"M": {"a": {"N": "1"}}}),
        ("copies", {"S": "2"}),
        ("copies", {"N": "1.5"}),
    ],
)
def test_malformed_part_is_an_error(name: str, value: object) -> None:
    """An optional attribute, if present, must have its type."""
    with pytest.raises(IndexItemError):
        answer_from_item(ITEM | {name: value})


@pytest.mark.parametrize("missing", ["service", "selector"])
def test_item_without_a_key_is_an_error(missing: str) -> None:
    with pytest.raises(IndexItemError, match=missing):
        layout.key_of({name: value for name, value in ITEM.items() if name != missing})


@given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,9}", fullmatch=True), st.integers(0, 49))
def test_partition_key_is_parsed_to_service_and_copy(service: str, copy: int) -> None:
    """To a rebuild, a copy must not look like an unknown service."""
    assert layout.service_of(layout.partition_key(service, copy)) == (service, copy)


@given(st.text(st.sampled_from("#0123459²x"), min_size=1, max_size=6))
def test_any_partition_key_is_parsed_and_formatted_back(partition: str) -> None:
    """A rebuild deletes items by the key that they have."""
    service, copy = layout.service_of(partition)

    assert service
    assert layout.partition_key(service, copy) == partition
