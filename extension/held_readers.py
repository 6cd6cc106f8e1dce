"""Decides which readers of the services file are held, and for how long.

Portable: runs under MicroPython and CPython. A lease on the file makes the kernel hold each reader
that opens it, and send a signal. If no check is due, the reader continues at once. Otherwise it is
held until the check has ended, or for a limited time.
"""

from extension import system

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from extension.file_writer import ServicesFile

# Room for 16 reports of signals (`signalfd_siginfo`, 128 bytes each).
_REPORTS_BYTES = 128 * 16
# How long to wait for a reader to close the file, so that it can be leased again at once. If the
# environment is frozen before the file is leased again, the next reader is not held.
_PATIENCE_US = 600
# The first and the longest pause before another try to lease the file. Between them, the pause is
# the time since the readers continued, divided by `_RETRY_SHARE`.
_FIRST_RETRY_S = 0.001
_LONGEST_RETRY_S = 0.05
_RETRY_SHARE = 4
# Each lease costs 0.1 to 0.2 ms of processor time. With more reads a second than this, only some of
# them are held. A burst may have up to `_MOST_CREDIT` more.
_LEASES_A_SECOND = 80
_MOST_CREDIT = 50


class HeldReaders:
    """Leases the file during and between checks, and lets held readers continue in time."""

    def __init__(
        self,
        file: "ServicesFile",
        signals: int,
        *,
        hold_s: float,
        renew: "Callable[[], None]",
    ) -> None:
        """Set its parts; nothing is leased before `begin_check`.

        Args:
            file: The services file.
            signals: The descriptor that `system.watch_leases` returned.
            hold_s: How long a check may hold readers; 0 for no lease between checks.
            renew: Called if a reader keeps the file open; replaces the file if a check is due.
        """
        self._file = file
        self._signals = signals
        self._renew = renew
        self.hold_s = hold_s
        # How long the present check may hold readers; None for no limit.
        self._limit_s: "float | None" = None
        self._is_checking = False
        self._has_timed_out = False
        self._held_at = 0.0
        self._let_go_at = 0.0
        # How many leases may be placed without a pause.
        self._credit = float(_MOST_CREDIT)
        self._retry_at: "float | None" = None

    @property
    def signals(self) -> int:
        """The descriptor that is readable once a reader waits."""
        return self._signals

    @property
    def leases_between_checks(self) -> bool:
        """Whether the file is to be leased whenever no reader has it open."""
        return self.hold_s > 0 and self._file.can_lease

    @property
    def held_at(self) -> float:
        """When the first of the waiting readers opened the file, on the monotonic clock."""
        return self._held_at

    def notice(self) -> None:
        """Read the signals; record when the first reader began to wait."""
        try:
            system.read(self._signals, _REPORTS_BYTES)
        except OSError:
            return
        if self._file.notice():
            self._held_at = system.monotonic()

    def begin_invocation(self) -> None:
        """Allow a new burst of leases, so that the new invocation's readers are held."""
        self._credit = float(_MOST_CREDIT)
        if self._retry_at is not None:
            self._retry_at = system.monotonic()

    def begin_check(self, limit_s: "float | None") -> None:
        """Hold readers from now on.

        Args:
            limit_s: The longest time to hold readers, from the first reader on; None for no limit.
        """
        self._limit_s = limit_s
        self._is_checking = True
        self._has_timed_out = False
        if self.leases_between_checks and not self._file.arm(0):
            self._renew()
        self.run_timers(system.monotonic())

    def restart_limit(self) -> None:
        """Restart the time limit: the environment was frozen meanwhile."""
        self._held_at = system.monotonic()

    def end_check(self) -> None:
        """Let the held readers continue, and lease the file for the next check."""
        self._is_checking = self._has_timed_out = False
        self._file.let_replaced_go()
        if not self.leases_between_checks:
            self._file.release()
            self._retry_at = None
        elif self._file.is_awaited:
            self.let_go()
        elif not self._file.is_leased:
            self._try_again(system.monotonic())

    def let_go(self) -> None:
        """Let all waiting readers continue; lease the file again once they have closed it."""
        now = system.monotonic()
        self._file.let_go()
        earned = max(0.0, now - self._let_go_at) * _LEASES_A_SECOND
        self._credit = min(_MOST_CREDIT, self._credit + earned)
        self._let_go_at = now
        self._retry_at = None
        if not self.leases_between_checks or self._has_timed_out:
            return
        # The next lease is counted now, even if it is granted later.
        self._credit -= 1
        if self._credit < 0:
            self._retry_at = now + 1 / _LEASES_A_SECOND
            return
        if not self._file.arm(_PATIENCE_US):
            self._retry_at = now + _FIRST_RETRY_S

    def wakes_at(self) -> "float | None":
        """Return when `run_timers` has something to do; None for never."""
        if self._is_holding and self._is_checking and self._limit_s is not None:
            return self._held_at + self._limit_s
        return None if self._has_timed_out else self._retry_at

    @property
    def _is_holding(self) -> bool:
        return self._file.is_awaited or self._file.has_replaced

    def run_timers(self, now: float) -> None:
        """Let readers continue at their time limit; lease the file again if that is due."""
        at = self.wakes_at()
        if at is None or now < at:
            return
        if self._is_holding:
            # Later readers of this check are not held.
            self._has_timed_out = True
            self.let_go()
        else:
            self._try_again(now)

    def _try_again(self, now: float) -> None:
        self._retry_at = None
        if self._file.arm(0):
            return
        self._renew()
        if self._file.is_leased or not self._file.is_open or not self.leases_between_checks:
            return
        pause_s = (now - self._let_go_at) / _RETRY_SHARE
        self._retry_at = now + min(_LONGEST_RETRY_S, max(_FIRST_RETRY_S, pause_s))
