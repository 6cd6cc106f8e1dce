"""The items of consumers and their needs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_model.needs import parse_needs
from registry_tables import consumers_layout as layout
from registry_tables.consumers_layout import Consumer, ConsumerNeed, Source

GENERATION = layout.new_generation(1_700_000_000_000, None, 0.5)


def _need(text: str) -> ConsumerNeed:
    (need,) = parse_needs(text)
    return ConsumerNeed(consumer="1:eu-west-1:orders", generation=GENERATION, need=need)


@pytest.mark.parametrize(
    "members",
    [{}, {"arn": "arn:aws:lambda:eu-west-1:123456789012:function:orders"}, {"owner": "team-a"}],
)
def test_consumer_is_read_as_it_was_written(members: dict[str, str]) -> None:
    consumer = Consumer(
        name="orders",
        needed="users==1.x",
        source=Source.DECLARED,
        seen_at="2026-01-01T00:00:00Z",
        generation=GENERATION,
        **members,
    )

    assert layout.consumer_from_item(layout.consumer_to_item(consumer)) == consumer


@pytest.mark.parametrize(
    "text", ["users", "users==1.x", "old:users~=1.4", "users>=1", "users@beta", "users==1.4.2"]
)
def test_need_is_read_as_it_was_written(text: str) -> None:
    written = _need(text)

    read = layout.need_from_item("users", layout.need_to_item(written))

    assert (read.consumer, read.generation) == (written.consumer, written.generation)
    assert (read.need.key, read.need.service) == (written.need.key, written.need.service)
    assert read.need.selector.requested == written.need.selector.requested
    assert read.need.selector.index_selector == written.need.selector.index_selector


@pytest.mark.parametrize("text", ["users", "users==1.x", "old:users~=1.4"])
def test_need_is_shown_as_it_can_be_written(text: str) -> None:
    (again,) = parse_needs(str(_need(text)))

    assert (again.key, again.service) == (_need(text).need.key, "users")


def test_query_goes_on_at_the_position_of_a_need() -> None:
    need = _need("users==1.x")
    item = layout.need_to_item(need)

    key = layout.position_key("users", need.position)

    assert key == {name: item[name] for name in ("service", "position", "consumer", "entry")}


@pytest.mark.parametrize("position", ["", "orders", "#n#", "orders#", "orders##consumer"])
def test_malformed_position_is_refused(position: str) -> None:
    with pytest.raises(ValueError, match="is not the position of a need"):
        layout.parse_position(position)


@given(
    now_ms=st.integers(0, 10**14),
    earlier_ms=st.integers(0, 10**14),
    random=st.floats(0, 1, exclude_max=True),
)
def test_generation_sorts_after_the_one_that_it_replaces(
    now_ms: int, earlier_ms: int, random: float
) -> None:
    """This is true even if this process's clock is behind the previous writer's."""
    earlier = layout.new_generation(earlier_ms, None, random)

    later = layout.new_generation(now_ms, earlier, random)

    assert later > earlier


def test_end_of_needs_sorts_after_its_generation_and_before_later_ones() -> None:
    later = layout.new_generation(1_700_000_000_000, GENERATION, 0.0)

    end = layout.end_of_needs(GENERATION)

    assert layout.need_entry(GENERATION, "~" * 64) < end < layout.need_entry(later, "")
