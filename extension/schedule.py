"""When the next check is due.

Portable: runs under MicroPython and CPython. Age and pauses are wall-clock times: the monotonic
clock may stop while the environment is frozen.
"""

_FIRST_PAUSE_S = 1
_LONGEST_PAUSE_S = 30
# If MAX_AGE is 0, each event has a check. A reader that opens the file later than this after the
# last check is assumed to belong to the next invocation.
_OTHER_INVOCATION_S = 1


class Schedule:
    """When the next check is due, by the wall clock."""

    def __init__(self, max_age_s: int) -> None:
        """Set the age from which a check is due; no check has been made."""
        self._max_age_s = max_age_s
        self._longest_pause_s = max(_FIRST_PAUSE_S, min(_LONGEST_PAUSE_S, max_age_s))
        self._pause_s = 0
        self._ended_at = 0.0

    def succeeded(self, now: float) -> None:
        """Record that a check was successful."""
        self._ended_at = now
        self._pause_s = 0

    def failed(self, now: float) -> None:
        """Record that a check failed; the pause grows with each failure."""
        self._ended_at = now
        self._pause_s = min(self._longest_pause_s, self._pause_s * 2 or _FIRST_PAUSE_S)

    def is_due(self, now: float) -> bool:
        """Return whether a check is due; after the clock was set back, it is due at once."""
        return not 0 <= now - self._ended_at < self.wait_s()

    def is_due_for_reader(self, now: float) -> bool:
        """Return whether a check is due for a reader, before the platform has sent an event."""
        wait_s = self.wait_s() or _OTHER_INVOCATION_S
        return not 0 <= now - self._ended_at < wait_s

    def wait_s(self) -> int:
        """Return how many seconds after the last check's end the next one is due."""
        return self._pause_s or self._max_age_s
