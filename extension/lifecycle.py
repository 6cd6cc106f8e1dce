"""Handles the init, each invocation, each read of the file, and the shutdown.

Portable: runs under MicroPython and CPython. Deadlines inside one resolve or check use the
monotonic clock, since the wall clock may be set meanwhile. `schedule.py` uses wall-clock times.
"""

import gc

from extension import extensions_api, system
from extension.extensions_api import PlatformError
from extension.held_readers import HeldReaders
from extension.schedule import Schedule
from extension.waiting import Interrupted
from registry_model import services_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from extension.config import Config
    from extension.extensions_api import Event, ExtensionsApi
    from extension.file_writer import ServicesFile
    from extension.init_mark import InitMark
    from extension.log import Log
    from extension.registration import Registration
    from extension.resolver import CheckResult, Resolver
    from extension.waiting import Waiter

# A check must end this long before the invocation's deadline: the invocation has to end in time.
_MARGIN_S = 0.2
# The limit of the first resolve for any TIMEOUT_MS: an on-demand init must end within 10 seconds.
_LONGEST_FIRST_RESOLVE_S = 5
# If an earlier first resolve did not end, the next one has at most TIMEOUT_MS divided by this.
_REPEATED_SHARE = 4
# The platform sends an event to the function and to the extension at the same time, in no fixed
# order. With a MAX_AGE of 0, a reader waits this long for the event that makes a check due. If a
# reader's check began less than this before the event, the event needs no second check.
_EVENT_WITHIN_S = 0.025
# The shortest time between two checks of the timer.
_SHORTEST_TIMER_S = 1
# During a check, the process reads the clock every `_BEAT_S`. If it is more than `_FROZEN_S` late,
# the environment was frozen meanwhile.
_BEAT_S = 0.1
_FROZEN_S = 0.5
# Collect garbage before making a document of this size, so that the heap grows less.
_LARGE = 65_536
_NS = 1_000_000_000


class InitFailedError(Exception):
    """The init has to fail; the type and the message are for the platform."""

    def __init__(self, error_type: str, message: str) -> None:
        """Set the type and the message for the platform."""
        super().__init__(message)
        self.error_type = error_type


class Lifecycle:
    """The work of an extension process, from its start to its end.

    It is also the `Background` of its waiter: during a check it handles held readers and reads the
    platform's next event.
    """

    def __init__(
        self,
        config: "Config",
        api: "ExtensionsApi",
        registration: "Registration",
        resolver: "Resolver",
        file: "ServicesFile",
        mark: "InitMark",
        waiter: "Waiter",
        log: "Log",
        *,
        wall: "Callable[[], float]",
        lease_signals: int,
    ) -> None:
        """Set its parts; nothing is sent or written yet.

        Args:
            registration: The registration, which has begun if there are needs.
            lease_signals: The descriptor that `system.watch_leases` returned.
        """
        self._config = config
        self._api = api
        self._registration = registration
        self._resolver = resolver
        self._file = file
        self._mark = mark
        self._waiter = waiter
        self._log = log
        self._wall = wall
        self._schedule = Schedule(config.max_age_s)
        self._readers = HeldReaders(
            file,
            lease_signals,
            hold_s=0 if registration.on_timer or not config.needs else config.hold_ms / 1000,
            renew=self._renew,
        )
        self.limit: "float | None" = None
        self._is_checking = False
        self._is_frozen = False
        self._beat_at = 0.0
        self._beat_wall = 0.0
        # The event that has arrived and is not handled yet.
        self._event: "Event | None" = None
        # Whether that event arrived during a check, which then serves it.
        self._is_checked = False
        # When the last check for a reader began, on the wall clock; an INVOKE event sets it to 0.
        self._reader_checked_at = 0.0
        self._failure: "PlatformError | None" = None
        # The last INVOKE's deadline, on the wall clock.
        self._invocation_ends_at = 0.0
        # The file's modification time, in nanoseconds since 1970. It is the time of the last
        # successful check.
        self._mtime_ns = registration.mtime_ns
        self._last_fault = ""

    def run(self) -> None:
        """Run until the platform sends SHUTDOWN.

        Raises:
            InitFailedError: In strict mode, if not every need was resolved.
            extensions_api.PlatformError: The Extensions API is unreachable or refuses.
            waiting.Ended: A signal asks the process to end.
        """
        self._waiter.background = self
        if self._config.needs:
            self._init()
        else:
            # Without needs there are no checks: the file keeps the time of the init.
            self._mtime_ns = int(self._wall() * _NS)
            self._check(0, None)
            self._register()
        if self._api.descriptor() is None and self._event is None:
            self._api.ask()
        self._serve()

    def descriptors(self) -> "list[int]":
        """Return the descriptors that an event or a waiting reader makes readable."""
        event = self._api.descriptor()
        if event is None:
            return [self._readers.signals]
        return [self._readers.signals, event]

    def wakes_at(self) -> "float | None":
        """Return when the next timer is due, for example the time limit of a held reader."""
        at = self._readers.wakes_at()
        if not self._is_checking:
            return at
        return self._beat_at if at is None else min(at, self._beat_at)

    def wake(self, readable: "list[int]") -> None:
        """Handle held readers and the platform's event during any wait.

        Raises:
            Interrupted: The check has to stop: SHUTDOWN has arrived, the Extensions API has failed,
                or the environment was frozen meanwhile.
            extensions_api.PlatformError: The Extensions API has failed, and no check is running.
        """
        if self._readers.signals in readable:
            self._readers.notice()
        now = system.monotonic()
        if self._is_checking:
            # Call this before `run_timers`: after a freeze, the readers' time limit starts again.
            self._beat(now)
        self._readers.run_timers(now)
        for descriptor in readable:
            if descriptor != self._readers.signals:
                self._receive(now)

    def _init(self) -> None:
        is_held = self._registration.is_held
        if is_held:
            self._register()
        waits = not is_held or self._registration.on_timer or self._config.waits_at_init
        if not waits:
            self._api.ask()
        is_known = self._registration.is_known and not self._config.waits_at_init
        result = self._first_resolve(self._readers.hold_s if is_known else None)
        if not is_held:
            self._register()
        if self._config.is_strict and result is not None:
            unresolved = self._resolver.unresolved(result)
            if unresolved:
                raise InitFailedError(
                    "Extension.ResolveError",
                    "not every need was resolved: " + "; ".join(unresolved),
                )

    def _first_resolve(self, hold_s: "float | None") -> "CheckResult | None":
        """Resolve every need for the first time.

        Returns:
            None if SHUTDOWN has arrived meanwhile.
        """
        time_s = min(self._config.timeout_ms / 1000, _LONGEST_FIRST_RESOLVE_S)
        unfinished = self._mark.begin()
        if unfinished:
            time_s = min(time_s, self._config.timeout_ms / 1000 / _REPEATED_SHARE)
            if unfinished > 1 and not self._config.is_strict:
                time_s = 0
        self._file.remove_abandoned()
        result = self._check(time_s, hold_s)
        if result is not None:
            self._mark.end()
        return result

    def _register(self) -> None:
        self._registration.complete()
        if self._registration.on_timer:
            self._readers.hold_s = 0

    def _serve(self) -> None:
        timer_at = system.monotonic() + self._timer_s()
        while True:
            event = self._event
            if event is not None:
                if event.kind == extensions_api.SHUTDOWN:
                    return
                self._event = None
                self._handle_invoke(event)
                self._api.ask()
            elif self._file.is_awaited and not self._expects_event():
                self._handle_reader()
            elif self._registration.on_timer and system.monotonic() >= timer_at:
                self._check(self._config.timeout_ms / 1000, None)
                timer_at = system.monotonic() + self._timer_s()
            elif self._file.is_awaited:
                self._waiter.watch(self._readers.held_at + _EVENT_WITHIN_S)
            else:
                self._waiter.watch(timer_at if self._registration.on_timer else None)

    def _timer_s(self) -> int:
        return max(_SHORTEST_TIMER_S, self._schedule.wait_s())

    def _handle_invoke(self, event: "Event") -> None:
        """Make a check if one is due, unless another check has served this event."""
        now = self._wall()
        is_checked = self._is_checked or 0 <= now - self._reader_checked_at < _EVENT_WITHIN_S
        self._is_checked = False
        self._reader_checked_at = 0.0
        self._readers.begin_invocation()
        self._invocation_ends_at = event.deadline_ms / 1000
        is_due = not is_checked and self._schedule.is_due(now)
        if is_due and self._check_in_time(self._invocation_ends_at):
            return
        if self._file.is_awaited:
            self._readers.let_go()

    def _expects_event(self) -> bool:
        """Return whether a reader should wait a moment for the event that makes a check due."""
        return (
            self._config.max_age_s == 0
            and system.monotonic() < self._readers.held_at + _EVENT_WITHIN_S
            and not self._schedule.is_due_for_reader(self._wall())
            and self._schedule.is_due(self._wall())
        )

    def _handle_reader(self) -> None:
        """Make a check if one is due; then let the waiting reader continue."""
        now = self._wall()
        # After its deadline an invocation has ended; the next one's deadline is not known yet.
        ends_at = self._invocation_ends_at if self._invocation_ends_at > now else 0
        if self._schedule.is_due_for_reader(now) and self._check_in_time(ends_at):
            self._reader_checked_at = now
        else:
            self._readers.let_go()

    def _check_in_time(self, ends_at: float) -> bool:
        """Make a check, unless too little time is left; return whether it was made.

        Args:
            ends_at: The invocation's deadline, on the wall clock; 0 if it is not known.
        """
        time_s = self._config.timeout_ms / 1000
        if ends_at:
            time_s = min(time_s, ends_at - _MARGIN_S - self._wall())
        if time_s <= 0:
            return False
        self._check(time_s, self._readers.hold_s)
        return True

    def _receive(self, now: float) -> None:
        """Read the platform's event; also during a check."""
        try:
            event = self._api.receive()
        except PlatformError as error:
            if not self._is_checking:
                raise
            self._failure = error
            raise Interrupted
        if event is None:
            return
        self._event = event
        if not self._is_checking:
            return
        if event.kind == extensions_api.SHUTDOWN:
            raise Interrupted
        # The running check also serves this event, and must end before the event's deadline.
        self._is_checked = True
        self._invocation_ends_at = event.deadline_ms / 1000
        if event.deadline_ms:
            self.limit = now + self._invocation_ends_at - _MARGIN_S - self._wall()

    def _beat(self, now: float) -> None:
        """Interrupt the check if the environment was frozen: the connection may be dead."""
        if self._was_frozen(now):
            self._is_frozen = True
            raise Interrupted
        if now >= self._beat_at:
            self._begin_beat(now)

    def _begin_beat(self, now: float) -> None:
        self._beat_at = now + _BEAT_S
        self._beat_wall = self._wall()

    def _was_frozen(self, now: float) -> bool:
        """Return whether the environment was frozen since the last beat."""
        return max(now - self._beat_at, self._wall() - self._beat_wall - _BEAT_S) > _FROZEN_S

    def _check(self, time_s: float, hold_s: "float | None") -> "CheckResult | None":
        """Resolve every need, and write the file if necessary.

        Args:
            time_s: How long it may take.
            hold_s: How long readers may be held; None for no limit.

        Returns:
            None if SHUTDOWN has arrived meanwhile.
        """
        started = system.monotonic()
        is_repeated = False
        while True:
            self._readers.begin_check(hold_s)
            result = self._resolve(time_s)
            if self._failure is not None:
                raise self._failure
            if result is None and not self._is_frozen:
                self._readers.end_check()
                return None
            if result is not None:
                now = self._wall()
                is_in_place = self._update_file(result, now)
                # After a freeze, the answers are old: resolve again, but only once. Parsing a large
                # response on a slow processor looks like a freeze, too.
                if is_repeated or not self._was_frozen(system.monotonic()):
                    break
                is_repeated = True
            self._readers.restart_limit()
            if self._event is not None and self._event.deadline_ms:
                time_s = min(time_s, self._invocation_ends_at - _MARGIN_S - self._wall())
        if is_in_place and not result.faults:
            self._schedule.succeeded(now)
        else:
            self._schedule.failed(now)
        self._readers.end_check()
        self._log_result(result, system.monotonic() - started)
        gc.collect()
        return result

    def _resolve(self, time_s: float) -> "CheckResult | None":
        """Resolve every need; return None if that was interrupted."""
        started = system.monotonic()
        self.limit = None
        self._is_frozen = False
        self._begin_beat(started)
        self._is_checking = True
        try:
            return self._resolver.resolve(started + time_s)
        except Interrupted:
            return None
        except Exception as error:  # noqa: BLE001  # a bug of ours is a failed check, never a failed invocation
            self._log.error("check failed", traceback=system.format_traceback(error))
            return self._resolver.nothing_answered(system.describe_error(error))
        finally:
            self._is_checking = False
            self.limit = None

    def _update_file(self, result: "CheckResult", now: float) -> bool:
        """Write the file if an answer or the file has changed; return whether the file is correct.

        Its modification time is the time of the last successful check, which may be this one.
        """
        mtime_ns = self._mtime_ns
        if self._config.needs and not result.faults:
            mtime_ns = int(now * _NS)
        if (
            result.faults
            and not result.has_changed
            and self._file.is_replaced_by_newer()
            and self._is_answered_by_file()
        ):
            # After a failed check, keep the newer answers that another environment has written.
            return True
        try:
            if result.has_changed or not self._file.is_unchanged():
                self._replace(mtime_ns)
            elif mtime_ns != self._mtime_ns:
                self._file.touch(mtime_ns)
        except OSError as error:
            self._registration.log_write_failure(error)
            return False
        self._mtime_ns = mtime_ns
        if self._registration.write_fault:
            self._registration.write_fault = ""
            self._log.warn("services file written again", path=self._file.path)
        return True

    def _is_answered_by_file(self) -> bool:
        """Return whether the file in place, written by another process, answers every need."""
        found = self._file.leftover()
        try:
            members = {} if found is None else services_file.parse(found.document)
        except (ValueError, MemoryError):
            return False
        for need in self._config.needs:
            member = members.get(need.key)
            if member is None or not services_file.answers_need(need.key, member, need):
                return False
        return True

    def _replace(self, mtime_ns: int) -> None:
        if self._file.size > _LARGE:
            # The previous answers are garbage now.
            gc.collect()
        self._file.replace(
            self._resolver.document(), mtime_ns, is_leased=self._readers.leases_between_checks
        )

    def _renew(self) -> None:
        """If a check is due, replace a file that a reader has open: the new one can be leased."""
        if not self._schedule.is_due(self._wall()) or not self._file.is_unchanged():
            return
        try:
            self._replace(self._mtime_ns)
        except OSError as error:
            self._registration.log_write_failure(error)

    def _log_result(self, result: "CheckResult", took_s: float) -> None:
        """Log a failure when it begins and when it ends."""
        took_ms = int(took_s * 1000)
        if result.faults:
            keys = sorted(result.faults)
            reason = result.faults[keys[0]]
            if not self._last_fault:
                self._log.warn(
                    "needs not resolved", needs=",".join(keys), reason=reason, took_ms=took_ms
                )
            else:
                self._log.debug("needs still not resolved", needs=",".join(keys), reason=reason)
            self._last_fault = reason
        elif self._last_fault:
            self._last_fault = ""
            self._log.warn("needs resolved again", took_ms=took_ms)
        else:
            self._log.debug("needs checked", changed=result.has_changed, took_ms=took_ms)
