"""Waiting for what has to come, instead of sleeping."""

import time
from collections.abc import Callable

LONG_S = 20.0
_LOOK_EVERY_S = 0.002


def wait_until(condition: Callable[[], object], what: str, within_s: float = LONG_S) -> None:
    """Wait until *condition* holds.

    Raises:
        AssertionError: It does not within *within_s*; the message says *what* was waited for.
    """
    give_up_at = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > give_up_at:
            raise AssertionError(f"waited {within_s:g} s in vain for: {what}")
        time.sleep(_LOOK_EVERY_S)
