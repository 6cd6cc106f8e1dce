"""Comparison of index items: which ones have to be written again."""

import itertools

import pytest

from registry_model.index_layout import Answer, answer_to_item
from registry_tables.index_items import is_current


def answer(**members: object) -> Answer:
    """Return an answer with some members replaced."""
    own: dict[str, object] = {"version": "1.0.0", "arn": "arn:aws:x", "status": "active"}
    own |= {"revision": 7, "updated_at": "now"}
    return Answer(**{**own, **members})  # type: ignore[arg-type]  # the tests' own


@pytest.mark.parametrize(
    "members",
    [
        {"version": "1.0.1"},
        {"arn": "arn:aws:y"},
        {"status": "yanked"},
        {"status": "yanked", "reason": "bad"},
        {"metadata": {"k": "v"}},
        {"copies": 2},
        {"revision": 8},
    ],
)
def test_item_with_another_answer_or_a_later_revision_is_rewritten(
    members: dict[str, object],
) -> None:
    """Each attribute is compared; the revision differs only if it is above the service's."""
    wanted = answer_to_item("users", "1.x", answer())

    assert not is_current(answer_to_item("users", "1.x", answer(**members)), wanted)


def test_item_with_the_same_answer_at_an_earlier_revision_stays() -> None:
    """A write costs, and `updated_at` shows real changes."""
    for revision, updated_at in itertools.product((6, 7), ("now", "then")):
        found = answer_to_item("users", "1.x", answer(revision=revision, updated_at=updated_at))

        assert is_current(found, answer_to_item("users", "1.x", answer()))
