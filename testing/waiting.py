"""Polls a condition until it holds."""

import time
from collections.abc import Callable

_WITHIN_S = 20


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Wait until *condition* holds; fail after 20 seconds."""
    deadline = time.monotonic() + _WITHIN_S
    pause_s = 0.002
    while not condition():
        if time.monotonic() > deadline:
            message = f"after {_WITHIN_S} s still missing: {what}"
            raise AssertionError(message)
        time.sleep(pause_s)
        # Many conditions invoke the function. Polling too often would slow down what they wait for.
        pause_s = min(pause_s * 1.1, 0.02)
