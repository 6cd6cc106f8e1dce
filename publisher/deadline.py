"""The remaining time of an invocation, and a watchdog for its end."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class OutOfTimeError(Exception):
    """The invocation has no time left for another step."""

    def __init__(self) -> None:
        """Set the message."""
        super().__init__(
            "the registry was throttled or unreachable until the publisher's time was over: "
            "see the publisher's log, and deploy again in a moment"
        )


class Deadline:
    """The end of an invocation's work, before Lambda's timeout."""

    def __init__(
        self, remaining_s: Callable[[], float], *, margin_s: float, sleep: Callable[[float], None]
    ) -> None:
        """Set the parts.

        Args:
            remaining_s: Returns the seconds until Lambda's timeout.
            margin_s: The seconds of them that the response needs.
            sleep: Waits for some seconds.
        """
        self._remaining_s = remaining_s
        self._margin_s = margin_s
        self._sleep = sleep

    def left_s(self) -> float:
        """Return the seconds that are left for the work."""
        return self._remaining_s() - self._margin_s

    def check(self) -> None:
        """Raise an `OutOfTimeError` if no time is left."""
        if self.left_s() <= 0:
            raise OutOfTimeError

    def sleep(self, seconds: float) -> None:
        """Wait, unless too little time is left.

        Raises:
            OutOfTimeError: Too little time is left.
        """
        if self.left_s() <= seconds:
            raise OutOfTimeError
        self._sleep(seconds)


@contextmanager
def watchdog(after_s: float, action: Callable[[], None]) -> Iterator[None]:
    """Run *action* in a thread after some seconds, unless the `with` block has ended by then."""
    timer = threading.Timer(max(after_s, 0), action)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
