"""Look-ups of names with a name server that does not respond."""

from typing import Any

import pytest

from extension import name_lookup, system
from extension.waiting import DeadlineError


class _SilentWaiter:
    """A waiter that does not wait; it records the descriptors and the deadlines."""

    def __init__(self) -> None:
        self.waits: list[tuple[int, float]] = []

    def wait_for_any(self, descriptors: list[int], **options: Any) -> list[tuple[int, bool]]:
        self.waits.append((len(descriptors), options["deadline"] - system.monotonic()))
        return []


@pytest.mark.parametrize(("timeout_s", "second_s"), [(1.5, 0.25), (0.8, 0.2)])
def test_silent_query_is_sent_again_well_inside_the_timeout(
    timeout_s: float, second_s: float
) -> None:
    """The second query is sent beside the first one, and both have the remaining time."""
    waiter: Any = _SilentWaiter()

    with pytest.raises(DeadlineError):
        name_lookup.look_up(
            "localhost", waiter, ipv4_only=True, deadline=system.monotonic() + timeout_s
        )

    assert [count for count, _ in waiter.waits] == [1, 2]
    first_s, rest_s = [wait_s for _, wait_s in waiter.waits]
    assert first_s <= second_s + 0.001
    assert second_s < rest_s <= timeout_s
