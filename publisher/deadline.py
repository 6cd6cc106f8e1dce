"""The time that an invocation has left, and what happens just before it ends."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class OutOfTimeError(Exception):
    """The invocation has no time left for another step."""

    def __init__(self) -> None:
        """Write the message."""
        super().__init__(
            "the registry was throttled or unreachable until the publisher's time was up: "
            "see the publisher's log, and deploy again in a moment"
        )


class Deadline:
    """When the work of an invocation ends, which is before Lambda ends the invocation."""

    def __init__(
        self, remaining_s: Callable[[], float], *, margin_s: float, sleep: Callable[[float], None]
    ) -> None:
        """Keep the parts.

        Args:
            remaining_s: Returns the seconds that Lambda leaves to the invocation.
            margin_s: What the response needs of them.
            sleep: Waits for some seconds.
        """
        self._remaining_s = remaining_s
        self._margin_s = margin_s
        self._sleep = sleep

    def left_s(self) -> float:
        """Return the seconds that are left for the work."""
        return self._remaining_s() - self._margin_s

    def check(self) -> None:
        """Raise an `OutOfTimeError` once the time is up."""
        if self.left_s() <= 0:
            raise OutOfTimeError

    def sleep(self, seconds: float) -> None:
        """Wait, unless the time is up before the wait is over.

        Raises:
            OutOfTimeError: It would be.
        """
        if self.left_s() <= seconds:
            raise OutOfTimeError
        self._sleep(seconds)


@contextmanager
def watchdog(after_s: float, action: Callable[[], None]) -> Iterator[None]:
    """Run *action* in a thread after some seconds, unless the block has ended before."""
    timer = threading.Timer(max(after_s, 0), action)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
