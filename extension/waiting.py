"""Waits for sockets and files until a deadline; handles signals and background work meanwhile.

Portable: runs under MicroPython and CPython. All sockets are non-blocking: use `Waiter` to wait.
"""

import select

from extension.system import monotonic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Protocol

    class Background(Protocol):
        """Work that is done during every wait: events of the platform, held readers, timers.

        Attributes:
            limit: The latest end of every wait, on the monotonic clock; None for no limit.
        """

        limit: "float | None"

        def descriptors(self) -> "list[int]":
            """Return the descriptors to watch for something to read."""

        def wakes_at(self) -> "float | None":
            """Return the latest time to call `wake`, on the monotonic clock; None for never."""

        def wake(self, readable: "list[int]") -> None:
            """Do the work that is due; called after every wait.

            Raises:
                Interrupted: The work that waits has to stop.
            """


# Mbed TLS may be able to continue although its socket is not ready: try again after this time.
_TLS_POLL_MS = 20


class Ended(BaseException):
    """SIGTERM or SIGINT has arrived: the process should end with exit status 0."""


class Interrupted(BaseException):
    """The work that waits has to stop: see `Background.wake`."""


class DeadlineError(Exception):
    """The deadline has passed, and the awaited event has not happened."""

    def __init__(self) -> None:
        """Set the message."""
        super().__init__("no response in time")


def _earliest(first: "float | None", second: "float | None") -> "float | None":
    if first is None or second is None:
        return second if first is None else first
    return min(first, second)


def _timeout_ms(deadline: "float | None") -> int:
    """Return the time until *deadline*, for `poll`; -1 for no deadline."""
    if deadline is None:
        return -1
    # Rounded up: `poll` with 0 before the deadline would be a busy loop.
    return max(0, int((deadline - monotonic()) * 1000 + 0.999))


class Waiter:
    """Waits for descriptors until a deadline, and for signals meanwhile.

    Attributes:
        background: The work to do during every wait, or None.
    """

    def __init__(self, signals: int) -> None:
        """Make a waiter.

        Args:
            signals: The descriptor that `system.watch_signals` returned.
        """
        self._signals = signals
        self.background: "Background | None" = None

    def wait(self, descriptor: object, *, to_write: bool, deadline: "float | None") -> bool:
        """Wait until *descriptor* is readable or writable, or has failed.

        Args:
            descriptor: A socket, or the number of an open file.
            to_write: Whether to wait for room to write, or for something to read.
            deadline: When to stop waiting, on the monotonic clock; None for never.

        Returns:
            False if it has failed, or its peer has closed the connection.

        Raises:
            DeadlineError: The deadline has passed.
            Ended: A signal asks the process to end.
        """
        events = self._poll([descriptor], to_write, deadline)
        if not events:
            raise DeadlineError
        return not events[0][1] & (select.POLLERR | select.POLLHUP)

    def wait_for_any(
        self, descriptors: "list[int]", *, to_write: bool, deadline: "float | None"
    ) -> "list[tuple[int, bool]]":
        """Wait until one of *descriptors* is readable or writable, or has failed.

        Returns:
            The ready descriptors, each with False if it has failed; an empty list at the deadline.

        Raises:
            Ended: A signal asks the process to end.
        """
        events = self._poll(descriptors, to_write, deadline)
        failed = select.POLLERR | (select.POLLHUP if to_write else 0)
        return [(descriptor, not each & failed) for descriptor, each in events]

    def wait_briefly(self, descriptor: object, *, deadline: "float | None") -> None:
        """Wait for something to read, but only briefly.

        A TLS handshake may be able to continue although its socket is not readable.

        Raises:
            DeadlineError: The deadline has passed.
            Ended: A signal asks the process to end.
        """
        brief = _earliest(deadline, monotonic() + _TLS_POLL_MS / 1000)
        if not self._poll([descriptor], False, brief):
            self._check_time(deadline)

    def is_readable(self, descriptor: object) -> bool:
        """Return whether something can be read now; the end of the stream counts, too.

        The background's work is done at the next wait, not here, so that the request is sent first.
        """
        poller = select.poll()
        poller.register(descriptor, select.POLLIN)  # type: ignore[arg-type]  # a file number or a socket
        return bool(poller.poll(0))

    def watch(self, deadline: "float | None") -> None:
        """Wait until the background's `wake` has been called, or until *deadline*.

        Raises:
            Ended: A signal asks the process to end.
        """
        self._wait(self._poller(), deadline)

    def pause(self, seconds: float) -> None:
        """Wait for *seconds*.

        Raises:
            Ended: A signal asks the process to end.
        """
        self._poll([], False, monotonic() + seconds)

    def check(self, deadline: "float | None") -> None:
        """Raise the exception that `wait` would raise now, without waiting."""
        self._wait(self._poller(), monotonic())
        self._check_time(deadline)

    def _limited(self, deadline: "float | None") -> "float | None":
        return deadline if self.background is None else _earliest(deadline, self.background.limit)

    def _check_time(self, deadline: "float | None") -> None:
        limited = self._limited(deadline)
        if limited is not None and monotonic() >= limited:
            raise DeadlineError

    def _poll(
        self,
        descriptors: "Sequence[object]",
        to_write: bool,  # noqa: FBT001  # private
        deadline: "float | None",
    ) -> "list[tuple[int, int]]":
        """Return the events of *descriptors*; an empty list at the deadline."""
        while True:
            poller = self._poller()
            for descriptor in descriptors:
                poller.register(descriptor, select.POLLOUT if to_write else select.POLLIN)  # type: ignore[arg-type]  # a file number or a socket
            events = self._wait(poller, self._limited(deadline))
            # The background's work may have set an earlier limit.
            limited = self._limited(deadline)
            if events or (limited is not None and monotonic() >= limited):
                return events

    def _poller(self) -> "select.poll":
        poller = select.poll()
        poller.register(self._signals, select.POLLIN)
        if self.background is not None:
            for descriptor in self.background.descriptors():
                poller.register(descriptor, select.POLLIN)
        return poller

    def _wait(self, poller: "select.poll", deadline: "float | None") -> "list[tuple[int, int]]":
        """Poll once, and call the background's `wake`; return the other descriptors' events."""
        background = self.background
        watched: "list[int]" = []
        if background is not None:
            watched = background.descriptors()
            deadline = _earliest(deadline, background.wakes_at())
        events = []
        readable = []
        for event in poller.poll(_timeout_ms(deadline)):
            if event[0] == self._signals:
                raise Ended
            if event[0] in watched:
                readable.append(event[0])
            else:
                # MicroPython may reuse the tuple.
                events.append((event[0], event[1]))
        if background is not None:
            background.wake(readable)
        return events
