"""Look-ups of names with a name server that does not respond."""

import socket
from typing import Any

import pytest

from extension import name_lookup, system
from extension.waiting import DeadlineError

_IPV4, _IPV6 = 10, 11


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


class _OneFamilyWaiter(_SilentWaiter):
    """A waiter with the IPv4 query's result, and no result of the other query."""

    def wait_for_any(self, descriptors: list[int], **options: Any) -> list[tuple[int, bool]]:
        super().wait_for_any(descriptors, **options)
        return [(_IPV4, True)] if _IPV4 in descriptors else []


@pytest.mark.parametrize(("timeout_s", "longest_s"), [(1.5, 0.05), (0.02, 0.02)])
def test_other_family_is_awaited_for_a_moment_and_not_beyond_the_deadline(
    monkeypatch: pytest.MonkeyPatch, timeout_s: float, longest_s: float
) -> None:
    """RFC 8305 calls this the Resolution Delay."""
    pieces = [b"192.0.2.1\n", b""]
    families = {socket.AF_INET: _IPV4, socket.AF_INET6: _IPV6}
    monkeypatch.setattr(system, "start_look_up", lambda _name, family: families[family])
    monkeypatch.setattr(system, "read", lambda _fd, _size: pieces.pop(0))
    monkeypatch.setattr(system, "close", lambda _fd: None)
    waiter: Any = _OneFamilyWaiter()

    found = name_lookup.look_up(
        "registry.example", waiter, ipv4_only=False, deadline=system.monotonic() + timeout_s
    )

    assert found == ["192.0.2.1"]
    assert 0 < waiter.waits[-1][1] <= longest_s
