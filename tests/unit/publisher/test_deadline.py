"""The time of an invocation."""

import threading

import pytest

from publisher.deadline import Deadline, OutOfTimeError, watchdog


def test_work_ends_before_the_invocation_does() -> None:
    """The rest of the time is for the response."""
    slept: list[float] = []
    deadline = Deadline(lambda: 12.0, margin_s=10.0, sleep=slept.append)

    deadline.check()
    deadline.sleep(1.5)

    with pytest.raises(OutOfTimeError):
        deadline.sleep(2.0)
    assert slept == [1.5]


def test_no_step_begins_after_the_deadline() -> None:
    deadline = Deadline(lambda: 10.0, margin_s=10.0, sleep=lambda _seconds: None)

    with pytest.raises(OutOfTimeError):
        deadline.check()


def test_watchdog_acts_while_the_work_hangs() -> None:
    acted = threading.Event()

    with watchdog(0.01, acted.set):
        assert acted.wait(10)


def test_watchdog_does_nothing_once_the_work_is_done() -> None:
    acted = threading.Event()

    with watchdog(0.2, acted.set):
        pass

    assert not acted.wait(0.4)
