"""Managed Instances: no INVOKE, no freeze, checks on a timer."""

import time

import pytest

from testing import index_server
from testing.held_readers import is_leased
from testing.index_server import IndexServer
from testing.lambda_api import LambdaApi
from testing.waiting import wait_for
from tests.functional.extension.conftest import Extension, Start

MANAGED = {
    "AWS_LAMBDA_INITIALIZATION_TYPE": "lambda-managed-instances",
    "SERVICE_DISCOVERY_MAX_AGE": "1",
}


def _version(extension: Extension) -> str:
    version: str = extension.document()["users"]["version"]
    return version


def test_managed_instance_registers_only_for_shutdown(
    start_resolved: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    """The extension does not try to register for INVOKE first."""
    extension = start_resolved("users", **MANAGED)
    assert _version(extension) == "1.0.0"
    index.publish("users", "1.1.0", revision=2)

    wait_for(lambda: _version(extension) == "1.1.0", "the new answer")

    assert lambda_api.posted("register") == [{"events": ["SHUTDOWN"]}]
    assert lambda_api.asks == 1, "the request for the next event stays open"


def test_zero_max_age_is_a_second_at_least(start: Start, index: IndexServer) -> None:
    """Without a minimum, the timer would be a busy loop."""
    index.publish("users", "1.0.0")
    started = time.monotonic()
    start("users", **MANAGED | {"SERVICE_DISCOVERY_MAX_AGE": "0"})

    wait_for(lambda: len(index.requests) >= 3, "two checks")

    assert time.monotonic() - started >= 2


@pytest.mark.parametrize("is_refused", [False, True])
def test_no_reader_is_held(
    start: Start,
    lambda_api: LambdaApi,
    index: IndexServer,
    is_refused: bool,  # noqa: FBT001
) -> None:
    """Several invocations run at once, and a check runs beside them."""
    index.publish("users", "1.0.0")
    variables = dict(MANAGED)
    if is_refused:
        lambda_api.refused_events = ("INVOKE",)
        variables["AWS_LAMBDA_INITIALIZATION_TYPE"] = "on-demand"
    extension = start("users", SERVICE_DISCOVERY_HOLD_MS="5000", **variables)
    lambda_api.wait_until_ready()
    index.delay_s = 1
    asked = len(index.requests)

    wait_for(lambda: len(index.requests) > asked, "a check")

    assert not is_leased(extension.services_file)
    began = time.monotonic()
    assert _version(extension) == "1.0.0"
    assert time.monotonic() - began < 0.7


def test_failed_check_is_repeated_after_a_pause_and_not_after_max_age(
    start: Start, index: IndexServer
) -> None:
    """The pauses are those of other platforms: one second, then two."""
    index.fault = index_server.refuses("AccessDeniedException")
    started = time.monotonic()
    start("users", **MANAGED | {"SERVICE_DISCOVERY_MAX_AGE": "600"})

    wait_for(lambda: len(index.requests) >= 3, "two more checks")

    assert time.monotonic() - started >= 3


def test_extension_recovers_after_an_outage(
    start_resolved: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    """The last answers stay, and checks continue without invocations."""
    extension = start_resolved("users", **MANAGED)
    index.fault = index_server.refuses("AccessDeniedException")
    extension.wait_for_log("needs not resolved")
    assert _version(extension) == "1.0.0"
    index.publish("users", "1.1.0", revision=2)
    index.fault = None

    extension.wait_for_log("needs resolved again")

    assert _version(extension) == "1.1.0"
    assert lambda_api.asks == 1


@pytest.mark.parametrize("end", ["event", "SIGTERM", "SIGINT"])
@pytest.mark.parametrize("fault", ["silent", "refusing"])
def test_end_does_not_wait_for_a_check(
    start_resolved: Start, lambda_api: LambdaApi, index: IndexServer, end: str, fault: str
) -> None:
    """The platform allows 2 seconds; a check on the timer may take thirty."""
    extension = start_resolved("users", SERVICE_DISCOVERY_TIMEOUT_MS="30000", **MANAGED)
    index.fault = {"silent": index_server.silence, "refusing": index_server.refuses("X", 503)}[
        fault
    ]
    asked = len(index.requests)
    wait_for(lambda: len(index.requests) > asked, "a check")

    began = time.monotonic()
    extension.ask_to_end(end, lambda_api)

    assert extension.wait_for_exit() == 0
    assert time.monotonic() - began < 10, "the check had twenty seconds and more to go"


def test_error_of_the_extensions_api_during_a_check_ends_the_process(
    start_resolved: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    """Without the platform the process has nothing left to do."""
    extension = start_resolved("users", SERVICE_DISCOVERY_TIMEOUT_MS="30000", **MANAGED)
    index.fault = index_server.silence
    asked = len(index.requests)
    wait_for(lambda: len(index.requests) > asked, "a check")

    lambda_api.next_status = 500
    lambda_api.events.put({"eventType": "NONE"})

    assert extension.wait_for_exit() == 1


def test_extension_without_needs_waits_for_its_end(
    start: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    """The extension restores its empty file if the file is removed."""
    extension = start("", **MANAGED)
    lambda_api.wait_until_ready()
    extension.services_file.unlink()
    wait_for(extension.services_file.exists, "the file")

    lambda_api.shut_down()

    assert extension.wait_for_exit() == 0
    assert index.connections == 0
