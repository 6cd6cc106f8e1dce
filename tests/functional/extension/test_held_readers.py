"""Fresh reads: a reader that opens the file while a check is due waits for that check."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from testing import index_server
from testing.held_readers import is_held, is_leased
from testing.index_server import IndexServer
from testing.lambda_api import LambdaApi
from testing.waiting import wait_for
from tests.functional.extension.conftest import Extension, Start

_OTHER_READERS = {
    "shell": ["sh", "-c", 'cat "$0"'],
    "perl": ["perl", "-e", "open(F, '<', $ARGV[0]) or die; print <F>", "--"],
    "python": [sys.executable, "-c", "import sys; print(open(sys.argv[1]).read())"],
    "node": ["node", "-e", "console.log(require('fs').readFileSync(process.argv[1], 'utf8'))"],
}


def _publish(index: IndexServer, minor: int) -> None:
    index.publish("users", f"1.{minor}.0", revision=minor + 1)


def _version(extension: Extension) -> str:
    version: str = extension.document()["users"]["version"]
    return version


def _age_s(extension: Extension) -> float:
    return time.time() - extension.services_file.stat().st_mtime


@contextmanager
def _frozen(extension: Extension) -> Iterator[None]:
    wait_for(lambda: is_leased(extension.services_file), "the lease")
    os.kill(extension.process.pid, signal.SIGSTOP)
    wait_for(lambda: extension.state() == "T", "the frozen process")
    yield
    os.kill(extension.process.pid, signal.SIGCONT)


def _ready(start: Start, lambda_api: LambdaApi, index: IndexServer, **variables: str) -> Extension:
    """Start an extension with a MAX_AGE of one second, and let it resolve `users` to 1.0.0."""
    _publish(index, 0)
    # A long timeout for busy machines: this test is not about the duration of a check.
    defaults = {"SERVICE_DISCOVERY_MAX_AGE": "1", "SERVICE_DISCOVERY_HOLD_MS": "5000"}
    extension = start("users", **defaults | variables)
    lambda_api.wait_until_ready()
    return extension


def _wait_until_due(extension: Extension) -> None:
    wait_for(lambda: _age_s(extension) > 1.05, "an age above MAX_AGE")


def _begin_silent_check(extension: Extension, index: IndexServer) -> "subprocess.Popen[str]":
    """Stop the index's responses, and start a reader whose check waits for one."""
    index.fault = index_server.silence
    _wait_until_due(extension)
    reader = _read_in_other_process(extension)
    wait_for(lambda: len(index.requests) == 2, "the reader's check")
    _wait_until_held(reader)
    return reader


def _read_in_other_process(extension: Extension) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        ["cat", str(extension.services_file)], stdout=subprocess.PIPE, text=True
    )


def _wait_until_held(reader: "subprocess.Popen[str]") -> None:
    wait_for(lambda: is_held(reader.pid), "the held reader")


def test_reader_after_a_freeze_gets_the_new_answer(
    start: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    """The extension needs no event, since the platform may send it to the function first."""
    extension = _ready(start, lambda_api, index)
    with _frozen(extension):
        _publish(index, 1)
        _wait_until_due(extension)

    assert _version(extension) == "1.1.0"

    assert _age_s(extension) < 1
    lambda_api.invoke()
    assert len(index.requests) == 2, "the reader's check is the event's, too"


def test_reader_and_event_at_once_make_one_check(
    start: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    """An event that comes during a reader's check uses that check."""
    extension = _ready(start, lambda_api, index)
    index.delay_s = 0.1
    _wait_until_due(extension)
    _publish(index, 1)
    reader = _read_in_other_process(extension)
    wait_for(lambda: len(index.requests) == 2, "the reader's check")

    lambda_api.invoke()

    assert json.loads(reader.communicate()[0])["users"]["version"] == "1.1.0"
    assert len(index.requests) == 2


def test_event_shortly_after_the_start_of_a_readers_check_needs_no_other_check(
    start: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    """With a MAX_AGE of 0, the function may read before the extension gets the same event.

    25 ms are short on a busy machine, so there are several attempts.
    """
    extension = _ready(start, lambda_api, index, SERVICE_DISCOVERY_MAX_AGE="0")
    checks = 2
    for minor in range(1, 6):
        _wait_until_due(extension)
        _publish(index, minor)
        asked = len(index.requests)

        assert _version(extension) == f"1.{minor}.0"
        lambda_api.invoke()

        checks = len(index.requests) - asked
        if checks == 1:
            break
    assert checks == 1
    _publish(index, 9)
    lambda_api.invoke()
    assert _version(extension) == "1.9.0", "the next event has a check of its own"


@pytest.mark.parametrize("max_age_s", ["0", "1"])
def test_many_readers_with_an_event_get_the_new_answer(
    start: Start, lambda_api: LambdaApi, index: IndexServer, max_age_s: str
) -> None:
    """This holds for every order of the event and the readers."""
    extension = _ready(start, lambda_api, index, SERVICE_DISCOVERY_MAX_AGE=max_age_s)

    for minor in range(1, 4):
        _wait_until_due(extension)
        _publish(index, minor)
        lambda_api.events.put({"eventType": "INVOKE", "requestId": "r"})
        readers = [_read_in_other_process(extension) for _ in range(4)]
        for reader in readers:
            version = json.loads(reader.communicate()[0])["users"]["version"]
            assert version == f"1.{minor}.0"
        lambda_api.wait_until_ready(minor + 1)

    assert len(index.requests) == 4


@pytest.mark.parametrize("language", _OTHER_READERS)
def test_reader_in_any_language_is_held(
    start: Start, lambda_api: LambdaApi, index: IndexServer, language: str
) -> None:
    """The kernel holds readers in every language."""
    extension = _ready(start, lambda_api, index)
    with _frozen(extension):
        _publish(index, 1)
        _wait_until_due(extension)

    command = [*_OTHER_READERS[language], str(extension.services_file)]
    text = subprocess.run(command, capture_output=True, check=True).stdout

    assert json.loads(text)["users"]["version"] == "1.1.0"


def test_reader_waits_for_hold_ms_at_most(
    start: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    """The reader then gets the last good document. A second reader during that check does not wait.

    The next check holds its readers again.
    """
    extension = _ready(
        start,
        lambda_api,
        index,
        SERVICE_DISCOVERY_HOLD_MS="300",
        SERVICE_DISCOVERY_TIMEOUT_MS="5000",
    )
    index.fault = index_server.silence
    _wait_until_due(extension)

    began = time.monotonic()
    first = _version(extension)
    middle = time.monotonic()
    second = _version(extension)
    end = time.monotonic()

    assert (first, second) == ("1.0.0", "1.0.0")
    assert 0.25 < middle - began < 2
    assert end - middle < 0.2
    assert len(index.requests) == 2
    index.fault = None
    index.drop()
    wait_for(lambda: _age_s(extension) < 0.9, "the end of that check")
    _wait_until_due(extension)
    _publish(index, 1)
    assert _version(extension) == "1.1.0"


def test_hold_ms_counts_from_the_first_held_reader(
    start: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    """A check that INVOKE began long before still holds a new reader for up to HOLD_MS."""
    extension = _ready(
        start,
        lambda_api,
        index,
        SERVICE_DISCOVERY_HOLD_MS="800",
        SERVICE_DISCOVERY_TIMEOUT_MS="5000",
    )
    _wait_until_due(extension)
    _publish(index, 1)
    index.delay_s = 1.4
    lambda_api.events.put({"eventType": "INVOKE", "requestId": "r"})
    wait_for(lambda: len(index.requests) == 2, "the event's check")
    time.sleep(0.9)

    assert _version(extension) == "1.1.0"


def test_readers_check_ends_at_its_timeout(
    start: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    """Without an event there is no deadline, so the timeout applies."""
    extension = _ready(start, lambda_api, index, SERVICE_DISCOVERY_TIMEOUT_MS="300")
    index.fault = index_server.silence
    _wait_until_due(extension)

    began = time.monotonic()
    version = _version(extension)

    assert version == "1.0.0"
    assert 0.25 < time.monotonic() - began < 3, "HOLD_MS is five seconds"
    extension.wait_for_log("needs not resolved")


def test_no_reader_waits_in_a_pause_after_a_failure(
    start: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    """An unreachable registry costs one hold for each attempt, not one for each read."""
    extension = _ready(start, lambda_api, index)
    index.fault = index_server.refuses("AccessDeniedException")
    _wait_until_due(extension)
    assert _version(extension) == "1.0.0"
    asked = len(index.requests)
    index.fault = index_server.silence

    began = time.monotonic()
    for _ in range(20):
        _version(extension)

    assert time.monotonic() - began < 0.7, "the pause lasts a second"
    assert len(index.requests) == asked


def test_hold_ms_of_zero_holds_no_reader_and_keeps_no_file_open(
    start: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    """Only events begin checks then."""
    extension = _ready(start, lambda_api, index, SERVICE_DISCOVERY_HOLD_MS="0")
    _publish(index, 1)
    _wait_until_due(extension)

    assert _version(extension) == "1.0.0"

    assert len(index.requests) == 1
    for descriptor in Path(f"/proc/{extension.process.pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            assert descriptor.readlink() != extension.services_file
    lambda_api.invoke()
    assert _version(extension) == "1.1.0"


def test_fresh_file_is_read_without_a_check(
    start: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    """Such a reader causes no request, and waits less than a millisecond."""
    extension = _ready(start, lambda_api, index, SERVICE_DISCOVERY_MAX_AGE="600")
    waits_s = []

    for _ in range(50):
        time.sleep(0.005)
        began = time.perf_counter()
        _version(extension)
        waits_s.append(time.perf_counter() - began)

    assert sorted(waits_s)[25] < 0.05
    assert len(index.requests) == 1


def test_reads_after_an_events_check_make_no_other_one(
    start: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    """With a MAX_AGE of 0 there is one check for each event."""
    extension = _ready(start, lambda_api, index, SERVICE_DISCOVERY_MAX_AGE="0")

    for minor in range(1, 6):
        _publish(index, minor)
        lambda_api.invoke()
        assert _version(extension) == f"1.{minor}.0"
        assert _version(extension) == f"1.{minor}.0"

    assert len(index.requests) == 6


def test_reader_in_a_long_invocation_begins_a_check(
    start: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    """A check becomes due by age, also between two events."""
    extension = _ready(start, lambda_api, index)
    lambda_api.invoke()

    for minor in (1, 2):
        _publish(index, minor)
        _wait_until_due(extension)
        assert _version(extension) == f"1.{minor}.0"


def test_readers_check_ends_in_time_for_the_event_that_comes_meanwhile(
    start: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    """The check ends 200 ms before the invocation's deadline, with any timeout."""
    extension = _ready(start, lambda_api, index, SERVICE_DISCOVERY_TIMEOUT_MS="30000")
    reader = _begin_silent_check(extension, index)

    began = time.monotonic()
    lambda_api.invoke(deadlineMs=int(time.time() * 1000) + 700)

    assert 0.2 < time.monotonic() - began < 3
    assert json.loads(reader.communicate()[0])["users"]["version"] == "1.0.0"


def test_readers_check_ends_in_time_for_the_invocation_that_it_is_part_of(
    start: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    """The deadline is known, since its event was handled before."""
    extension = _ready(start, lambda_api, index, SERVICE_DISCOVERY_TIMEOUT_MS="20000")
    deadline = time.time() + 2
    lambda_api.invoke(deadlineMs=int(deadline * 1000))
    index.fault = index_server.silence
    _wait_until_due(extension)

    assert _version(extension) == "1.0.0"

    assert time.time() < deadline + 2, "HOLD_MS is five seconds"


def test_deadline_of_an_earlier_invocation_does_not_limit_a_readers_check(
    start: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    """The reader may belong to the next invocation, whose event has not come yet."""
    extension = _ready(start, lambda_api, index)
    lambda_api.invoke(deadlineMs=int(time.time() * 1000) + 500)
    _publish(index, 1)
    _wait_until_due(extension)

    assert _version(extension) == "1.1.0"


def test_reader_that_keeps_the_file_open_gets_a_new_file_at_the_next_due_time(
    start: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    """Other readers are held again; its own open file does not change."""
    extension = _ready(start, lambda_api, index)
    with extension.services_file.open(encoding="utf-8") as kept:
        checked_at = extension.services_file.stat().st_mtime_ns
        inode = extension.services_file.stat().st_ino
        time.sleep(0.2)
        assert extension.services_file.stat().st_ino == inode
        _publish(index, 1)
        wait_for(lambda: extension.services_file.stat().st_ino != inode, "another file")
        assert len(index.requests) == 1, "that begins no check"
        assert extension.services_file.stat().st_mtime_ns == checked_at

        assert _version(extension) == "1.1.0"
        assert json.load(kept)["users"]["version"] == "1.0.0"


def test_killed_reader_does_not_affect_others(
    start: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    """The other readers get their answer."""
    extension = _ready(start, lambda_api, index)
    index.delay_s = 0.5
    _publish(index, 1)
    _wait_until_due(extension)
    readers = [_read_in_other_process(extension) for _ in range(3)]
    wait_for(lambda: all(is_held(reader.pid) for reader in readers), "the held readers")

    readers[0].kill()

    for reader in readers[1:]:
        assert json.loads(reader.communicate()[0])["users"]["version"] == "1.1.0"
    readers[0].communicate()
    assert _version(extension) == "1.1.0"


def test_extension_that_dies_lets_its_readers_go_on(
    start: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    """The readers get the last good document."""
    extension = _ready(start, lambda_api, index)
    reader = _begin_silent_check(extension, index)

    extension.process.kill()

    assert json.loads(reader.communicate(timeout=20)[0])["users"]["version"] == "1.0.0"


def test_end_does_not_wait_for_a_readers_check(
    start: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    """SHUTDOWN ends the check, and the reader continues."""
    extension = _ready(start, lambda_api, index, SERVICE_DISCOVERY_TIMEOUT_MS="30000")
    reader = _begin_silent_check(extension, index)

    began = time.monotonic()
    lambda_api.shut_down()

    assert extension.wait_for_exit() == 0
    assert time.monotonic() - began < 3
    assert json.loads(reader.communicate(timeout=20)[0])["users"]["version"] == "1.0.0"


def test_freeze_in_the_middle_of_a_readers_check_begins_it_again(
    start: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    """After the freeze the connection is dead, and both time limits are over."""
    extension = _ready(start, lambda_api, index, SERVICE_DISCOVERY_HOLD_MS="1500")
    index.fault = index_server.silence
    _wait_until_due(extension)
    reader = _read_in_other_process(extension)
    wait_for(lambda: len(index.requests) == 2, "the reader's check")
    with _frozen(extension):
        index.fault = None
        _publish(index, 1)
        time.sleep(2)

    text, _ = reader.communicate(timeout=20)

    assert json.loads(text)["users"]["version"] == "1.1.0"
    assert "WARN" not in extension.log()


def test_freeze_at_any_moment_leaves_the_next_reader_held(
    start: Start, index: IndexServer, tmp_path: Path
) -> None:
    """The freeze is before, during or after a check that another reader began."""
    _publish(index, 0)
    extensions = [
        start(
            "users",
            SERVICES_FILE=str(tmp_path / f"{number}/services.json"),
            SERVICE_DISCOVERY_MAX_AGE="1",
            SERVICE_DISCOVERY_HOLD_MS="5000",
        )
        for number in range(8)
    ]
    for extension in extensions:
        wait_for(extension.services_file.exists, "the file")
        extension.wait_until_resolved()
    moments = random.Random(12)  # for variety, not security
    leased = 0
    for minor in (1, 3):
        for extension in extensions:
            _wait_until_due(extension)
        _publish(index, minor)
        early = []
        for extension in extensions:
            early.append(_read_in_other_process(extension))
            time.sleep(moments.uniform(0, 0.006))
            os.kill(extension.process.pid, signal.SIGSTOP)
        wait_for(lambda: all(each.state() == "T" for each in extensions), "the frozen processes")
        frozen = [each for each in extensions if is_leased(each.services_file)]
        leased += len(frozen)
        _publish(index, minor + 1)
        readers = [_read_in_other_process(extension) for extension in frozen]
        for reader in readers:
            _wait_until_held(reader)
        time.sleep(1.05)
        for extension in extensions:
            os.kill(extension.process.pid, signal.SIGCONT)
        for reader in readers:
            version = json.loads(reader.communicate()[0])["users"]["version"]
            assert version == f"1.{minor + 1}.0"
        for reader in early:
            reader.communicate()
    # The others were frozen while their reader had the file open.
    assert leased > len(extensions)


def test_modification_time_and_mode_are_the_same_for_a_held_reader(
    start: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    """A held reader gets another inode than the one in place, with the same document and time."""
    extension = _ready(start, lambda_api, index)
    index.delay_s = 0.3
    _publish(index, 1)
    _wait_until_due(extension)
    found: list[os.stat_result] = []

    def read() -> None:
        with extension.services_file.open() as file:
            found.append(os.fstat(file.fileno()))

    reader = threading.Thread(target=read)
    reader.start()
    reader.join()

    now = extension.services_file.stat()
    assert found[0].st_mtime_ns == now.st_mtime_ns
    assert found[0].st_mode == now.st_mode
    assert found[0].st_size == now.st_size
    assert found[0].st_ino != now.st_ino
