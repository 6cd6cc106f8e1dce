"""Connections whose first packet is lost."""

import socket
from typing import Any

import pytest

from extension import sockets, system


class _LateWaiter:
    """A waiter for which the last attempt connects; it records descriptors and deadlines."""

    def __init__(self, attempts: int) -> None:
        self._attempts = attempts
        self.waits: list[tuple[int, float]] = []

    def wait_for_any(self, descriptors: list[int], **options: Any) -> list[tuple[int, bool]]:
        self.waits.append((len(descriptors), options["deadline"] - system.monotonic()))
        if len(descriptors) < self._attempts:
            return []
        return [(descriptors[-1], True)]


@pytest.mark.parametrize(("timeout_s", "second_s"), [(1.5, 0.25), (0.6, 0.2)])
def test_silent_connection_is_tried_again_well_inside_the_timeout(
    timeout_s: float, second_s: float
) -> None:
    """The second attempt is made beside the first one, and both have the remaining time."""
    waiter: Any = _LateWaiter(attempts=2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        address, connection = sockets.connect(
            ["127.0.0.1"], port, waiter, deadline=system.monotonic() + timeout_s
        )

    connection.close()
    assert address == "127.0.0.1"
    assert [count for count, _ in waiter.waits] == [1, 2]
    first_s, rest_s = [wait_s for _, wait_s in waiter.waits]
    assert first_s <= second_s + 0.001
    assert second_s < rest_s <= timeout_s
