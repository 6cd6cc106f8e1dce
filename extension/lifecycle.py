"""What the extension does when: init, each invocation, the end.

Portable: runs under MicroPython and CPython. The rules of time: age and pauses are wall-clock time,
since the monotonic clock may stand still while the environment is frozen; a deadline inside one
resolve or check is monotonic, since the wall clock may be set meanwhile.
"""

import gc

from extension import extensions_api, system
from extension.extensions_api import EventsRefusedError
from extension.waiting import DeadlineError, Interrupted
from registry_model import services_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from extension.config import Config
    from extension.extensions_api import Event, ExtensionsApi
    from extension.file_writer import ServicesFile
    from extension.log import Log
    from extension.resolver import Outcome, Resolver

# What the platform needs after our check to end an invocation in time.
_MARGIN_S = 0.2
_FIRST_PAUSE_S = 1
_LONGEST_PAUSE_S = 30
_NS = 1_000_000_000


class InitFailedError(Exception):
    """The init has to fail; the platform is told the type and the message."""

    def __init__(self, error_type: str, message: str) -> None:
        """Take what the platform is told."""
        super().__init__(message)
        self.error_type = error_type


class Schedule:
    """When the next check is due."""

    def __init__(self, max_age_s: int) -> None:
        """Take the age from which a check is due."""
        self._max_age_s = max_age_s
        self._longest_pause_s = max(_FIRST_PAUSE_S, min(_LONGEST_PAUSE_S, max_age_s))
        self._pause_s = 0
        self._ended_at = 0.0

    def succeeded(self, now: float) -> None:
        """Note that a check was successful."""
        self._ended_at = now
        self._pause_s = 0

    def failed(self, now: float) -> None:
        """Note that a check failed: the next one waits, longer each time."""
        self._ended_at = now
        self._pause_s = min(self._longest_pause_s, self._pause_s * 2 or _FIRST_PAUSE_S)

    def is_due(self, now: float) -> bool:
        """Tell whether a check is due; a last one that lies in the future counts as long ago."""
        wait_s = self._pause_s or self._max_age_s
        return not 0 <= now - self._ended_at < wait_s

    def wait_s(self) -> float:
        """Tell how long a timer should wait from the last check's end."""
        return max(1, self._pause_s or self._max_age_s)


class Lifecycle:
    """One extension process, from its start to its end."""

    def __init__(
        self,
        config: "Config",
        api: "ExtensionsApi",
        resolver: "Resolver",
        file: "ServicesFile",
        log: "Log",
        wall: "Callable[[], float]",
    ) -> None:
        """Take everything that it works with; nothing is asked or touched yet."""
        self._config = config
        self._api = api
        self._resolver = resolver
        self._file = file
        self._log = log
        self._wall = wall
        self._schedule = Schedule(config.max_age_s)
        self._on_timer = config.is_managed
        # The file's modification time: the last successful check's, in nanoseconds since 1970.
        self._mtime_ns = 0
        self._trouble = ""
        self._file_trouble = ""

    def run(self) -> None:
        """Work until the platform says SHUTDOWN.

        Raises:
            InitFailedError: Strict mode, and not every need was resolved.
            extensions_api.PlatformError: The Extensions API is gone or refuses.
            waiting.Ended: A signal asks the process to end.
        """
        if self._config.needs:
            self._first_resolve()
        else:
            # Nothing will be asked: the file's time is the init's, for good.
            self._mtime_ns = int(self._wall() * _NS)
            self._check(0)
            self._register()
        if self._on_timer:
            self._serve_on_timer()
        else:
            self._serve()

    def _first_resolve(self) -> None:
        self._adopt_leftover()
        is_held = not self._on_timer and self._hold()
        if is_held:
            # The runtime boots while the needs are resolved; the kernel holds early readers back.
            self._register()
        outcome = self._check(self._config.timeout_ms / 1000)
        self._file.release()
        if not is_held:
            self._register()
        if self._config.is_strict:
            unresolved = self._resolver.unresolved(outcome)
            if unresolved:
                raise InitFailedError(
                    "Extension.ResolveError",
                    "not every need was resolved: " + "; ".join(unresolved),
                )

    def _adopt_leftover(self) -> None:
        """Take what an earlier run left, and its time if it answers every need."""
        leftover = self._file.leftover()
        if leftover is None:
            return
        try:
            members = services_file.parse(leftover.document)
        except ValueError as error:
            self._log.warn("earlier file ignored", path=self._file.path, reason=str(error))
            return
        if self._resolver.adopt(members):
            self._mtime_ns = leftover.mtime_ns

    def _hold(self) -> bool:
        try:
            return self._file.hold(self._resolver.document(), self._mtime_ns)
        except OSError as error:
            self._cannot_write(error)
            return False

    def _register(self) -> None:
        if not self._on_timer:
            try:
                self._api.register([extensions_api.INVOKE, extensions_api.SHUTDOWN])
                return
            except EventsRefusedError:
                self._on_timer = True
        self._api.register([extensions_api.SHUTDOWN])

    def _serve(self) -> None:
        while True:
            event = self._api.next()
            if event.kind == extensions_api.SHUTDOWN:
                return
            if self._schedule.is_due(self._wall()):
                self._check_within(event)

    def _serve_on_timer(self) -> None:
        while True:
            try:
                event = self._api.next(system.monotonic() + self._schedule.wait_s())
            except DeadlineError:
                self._check_until_an_event()
                continue
            if event.kind == extensions_api.SHUTDOWN:
                return

    def _check_until_an_event(self) -> None:
        """Check, and drop the check where the platform has something to say meanwhile."""
        self._api.let_events_interrupt()
        try:
            self._check(self._config.timeout_ms / 1000)
        except Interrupted:
            pass
        finally:
            self._api.let_nothing_interrupt()

    def _check_within(self, event: "Event") -> None:
        """Check, unless the invocation has too little time left for it."""
        time_s = self._config.timeout_ms / 1000
        if event.deadline_ms:
            time_s = min(time_s, event.deadline_ms / 1000 - _MARGIN_S - self._wall())
        if time_s > 0:
            self._check(time_s)

    def _check(self, time_s: float) -> "Outcome":
        """Ask about every need and put the file right."""
        started = system.monotonic()
        try:
            outcome = self._resolver.resolve(started + time_s)
        except Exception as error:  # noqa: BLE001  # a bug of ours is a failed check, never a failed invocation
            self._log.error("check failed", traceback=system.format_traceback(error))
            outcome = self._resolver.nothing_answered(system.describe_error(error))
        now = self._wall()
        is_in_place = self._put_right(outcome, now)
        if is_in_place and not outcome.faults:
            self._schedule.succeeded(now)
        else:
            self._schedule.failed(now)
        self._tell(outcome, system.monotonic() - started)
        gc.collect()
        return outcome

    def _put_right(self, outcome: "Outcome", now: float) -> bool:
        """Write the file where an answer or the file itself has changed; tell whether it is right.

        Its modification time is the last successful check's: this one's, if it is one.
        """
        mtime_ns = self._mtime_ns
        if self._config.needs and not outcome.faults:
            mtime_ns = int(now * _NS)
        try:
            if outcome.has_changed or not self._file.is_as_left():
                self._file.replace(self._resolver.document(), mtime_ns)
            elif mtime_ns != self._mtime_ns:
                self._file.touch(mtime_ns)
        except OSError as error:
            self._cannot_write(error)
            return False
        self._mtime_ns = mtime_ns
        if self._file_trouble:
            self._file_trouble = ""
            self._log.warn("services file written again", path=self._file.path)
        return True

    def _cannot_write(self, error: OSError) -> None:
        reason = system.describe_error(error)
        if reason != self._file_trouble:
            self._file_trouble = reason
            self._log.error("services file not written", path=self._file.path, reason=reason)

    def _tell(self, outcome: "Outcome", took_s: float) -> None:
        """Log a trouble when it begins and when it ends."""
        took_ms = int(took_s * 1000)
        if outcome.faults:
            keys = sorted(outcome.faults)
            reason = outcome.faults[keys[0]]
            if not self._trouble:
                self._log.warn(
                    "needs not resolved", needs=",".join(keys), reason=reason, took_ms=took_ms
                )
            else:
                self._log.debug("needs still not resolved", needs=",".join(keys), reason=reason)
            self._trouble = reason
        elif self._trouble:
            self._trouble = ""
            self._log.warn("needs resolved again", took_ms=took_ms)
        else:
            self._log.debug("needs checked", changed=outcome.has_changed, took_ms=took_ms)
