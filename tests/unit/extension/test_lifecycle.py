"""The extension's decisions, with a simulated clock that tests move forwards and back."""

import gc
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extension import system
from extension.config import Config
from extension.extensions_api import Event, EventsRefusedError
from extension.file_writer import ServicesFile
from extension.index_reader import Reading
from extension.init_mark import InitMark
from extension.lifecycle import InitFailedError, Lifecycle
from extension.log import Log
from extension.registration import Registration
from extension.resolver import Resolver
from extension.schedule import Schedule
from registry_model.index_layout import Answer

_YEAR_S = 365 * 86_400
_START = 1_800_000_000.0
_FAR = 1e15
_EVENT_DESCRIPTOR = -9


def _answer(version: str, revision: int = 1, **members: Any) -> Answer:
    return Answer(
        **{
            "version": version,
            "arn": f"arn:{version}",
            "status": "active",
            "revision": revision,
            "updated_at": "2026-01-01T00:00:00Z",
            **members,
        }
    )


@dataclass
class LifecycleWorld:
    """The simulated parts of a lifecycle, and the wall clock."""

    path: Path
    now: float = _START
    answers: dict[str, Answer | None] = field(default_factory=dict)
    fault: str = ""
    is_broken: bool = False
    given_s: list[float] = field(default_factory=list)
    frozen_s: list[float] = field(default_factory=list)
    events: list[Callable[[], Event]] = field(default_factory=list)
    registered: list[list[str]] = field(default_factory=list)
    refused: tuple[str, ...] = ()
    log: list[str] = field(default_factory=list)
    background: Any = None
    is_asked: bool = False
    is_registering: bool = False
    arrived: Event | None = None

    # The index.
    def read(
        self, keys: list[tuple[str, str]], deadline: float, _choose_others: object = None
    ) -> Reading:
        """Return the known answers, or none of them while there is a fault."""
        self.given_s.append(deadline - system.monotonic())
        if self.is_broken:
            raise ZeroDivisionError
        reading = Reading()
        for key in keys:
            if self.fault:
                reading.faults[key] = self.fault
            else:
                reading.answers[key] = self.answers.get(key[0])
        if self.frozen_s:
            self.now += self.frozen_s.pop(0)
        return reading

    # The platform.
    def register(self, events: list[str]) -> None:
        """Record the requested events, unless that was done; refuse events that are not sent."""
        if not self.is_registering:
            self.start_registering(events)
        self.is_registering = False
        if set(self.registered[-1]) & set(self.refused):
            raise EventsRefusedError

    def start_registering(self, events: list[str]) -> None:
        """Record the requested events."""
        self.registered.append(events)
        self.is_registering = True

    def ask(self) -> None:
        """Record that the next event was asked for."""
        self.is_asked = True

    def descriptor(self) -> int | None:
        """Return a number that no file has."""
        return _EVENT_DESCRIPTOR if self.is_asked else None

    def receive(self) -> Event | None:
        """Return the event that has arrived."""
        self.is_asked = False
        event, self.arrived = self.arrived, None
        return event

    # The waiter.
    def watch(self, _deadline: float | None) -> None:
        """Run the next step of the test, and send its event."""
        self.arrived = self.events.pop(0)() if self.events else Event("SHUTDOWN", 0)
        self.background.wake([_EVENT_DESCRIPTOR])

    # For the tests.
    def after(self, seconds: float, *, left_s: float = 60, **changes: Any) -> None:
        """Send an INVOKE when the wall clock has moved by *seconds*."""

        def invoke() -> Event:
            self.now += seconds
            for name, value in changes.items():
                setattr(self, name, value)
            return Event("INVOKE", int((self.now + left_s) * 1000))

        self.events.append(invoke)

    def then(self, act: Callable[[], None]) -> None:
        """Run a function between two events."""

        def happen() -> Event:
            act()
            return self.events.pop(0)() if self.events else Event("SHUTDOWN", 0)

        self.events.append(happen)

    def run(self, needs: str = "users", **variables: str) -> None:
        """Run the extension from start to end."""
        environment = {
            "NEEDED_SERVICES": needs,
            "AWS_REGION": "eu-west-1",
            "SERVICES_FILE": str(self.path),
            # This process reads the file itself, so nothing could end the lease.
            "SERVICE_DISCOVERY_HOLD_MS": "0",
            **variables,
        }
        config = Config.from_env(environment.get)
        log = Log(lambda line: self.log.append(line.decode()), lambda: self.now, level=20)
        resolver = Resolver(config.needs, self, log, wall=lambda: self.now, random=lambda: 0.5)
        world: Any = self
        file = ServicesFile(str(self.path), wall=lambda: self.now, random=lambda: 0.5)
        mark = InitMark(str(self.path))
        registration = Registration(config, world, resolver, file, log)
        reader, writer = os.pipe()
        try:
            if config.needs:
                registration.begin()
            Lifecycle(
                config,
                world,
                registration,
                resolver,
                file,
                mark,
                world,
                log,
                wall=lambda: self.now,
                lease_signals=reader,
            ).run()
        finally:
            os.close(reader)
            os.close(writer)

    @property
    def checks(self) -> int:
        """How many times the index was read."""
        return len(self.given_s)

    def member(self, key: str = "users") -> dict[str, Any]:
        """Read a member of the file."""
        member: dict[str, Any] = json.loads(self.path.read_text())[key]
        return member

    def logged(self, text: str) -> int:
        """Count the lines of the log with *text*."""
        return len([line for line in self.log if text in line])


@pytest.fixture
def world(tmp_path: Path) -> Iterator[LifecycleWorld]:
    """Return a world in which `users` is at 1.0.0."""
    # Each check collects garbage; the other tests' garbage would only take time.
    gc.freeze()
    yield LifecycleWorld(tmp_path / "services.json", answers={"users": _answer("1.0.0")})
    gc.unfreeze()


@pytest.mark.parametrize(
    ("moved_s", "checks"),
    [(0, 1), (29.9, 1), (30, 2), (31, 2), (_YEAR_S, 2), (-0.1, 2), (-_YEAR_S, 2)],
)
def test_check_is_due_at_max_age_and_when_the_last_one_lies_in_the_future(
    world: LifecycleWorld, moved_s: float, checks: int
) -> None:
    """Freezes, restored snapshots and changed clocks all affect the wall clock."""
    world.after(moved_s)

    world.run()

    assert world.checks == checks
    assert world.path.stat().st_mtime == _START + (moved_s if checks == 2 else 0)


def test_clock_that_went_back_is_followed(world: LifecycleWorld) -> None:
    """The file's time is the last check's, even if that seems to be earlier."""
    world.after(-1000)
    world.after(29)
    world.after(1)

    world.run()

    assert world.checks == 3
    assert world.path.stat().st_mtime == _START - 970


def test_pauses_double_and_stay_below_max_age(world: LifecycleWorld) -> None:
    """The pauses after failures are 1, 2, 4, 8, 16 and 30 seconds."""
    world.after(600, fault="down")
    expected = 2
    for pause in (1, 2, 4, 8, 16, 30, 30):
        world.after(pause - 0.01)
        world.after(0.01)
        expected += 1

    world.run(SERVICE_DISCOVERY_MAX_AGE="600")

    assert world.checks == expected
    assert world.logged("needs not resolved") == 1


@pytest.mark.parametrize(
    ("max_age_s", "pauses"), [(0, (1, 1, 1)), (1, (1, 1)), (3, (1, 2, 3, 3)), (86400, (1, 2, 4))]
)
def test_no_pause_is_above_max_age_or_below_a_second(
    world: LifecycleWorld, max_age_s: int, pauses: tuple[int, ...]
) -> None:
    """A pause above MAX_AGE would let the file grow older than the operator has asked for."""
    world.fault = "down"
    for pause in pauses:
        world.after(pause - 0.01)
        world.after(0.01)

    world.run(SERVICE_DISCOVERY_MAX_AGE=str(max_age_s))

    assert world.checks == 1 + len(pauses)


def test_pause_begins_at_the_end_of_the_check(world: LifecycleWorld) -> None:
    """A check that ends at its timeout is followed by a full pause."""
    seen: list[int] = []
    world.after(600, fault="down", frozen_s=[0.4])
    for pause in (0.9, 0.1):
        world.after(pause)
        world.then(lambda: seen.append(world.checks))

    world.run(SERVICE_DISCOVERY_MAX_AGE="600")

    assert seen == [2, 3]


def test_pause_starts_anew_after_a_success(world: LifecycleWorld) -> None:
    """The pauses of a second outage start at one second again."""
    world.after(600, fault="down")
    world.after(1)
    world.after(2, fault="")
    world.after(600, fault="down")
    world.after(0.99)
    world.after(0.01)

    world.run(SERVICE_DISCOVERY_MAX_AGE="600")

    assert world.checks == 6
    assert world.logged("WARN service-discovery: needs not resolved") == 2
    assert world.logged("WARN service-discovery: needs resolved again") == 1


def test_clock_that_went_back_ends_a_pause(world: LifecycleWorld) -> None:
    """A clock that is set back by a day must not stop the checks for a day."""
    world.after(600, fault="down")
    world.after(-86_400, fault="")

    world.run()

    assert world.checks == 3
    assert world.path.stat().st_mtime == _START + 600 - 86_400


@pytest.mark.parametrize(
    ("left_s", "given_s"),
    [
        (10, 1.5),
        (1.8, 1.5),
        (1.7, 1.5),
        (1.2, 1.0),
        (0.3, 0.1),
        (0.2, None),
        (0.1, None),
        (-5, None),
    ],
)
def test_check_ends_200_ms_before_the_invocation(
    world: LifecycleWorld, left_s: float, given_s: float | None
) -> None:
    """A check takes its timeout, or the time that the invocation leaves, or is not made."""
    world.after(60, left_s=left_s)

    world.run()

    assert world.checks == (1 if given_s is None else 2)
    if given_s is not None:
        assert world.given_s[-1] == pytest.approx(given_s, abs=0.05)


def test_check_ends_200_ms_before_an_invocation_that_begins_meanwhile_does(
    world: LifecycleWorld,
) -> None:
    """An event during the first resolve, or during a reader's check, sets its deadline."""
    left_s: list[float] = []
    asked = world.read

    def read(
        keys: list[tuple[str, str]], deadline: float, _choose_others: object = None
    ) -> Reading:
        world.arrived = Event("INVOKE", int((world.now + 10) * 1000))
        world.background.wake([_EVENT_DESCRIPTOR])
        left_s.append(world.background.limit - system.monotonic())
        return asked(keys, deadline)

    world.read = read  # type: ignore[method-assign]  # an event comes meanwhile

    world.run()

    assert left_s == [pytest.approx(9.8, abs=0.05)]


def test_event_without_a_deadline_gives_the_check_its_timeout(world: LifecycleWorld) -> None:
    """Emulators omit the deadline; checks must continue."""
    world.events = [lambda: Event("INVOKE", 0)]

    world.run(SERVICE_DISCOVERY_MAX_AGE="0")

    assert world.given_s == [pytest.approx(1.5, abs=0.05)] * 2


def test_check_without_enough_time_is_no_failure(world: LifecycleWorld) -> None:
    """The next invocation checks, without a pause."""
    world.after(60, left_s=0.1)
    world.after(0)

    world.run()

    assert world.checks == 2


def test_stale_read_is_accepted_when_it_is_repeated(world: LifecycleWorld) -> None:
    """Reads may be stale; after a rebuild a lower revision is right for good."""
    world.answers["users"] = _answer("2.0.0", revision=9)
    seen: list[str] = []
    for revision in (4, 9, 4, 4):
        answer = _answer(f"1.0.{revision}" if revision < 9 else "2.0.0", revision=revision)
        world.after(60, answers={"users": answer})
        world.then(lambda: seen.append(world.member()["version"]))

    world.run()

    assert seen == ["2.0.0", "2.0.0", "2.0.0", "1.0.4"]


def test_failed_check_between_does_not_make_a_stale_read_true(world: LifecycleWorld) -> None:
    """A check without an answer does not count as the second read; the next one does."""
    world.answers["users"] = _answer("2.0.0", revision=9)
    seen: list[str] = []
    stale = {"users": _answer("1.0.0", revision=4)}
    for changes in ({"answers": stale}, {"fault": "down"}, {"fault": ""}):
        world.after(60, **changes)
        world.then(lambda: seen.append(world.member()["version"]))

    world.run()

    assert seen == ["2.0.0", "2.0.0", "1.0.0"]


def test_equal_revision_is_no_stale_read(world: LifecycleWorld) -> None:
    """A rebuild may correct an item without raising its revision."""
    world.after(60, answers={"users": _answer("1.0.1")})

    world.run()

    assert world.member()["version"] == "1.0.1"


def test_resolved_at_is_the_time_of_the_members_own_change(world: LifecycleWorld) -> None:
    """The time of another member's change, or of the last check, does not count."""
    world.answers["billing"] = _answer("3.0.0")
    world.after(60)
    world.after(60, answers={**world.answers, "users": _answer("1.1.0", revision=2)})
    world.after(60)

    world.run("users,billing")

    assert world.member("billing")["resolved_at"] == "2027-01-15T08:00:00Z"
    assert world.member("users")["resolved_at"] == "2027-01-15T08:02:00Z"


def test_another_error_is_no_change(world: LifecycleWorld) -> None:
    """The file is written only if an answer has changed."""
    world.fault = "refused"
    inodes: list[int] = []
    world.then(lambda: inodes.append(world.path.stat().st_ino))
    world.after(60, fault="reset")
    world.then(lambda: inodes.append(world.path.stat().st_ino))

    world.run()

    assert inodes[0] == inodes[1]
    assert world.member()["error"] == "refused"
    assert world.path.stat().st_mtime == 0


@pytest.mark.parametrize(
    "damage",
    [Path.unlink, lambda path: path.chmod(0o600), lambda path: os.utime(path, (_YEAR_S, _YEAR_S))],
    ids=["removed", "closed to others", "touched"],
)
def test_file_restored_by_a_failed_check_keeps_the_last_good_time(
    world: LifecycleWorld, damage: Callable[[Path], None]
) -> None:
    """The file's age is the age of its answers, even if another process changes the file."""
    world.then(lambda: damage(world.path))
    world.after(60, fault="down")

    world.run()

    assert world.member()["version"] == "1.0.0"
    assert world.path.stat().st_mtime == _START
    assert world.path.stat().st_mode & 0o7777 == 0o644


def test_check_whose_answers_cannot_be_written_is_a_failed_check(world: LifecycleWorld) -> None:
    """The next check is after a pause, and not after MAX_AGE."""

    def obstruct() -> None:
        world.path.unlink()
        world.path.mkdir()

    world.then(obstruct)
    world.after(600)
    world.then(world.path.rmdir)
    world.after(0.99)
    world.after(0.01)

    world.run(SERVICE_DISCOVERY_MAX_AGE="600")

    assert world.checks == 3
    assert world.path.stat().st_mtime == _START + 601
    assert world.logged("ERROR service-discovery: services file not written") == 1
    assert world.logged("WARN service-discovery: services file written again") == 1


def test_partial_result_is_written_and_is_no_success(world: LifecycleWorld) -> None:
    """The received answers are written; the age grows until every need is answered."""
    world.answers["billing"] = _answer("3.0.0")
    asked = world.read

    def read(
        keys: list[tuple[str, str]], deadline: float, _choose_others: object = None
    ) -> Reading:
        reading = asked(keys, deadline)
        if world.checks == 2:
            reading.faults["billing", "latest"] = "left unprocessed"
            del reading.answers["billing", "latest"]
        return reading

    world.read = read  # type: ignore[method-assign]  # one answer less
    world.after(60, answers={**world.answers, "users": _answer("1.1.0", revision=2)})
    world.then(lambda: times.append(world.path.stat().st_mtime))
    world.after(1)
    times: list[float] = []

    world.run("users,billing")

    assert world.member()["version"] == "1.1.0"
    assert world.member("billing")["version"] == "3.0.0"
    assert times == [_START]
    assert world.path.stat().st_mtime == _START + 61


def test_bug_in_a_check_is_a_failed_check(world: LifecycleWorld) -> None:
    """The bug is logged with its traceback, and the function's invocation continues."""
    world.after(60, is_broken=True)
    world.after(1, is_broken=False)

    world.run()

    assert world.checks == 3
    assert world.logged("check failed") == 1
    assert world.member()["status"] == "active"


def test_yanked_and_missing_are_logged_when_they_begin_and_end(world: LifecycleWorld) -> None:
    """Each is logged once, at WARN; a changed version is logged at INFO."""
    yanked = {"users": _answer("1.0.0", 2, status="yanked", reason="leak")}
    world.after(60, answers=yanked)
    world.after(60)
    world.after(60, answers={"users": _answer("1.0.0", 3)})
    world.after(60, answers={})
    world.after(60)
    world.after(60, answers={"users": _answer("1.1.0", 5)})

    world.run("users==1.0.0")

    assert world.logged("WARN service-discovery: version yanked") == 1
    assert world.logged("WARN service-discovery: service missing") == 1
    assert world.logged("WARN service-discovery: service resolved again") == 2
    assert world.logged("INFO service-discovery: answer changed") == 3


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"fault": "down"}, ["users: down", "billing: down"]),
        ({"answers": {}}, ["users: no version", "billing: no version"]),
    ],
)
def test_strict_init_accepts_only_its_own_resolves_answers(
    world: LifecycleWorld, changes: dict[str, Any], names: list[str]
) -> None:
    """An earlier run's file is good for functions that fail open, but not for strict ones."""
    world.answers["billing"] = _answer("1.0.0")
    world.run("users,billing", SERVICE_DISCOVERY_STRICT="true")
    for name, value in changes.items():
        setattr(world, name, value)

    with pytest.raises(InitFailedError) as failed:
        world.run("users,billing", SERVICE_DISCOVERY_STRICT="true")

    assert failed.value.error_type == "Extension.ResolveError"
    for name in names:
        assert name in str(failed.value)


def test_strict_applies_to_the_init_only(world: LifecycleWorld) -> None:
    """Strict mode applies to the init only."""
    world.after(60, fault="down")
    world.after(60, fault="", answers={})

    world.run(SERVICE_DISCOVERY_STRICT="true")

    assert world.member()["status"] == "missing"


def test_refused_events_are_not_requested_again(world: LifecycleWorld) -> None:
    """Managed Instances refuse INVOKE and accept SHUTDOWN only."""
    world.refused = ("INVOKE",)

    world.run()

    assert world.registered == [["INVOKE", "SHUTDOWN"], ["SHUTDOWN"]]


@pytest.mark.parametrize(
    ("max_age_s", "fault", "timer_s"), [(7, "", 7), (600, "", 600), (0, "", 1), (600, "down", 1)]
)
def test_timer_is_set_to_max_age_or_the_pause_or_a_second(
    world: LifecycleWorld, max_age_s: int, fault: str, timer_s: float
) -> None:
    """Managed Instances send no INVOKE."""
    waits_s: list[float] = []
    watch = world.watch

    def record(_deadline: float | None) -> None:
        assert _deadline is not None
        waits_s.append(_deadline - system.monotonic())
        watch(_deadline)

    world.watch = record  # type: ignore[method-assign]  # the timer is what it waits for
    world.fault = fault

    world.run(
        AWS_LAMBDA_INITIALIZATION_TYPE="lambda-managed-instances",
        SERVICE_DISCOVERY_MAX_AGE=str(max_age_s),
    )

    assert waits_s == [pytest.approx(timer_s, abs=0.1)]


@given(
    st.integers(0, 40),
    st.lists(st.tuples(st.floats(-1e6, 1e6), st.booleans()), max_size=40),
)
def test_check_is_always_due_after_max_age(max_age_s: int, steps: list[tuple[float, bool]]) -> None:
    """In any case a check is due after MAX_AGE or one second, whichever is longer."""
    schedule = Schedule(max_age_s)
    now = _START
    for moved_s, succeeds in steps:
        now += moved_s
        if schedule.is_due(now):
            (schedule.succeeded if succeeds else schedule.failed)(now)
        for due_at in (now + max(max_age_s, 1), now + _FAR, now - _FAR):
            assert schedule.is_due(due_at)
            assert schedule.is_due_for_reader(due_at)
        assert 0 <= schedule.wait_s() <= max(max_age_s, 1)


def test_answer_from_before_a_freeze_is_read_again(world: LifecycleWorld) -> None:
    """The index is read again, so that no reader gets an answer from before the freeze."""
    world.after(31, frozen_s=[3_600])

    world.run()

    assert world.checks == 3
    assert world.path.stat().st_mtime == _START + 31 + 3_600


@pytest.mark.parametrize(("deadline_s", "again_s"), [(_START + 2, 1.0), (0, 1.5)])
def test_check_repeated_after_a_freeze_keeps_the_events_deadline(
    world: LifecycleWorld, deadline_s: float, again_s: float
) -> None:
    """The event arrived before the freeze; emulators omit its deadline."""
    asked = world.read

    def read(
        keys: list[tuple[str, str]], deadline: float, _choose_others: object = None
    ) -> Reading:
        if not world.checks:
            world.arrived = Event("INVOKE", int(deadline_s * 1000))
            world.background.wake([_EVENT_DESCRIPTOR])
        return asked(keys, deadline)

    world.read = read  # type: ignore[method-assign]  # an event comes meanwhile
    world.frozen_s = [0.8]

    world.run()

    assert world.given_s == [pytest.approx(1.5, abs=0.05), pytest.approx(again_s, abs=0.05)]


def test_slow_check_that_looks_like_a_freeze_is_repeated_once(world: LifecycleWorld) -> None:
    """A slow processor looks like a freeze."""
    world.after(31, frozen_s=[2.0] * 10)

    world.run()

    assert world.checks == 3
    assert world.path.stat().st_mtime == _START + 31 + 4
