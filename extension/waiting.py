"""Waiting for sockets and files, with a deadline, while signals are watched.

Portable: runs under MicroPython and CPython. All sockets are non-blocking: use `Waiter` to wait.
"""

import select

from extension.system import monotonic

# Mbed TLS may need more than the raw socket's readiness shows: look again after this long.
_TLS_POLL_MS = 20


class Ended(BaseException):
    """SIGTERM or SIGINT has come: the process should end, with status 0."""


class Interrupted(BaseException):
    """The descriptor of `Waiter.interrupted_by` has become readable during a wait."""


class DeadlineError(Exception):
    """The deadline has passed before the awaited event came."""

    def __init__(self) -> None:
        """Set the message."""
        super().__init__("no answer in time")


class Waiter:
    """Waits for descriptors, until a deadline, and watches for signals meanwhile.

    Attributes:
        interrupted_by: The descriptor that ends every wait with `Interrupted` once it is readable;
            None if there is none.
    """

    def __init__(self, signals: int) -> None:
        """Make a waiter.

        Args:
            signals: The descriptor that `system.watch_signals` returned.
        """
        self._signals = signals
        self.interrupted_by: "int | None" = None

    def wait(self, descriptor: object, *, to_write: bool, deadline: "float | None") -> bool:
        """Wait until *descriptor* is readable or writable, or has failed.

        Args:
            descriptor: A socket, or the number of an open file.
            to_write: Whether to wait for room to write, or for something to read.
            deadline: When to stop waiting, on the monotonic clock; None for never.

        Returns:
            False if it has failed, or its peer is gone.

        Raises:
            DeadlineError: The deadline has passed.
            Ended: A signal asks the process to end.
        """
        events = self._poll(descriptor, to_write, deadline, None)
        if not events:
            raise DeadlineError
        return not events & (select.POLLERR | select.POLLHUP)

    def wait_for_any(
        self, descriptors: "list[int]", *, to_write: bool, deadline: "float | None"
    ) -> "list[tuple[int, bool]]":
        """Wait until one of *descriptors* is readable or writable, or has failed.

        Returns:
            Each that is, with False if it has failed; none when the deadline has passed.

        Raises:
            Ended: A signal asks the process to end.
        """
        poller = self._poller()
        for descriptor in descriptors:
            poller.register(descriptor, select.POLLOUT if to_write else select.POLLIN)
        events = self._events(poller, _timeout_ms(deadline))
        failed = select.POLLERR | (select.POLLHUP if to_write else 0)
        return [(descriptor, not each & failed) for descriptor, each in events]

    def wait_briefly(self, descriptor: object, *, deadline: "float | None") -> None:
        """Wait for something to read, but at most a short while.

        A TLS handshake may be able to go on although its socket is not readable.

        Raises:
            DeadlineError: The deadline has passed.
            Ended: A signal asks the process to end.
        """
        events = self._poll(descriptor, False, deadline, _TLS_POLL_MS)
        if not events and deadline is not None and monotonic() >= deadline:
            raise DeadlineError

    def is_readable(self, descriptor: object) -> bool:
        """Return whether something can be read right now, the end of the stream included."""
        return self._poll(descriptor, False, None, 0) != 0

    def _poll(
        self,
        descriptor: object,
        to_write: bool,  # noqa: FBT001  # private
        deadline: "float | None",
        at_most_ms: "int | None",
    ) -> int:
        """Return the events of *descriptor*; 0 if none came in time."""
        poller = self._poller()
        poller.register(descriptor, select.POLLOUT if to_write else select.POLLIN)  # type: ignore[arg-type]  # a file number or a socket
        timeout = _timeout_ms(deadline)
        if at_most_ms is not None:
            timeout = at_most_ms if timeout < 0 else min(timeout, at_most_ms)
        return self._wait(poller, timeout)

    def _poller(self) -> "select.poll":
        poller = select.poll()
        poller.register(self._signals, select.POLLIN)
        if self.interrupted_by is not None:
            poller.register(self.interrupted_by, select.POLLIN)
        return poller

    def _wait(self, poller: "select.poll", timeout_ms: int) -> int:
        events = 0
        for event in self._events(poller, timeout_ms):
            events |= event[1]
        return events

    def _events(self, poller: "select.poll", timeout_ms: int) -> "list[tuple[int, int]]":
        events = poller.poll(timeout_ms)
        for event in events:
            if event[0] == self._signals:
                raise Ended
            if event[0] == self.interrupted_by:
                raise Interrupted
        return events

    def pause(self, seconds: float) -> None:
        """Wait for *seconds*.

        Raises:
            Ended: A signal asks the process to end.
        """
        self._wait(self._poller(), int(seconds * 1000))

    def check(self, deadline: "float | None") -> None:
        """Raise what `wait` would raise now, without waiting."""
        self._wait(self._poller(), 0)
        if deadline is not None and monotonic() >= deadline:
            raise DeadlineError


def _timeout_ms(deadline: "float | None") -> int:
    """Return the time until *deadline* for `poll`; -1 for ever."""
    if deadline is None:
        return -1
    # Rounded up: a millisecond too early would be a busy loop.
    return max(0, int((deadline - monotonic()) * 1000 + 0.999))
