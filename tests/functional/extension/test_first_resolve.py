"""The first resolve: who waits for it, for how long, and its time limit in repeated inits."""

import binascii
import errno
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from extension.init_mark import InitMark
from testing import index_server, refused_leases
from testing.arns import ARN
from testing.held_readers import is_held
from testing.index_server import IndexServer
from testing.lambda_api import LambdaApi
from testing.waiting import wait_for
from tests.functional.extension.conftest import Extension, Start

_LEFTOVER = {
    "users": {
        "requested": "latest",
        "version": "0.9.0",
        "arn": ARN,
        "status": "active",
        "resolved_at": "2026-01-01T00:00:00Z",
    }
}


_LEFTOVER_TIME = 1_700_000_000


def _leave_services_file(tmp_path: Path) -> None:
    path = tmp_path / "run/services.json"
    path.parent.mkdir()
    path.write_text(json.dumps(_LEFTOVER))
    os.utime(path, (_LEFTOVER_TIME, _LEFTOVER_TIME))


def _wait_for_next(lambda_api: LambdaApi) -> None:
    wait_for(lambda: lambda_api.asks == 1, "the call of event/next")


def _took_ms(extension: Extension) -> int:
    """Return how long the failed resolve took, by the log."""
    extension.wait_for_log("needs not resolved")
    return int(extension.log().split("took_ms=")[1].split()[0])


def _start_and_kill(start: Start, index: IndexServer, **variables: str) -> None:
    """Start a process, and kill it in its first resolve, as Lambda does after a timeout."""
    asked = len(index.requests)
    extension = start("users", **variables)
    wait_for(lambda: len(index.requests) > asked, "the first resolve")
    os.kill(extension.process.pid, signal.SIGKILL)
    extension.process.wait()


@pytest.mark.parametrize("initialization_type", ["", "on-demand", "of-the-future"])
def test_event_is_asked_for_before_the_first_answer(
    start: Start, lambda_api: LambdaApi, index: IndexServer, initialization_type: str
) -> None:
    """A slow or silent registry does not delay a cold start."""
    index.fault = index_server.silence
    extension = start(
        "users",
        SERVICE_DISCOVERY_TIMEOUT_MS="3000",
        AWS_LAMBDA_INITIALIZATION_TYPE=initialization_type,
    )

    _wait_for_next(lambda_api)

    reader = subprocess.Popen(["cat", str(extension.services_file)], stdout=subprocess.PIPE)
    wait_for(lambda: is_held(reader.pid), "the held reader")
    modified_at = extension.services_file.stat().st_mtime
    text, _ = reader.communicate(timeout=20)
    assert json.loads(text)["users"]["status"] == "unavailable"
    assert modified_at == 0, "a stat is never held"


waits_at_init = pytest.mark.parametrize(
    "variables",
    [
        {"SERVICE_DISCOVERY_STRICT": "true"},
        {"AWS_LAMBDA_INITIALIZATION_TYPE": "provisioned-concurrency"},
        {"AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start"},
    ],
    ids=lambda variables: next(iter(variables.values())),
)


@waits_at_init
def test_strict_provisioned_or_snapstart_init_waits_for_the_first_resolve(
    start: Start, lambda_api: LambdaApi, index: IndexServer, variables: dict[str, str]
) -> None:
    """Strict mode may have to fail the init; the other two inits delay no caller."""
    index.publish("users", "1.0.0")
    index.delay_s = 0.5
    extension = start("users", **variables)
    wait_for(lambda: bool(index.requests), "the first resolve")
    assert lambda_api.asks == 0

    _wait_for_next(lambda_api)

    assert extension.document()["users"]["version"] == "1.0.0"


def test_init_waits_if_no_lease_can_be_held(
    start: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    """Otherwise, early code would find no file."""
    index.publish("users", "1.0.0")
    index.delay_s = 0.5
    extension = start("users", *refused_leases.command(errno.EINVAL))

    wait_for(lambda: bool(lambda_api.posted("register")), "the registration")

    assert extension.document()["users"]["version"] == "1.0.0"


def test_event_during_the_first_resolve_needs_no_other_check(
    start: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    """The invocation ends when the resolve has ended, and no request is sent twice."""
    index.publish("users", "1.0.0")
    index.delay_s = 0.7
    extension = start("users")
    wait_for(lambda: bool(index.requests), "the first resolve")

    lambda_api.invoke()

    assert extension.document()["users"]["version"] == "1.0.0"
    assert len(index.requests) == 1


def test_event_during_the_first_resolve_is_followed_by_one_request_for_the_next(
    start: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    """A second request for an event would end the next invocation before its check."""
    index.publish("users", "1.0.0")
    index.delay_s = 0.3
    extension = start("users", SERVICE_DISCOVERY_HOLD_MS="0")
    _wait_for_next(lambda_api)
    lambda_api.invoke()

    for minor in range(1, 4):
        index.publish("users", f"1.{minor}.0", revision=minor + 1)
        lambda_api.invoke()
        assert extension.document()["users"]["version"] == f"1.{minor}.0"

    assert lambda_api.asks == lambda_api.sent + 1


def test_first_resolve_ends_in_time_for_the_event(
    start: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    """The resolve ends 200 ms before the invocation's deadline."""
    index.fault = index_server.silence
    start("users", SERVICE_DISCOVERY_TIMEOUT_MS="5000")
    wait_for(lambda: bool(index.requests), "the first resolve")

    began = time.monotonic()
    lambda_api.invoke(deadlineMs=int(time.time() * 1000) + 900)

    assert time.monotonic() - began < 3


@pytest.mark.parametrize("hold_ms", ["0", "300"])
def test_leftover_that_answers_everything_is_read_after_hold_ms(
    start: Start, lambda_api: LambdaApi, index: IndexServer, tmp_path: Path, hold_ms: str
) -> None:
    """After HOLD_MS, readers get the good answers of an earlier run."""
    _leave_services_file(tmp_path)
    index.fault = index_server.silence
    extension = start(
        "users", SERVICE_DISCOVERY_TIMEOUT_MS="5000", SERVICE_DISCOVERY_HOLD_MS=hold_ms
    )
    _wait_for_next(lambda_api)

    assert extension.services_file.stat().st_mtime == _LEFTOVER_TIME
    assert extension.document() == _LEFTOVER

    assert "needs not resolved" not in extension.log(), "the first resolve still goes on"


@waits_at_init
def test_leftover_is_not_read_early_if_the_init_waits(
    start: Start,
    lambda_api: LambdaApi,
    index: IndexServer,
    tmp_path: Path,
    variables: dict[str, str],
) -> None:
    """HOLD_MS does not apply to such an init."""
    _leave_services_file(tmp_path)
    index.publish("users", "1.0.0")
    index.delay_s = 1
    extension = start("users", SERVICE_DISCOVERY_HOLD_MS="0", **variables)
    wait_for(lambda: bool(lambda_api.posted("register")), "the registration")

    assert extension.document()["users"]["version"] == "1.0.0"


@pytest.mark.parametrize("hold_ms", ["0", "100"])
def test_leftover_that_does_not_answer_everything_is_not_read_early(
    start: Start, lambda_api: LambdaApi, index: IndexServer, tmp_path: Path, hold_ms: str
) -> None:
    """HOLD_MS does not apply then, not even to the other needs."""
    _leave_services_file(tmp_path)
    index.publish("users", "1.0.0")
    index.publish("billing", "2.0.0")
    index.delay_s = 0.6
    extension = start("users,billing", SERVICE_DISCOVERY_HOLD_MS=hold_ms)
    wait_for(lambda: bool(lambda_api.posted("register")), "the registration")

    document = extension.document()

    assert document["users"]["version"] == "1.0.0"
    assert document["billing"]["version"] == "2.0.0"


def test_start_after_an_unfinished_one_takes_a_quarter_of_the_time(
    start: Start, index: IndexServer
) -> None:
    """Lambda repeats a failed init within the function's own timeout, which may be short."""
    index.fault = index_server.silence
    timeout = {"SERVICE_DISCOVERY_TIMEOUT_MS": "4000"}
    _start_and_kill(start, index, **timeout)

    second = start("users", **timeout)

    assert _took_ms(second) < 2_000
    mark = Path(InitMark(str(second.services_file))._path)
    wait_for(lambda: not mark.exists(), "the end of the second start's first resolve")
    second.process.kill()
    second.process.wait()
    third = start("users", **timeout)
    assert _took_ms(third) > 3_000, "the second resolve had ended"


def test_start_after_two_unfinished_ones_asks_nothing(start: Start, index: IndexServer) -> None:
    """The third init has to succeed within any function timeout."""
    index.fault = index_server.silence
    timeout = {"SERVICE_DISCOVERY_TIMEOUT_MS": "20000"}
    for _ in range(2):
        _start_and_kill(start, index, **timeout)

    third = start("users", **timeout)

    assert _took_ms(third) < 1_000
    assert third.document()["users"]["status"] == "unavailable"


def test_first_resolve_takes_five_seconds_at_most(start: Start, index: IndexServer) -> None:
    """An on-demand init must end within ten seconds."""
    index.fault = index_server.silence

    extension = start("users", SERVICE_DISCOVERY_TIMEOUT_MS="30000")

    assert 4_500 < _took_ms(extension) < 8_000


def test_freeze_during_the_first_resolve_keeps_readers_waiting(
    start: Start, index: IndexServer
) -> None:
    """After the freeze, readers still wait until a resolve ends, even longer than HOLD_MS."""
    index.fault = index_server.silence
    extension = start("users")
    wait_for(lambda: bool(index.requests), "the first resolve")
    os.kill(extension.process.pid, signal.SIGSTOP)
    wait_for(lambda: extension.state() == "T", "the frozen process")
    reader = subprocess.Popen(["cat", str(extension.services_file)], stdout=subprocess.PIPE)
    index.fault = None
    index.publish("users", "1.0.0")
    index.delay_s = 0.8
    time.sleep(1.2)

    os.kill(extension.process.pid, signal.SIGCONT)

    text, _ = reader.communicate(timeout=20)
    assert json.loads(text)["users"]["version"] == "1.0.0"


def test_mark_is_removed_when_the_first_resolve_ends(
    start: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    """A failed resolve removes the mark, too."""
    index.fault = index_server.silence
    extension = start("users", SERVICE_DISCOVERY_TIMEOUT_MS="200")
    number = binascii.crc32(str(extension.services_file).encode())
    mark = Path(f"/tmp/.service-discovery-init-{number:08x}")
    wait_for(mark.exists, "the mark's file")
    lambda_api.wait_until_ready()

    lambda_api.invoke()

    assert not mark.exists()


def test_strict_resolve_that_fails_removes_the_mark(start: Start, index: IndexServer) -> None:
    """The resolve has ended, so the repeated init has its full time."""
    index.fault = index_server.refuses("AccessDeniedException")

    extension = start("users", SERVICE_DISCOVERY_STRICT="true")

    assert extension.wait_for_exit() == 1
    assert len(index.requests) == 1
    assert not Path(InitMark(str(extension.services_file))._path).exists()
