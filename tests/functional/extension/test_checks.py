"""INVOKE: when there is a check, its effect on the file, and the effects of faults."""

import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from testing import index_server
from testing.arns import ARN
from testing.certificates import Certificates
from testing.held_readers import is_leased
from testing.index_server import IndexServer, item
from testing.lambda_api import LambdaApi
from testing.waiting import wait_for
from tests.conftest import ROOT
from tests.functional.extension.conftest import Start


def test_check_that_changes_nothing_moves_only_the_modification_time(
    start_resolved: Start, lambda_api: LambdaApi
) -> None:
    """Age is now minus mtime, and a function need not parse the same document again."""
    extension = start_resolved("users")
    before = extension.services_file.stat()

    lambda_api.invoke()

    after = extension.services_file.stat()
    assert after.st_ino == before.st_ino
    assert after.st_mtime_ns > before.st_mtime_ns


def test_changed_answer_replaces_the_file(
    start: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    index.publish("users", "1.0.0")
    index.publish("billing", "1.0.0")
    extension = start("users,billing")
    lambda_api.wait_until_ready()
    before = extension.document()
    index.put("users", "latest", item("1.1.0", ARN + "3", revision=2))

    lambda_api.invoke()

    after = extension.document()
    assert after["users"]["version"] == "1.1.0"
    assert after["billing"] == before["billing"]
    assert "answer changed" in extension.log()


def test_no_check_before_max_age(
    start_resolved: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    start_resolved("users", SERVICE_DISCOVERY_MAX_AGE="600")

    for _ in range(5):
        lambda_api.invoke()

    assert len(index.requests) == 1
    assert index.connections == 1


def test_checks_share_one_connection(
    start_resolved: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    """A handshake for each check would cost more than the check."""
    start_resolved("users")

    for _ in range(5):
        lambda_api.invoke()

    assert len(index.requests) == 6
    assert index.connections == 1


def test_freeze_longer_than_max_age_makes_a_check_due(
    start_resolved: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    """The wall clock continues while an environment is frozen."""
    extension = start_resolved("users", SERVICE_DISCOVERY_MAX_AGE="1")
    index.publish("users", "1.1.0", revision=2)
    os.kill(extension.process.pid, signal.SIGSTOP)
    age = extension.services_file.stat().st_mtime
    wait_for(lambda: time.time() - age > 1.1, "an age above MAX_AGE")
    os.kill(extension.process.pid, signal.SIGCONT)

    lambda_api.invoke()

    assert extension.document()["users"]["version"] == "1.1.0"


@pytest.mark.parametrize("damage", ["gone", "emptied", "altered", "closed to others"])
def test_changed_file_is_restored(
    start_resolved: Start, lambda_api: LambdaApi, damage: str
) -> None:
    """A function that deletes files in /tmp must not lose its services."""
    extension = start_resolved("users")
    # The first resolve may still serve the first event.
    lambda_api.invoke()
    if damage == "gone":
        extension.services_file.unlink()
    elif damage == "closed to others":
        extension.services_file.chmod(0o600)
    else:
        extension.services_file.write_text("" if damage == "emptied" else '{"users": {}}')

    lambda_api.invoke()

    assert extension.document()["users"]["version"] == "1.0.0"
    assert extension.services_file.stat().st_mode & 0o7777 == 0o644


def test_missing_is_an_answer_and_logged_when_it_begins_and_ends(
    start_resolved: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    """A deleted service is not a fault of the network."""
    extension = start_resolved("users")
    gone = index.items.pop(("users", "latest"))
    lambda_api.invoke()
    lambda_api.invoke()
    assert extension.document()["users"]["status"] == "missing"
    assert time.time() - extension.services_file.stat().st_mtime < 30

    index.items["users", "latest"] = gone
    lambda_api.invoke()

    assert extension.document()["users"]["status"] == "active"
    assert extension.log().count("service missing") == 1
    assert extension.log().count("service resolved again") == 1


def test_stale_read_does_not_replace_an_answer(
    start: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    """Reads are eventually consistent: an older item is accepted only if it is read twice."""
    index.publish("users", "2.0.0", revision=9)
    extension = start("users")
    lambda_api.wait_until_ready()
    index.publish("users", "1.0.0", revision=4)

    lambda_api.invoke()
    assert extension.document()["users"]["version"] == "2.0.0"
    lambda_api.invoke()
    assert extension.document()["users"]["version"] == "1.0.0"


def test_partial_answers_count(start: Start, lambda_api: LambdaApi, index: IndexServer) -> None:
    """Each need has its own result."""
    index.publish("a", "1.0.0")
    index.publish("b", "1.0.0")
    index.unprocessed = 1

    extension = start("a,b", SERVICE_DISCOVERY_TIMEOUT_MS="300")
    lambda_api.wait_until_ready()

    statuses = sorted(member["status"] for member in extension.document().values())
    assert statuses == ["active", "unavailable"]
    assert extension.services_file.stat().st_mtime == 0


def test_invocation_with_too_little_time_left_has_no_check(
    start_resolved: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    """A check never makes the function time out."""
    start_resolved("users")

    lambda_api.invoke(deadlineMs=int(time.time() * 1000) + 150)

    assert len(index.requests) == 1


def test_check_ends_before_the_invocations_deadline(
    start_resolved: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    """It ends in time even if the registry does not respond."""
    start_resolved("users", SERVICE_DISCOVERY_TIMEOUT_MS="20000")
    index.fault = index_server.silence

    deadline = time.time() + 1
    lambda_api.invoke(deadlineMs=int(deadline * 1000))

    assert time.time() < deadline + 5, "the check itself would have taken 20 s"


def test_failed_check_pauses_before_the_next(
    start_resolved: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    """A failing registry gets no more load, and the next invocation does not wait again."""
    start_resolved("users", SERVICE_DISCOVERY_MAX_AGE="0")
    index.fault = index_server.refuses("AccessDeniedException")
    lambda_api.invoke()
    asked = len(index.requests)

    for _ in range(5):
        lambda_api.invoke()

    assert len(index.requests) <= asked + 1, "a second has hardly passed"


@pytest.mark.parametrize("end", ["event", "SIGTERM", "SIGINT"])
@pytest.mark.parametrize("moment", ["waiting", "first resolve"])
def test_extension_ends_with_status_0_at_every_stage(
    start: Start, lambda_api: LambdaApi, index: IndexServer, end: str, moment: str
) -> None:
    """Any other exit status would be a failure in the platform's log."""
    index.publish("users", "1.0.0")
    if moment == "first resolve":
        index.fault = index_server.silence
    extension = start("users", SERVICE_DISCOVERY_TIMEOUT_MS="20000")
    if moment == "waiting":
        lambda_api.wait_until_ready()
    else:
        wait_for(lambda: bool(index.requests), "the first resolve")

    extension.ask_to_end(end, lambda_api)

    assert extension.wait_for_exit() == 0
    if moment == "first resolve":
        assert extension.document()["users"]["status"] == "unavailable"


@pytest.mark.parametrize("end", ["event", "SIGTERM", "SIGINT"])
@pytest.mark.parametrize("moment", ["waiting", "first resolve"])
def test_end_takes_200_ms_at_most(
    start: Start,
    lambda_api: LambdaApi,
    index: IndexServer,
    tmp_path: Path,
    end: str,
    moment: str,
) -> None:
    """There are several attempts, for busy machines."""
    index.publish("users", "1.0.0")
    index.fault = index_server.silence if moment == "first resolve" else None
    times_s: list[float] = []
    for number in range(1, 9):
        # Each start has its own path: a start after an unfinished one has less time.
        path = str(tmp_path / f"{number}/services.json")
        extension = start("users", SERVICES_FILE=path, SERVICE_DISCOVERY_TIMEOUT_MS="5000")
        _wait_for_inits(number, lambda_api, index)
        if moment == "waiting":
            extension.wait_until_resolved()

        began = time.monotonic()
        extension.ask_to_end(end, lambda_api)

        assert extension.wait_for_exit() == 0
        times_s.append(time.monotonic() - began)
        if times_s[-1] <= 0.2:
            break
    assert times_s[-1] <= 0.2, times_s


def test_bug_outside_of_a_check_leaves_function_and_readers_alone(
    start: Start, lambda_api: LambdaApi, index: IndexServer, interpreter: str
) -> None:
    """The extension logs the bug, ends its lease, and then only asks for events."""
    if interpreter != "cpython":
        pytest.skip("the program that ships can't be given a bug")
    index.publish("users", "1.0.0")
    program = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from extension import main, schedule\n"
        "schedule.Schedule.succeeded = None\n"
        "main.main()"
    )

    extension = start("users", sys.executable, "-c", program)
    extension.wait_for_log("extension stopped working")

    assert "TypeError" in extension.log()
    assert not is_leased(extension.services_file)
    assert extension.document()["users"]["version"] == "1.0.0"
    for _ in range(2):
        lambda_api.invoke()
    lambda_api.shut_down()
    assert extension.wait_for_exit() == 0


def _wait_for_inits(number: int, lambda_api: LambdaApi, index: IndexServer) -> None:
    """Wait until *number* extensions have asked for their needs and their first event."""
    wait_for(lambda: len(index.requests) >= number and lambda_api.asks >= number, "the init")


@pytest.mark.parametrize("call", ["register", "next"])
def test_error_of_the_extensions_api_ends_the_process(
    start: Start, lambda_api: LambdaApi, call: str
) -> None:
    """Without the platform the process has nothing left to do."""
    setattr(lambda_api, f"{call}_status", 500)

    extension = start("")

    assert extension.wait_for_exit() == 1


@pytest.mark.parametrize("moment", ["registering", "waiting"])
def test_unreachable_extensions_api_ends_the_process(
    start: Start, lambda_api: LambdaApi, moment: str
) -> None:
    """Without the platform the process has nothing left to do."""
    if moment == "registering":
        lambda_api.address = "127.0.0.1:9"
        extension = start("")
    else:
        extension = start("")
        lambda_api.wait_until_ready()
        lambda_api.hang_up()

    assert extension.wait_for_exit() == 1
    assert "ERROR service-discovery: extensions api failed" in extension.log()


def test_managed_instances_are_served_on_a_timer(
    start_resolved: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    """They have no INVOKE event, and are never frozen."""
    lambda_api.refused_events = ("INVOKE",)
    extension = start_resolved("users", SERVICE_DISCOVERY_MAX_AGE="1")
    index.publish("users", "1.1.0", revision=2)

    wait_for(lambda: extension.document()["users"]["version"] == "1.1.0", "the new answer")

    assert [each["events"] for each in lambda_api.posted("register")][-1] == ["SHUTDOWN"]
    lambda_api.shut_down()
    assert extension.wait_for_exit() == 0


def test_log_is_json_if_the_functions_log_is(
    start: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    """Each line is one object, with facts as fields."""
    extension = start("users", AWS_LAMBDA_LOG_FORMAT="JSON")
    lambda_api.wait_until_ready()

    (line,) = extension.log().splitlines()

    document = json.loads(line)
    assert document["level"] == "WARN"
    assert document["message"] == "service missing"
    assert document["service"] == "users"
    assert index.requests


def test_keys_come_from_the_containers_endpoint_if_none_are_set(
    start: Start,
    lambda_api: LambdaApi,
    index: IndexServer,
    keys: IndexServer,
    container: dict[str, str],
) -> None:
    """SnapStart sets no keys in variables. They change at restores, so each check asks for them."""
    index.publish("users", "1.0.0")
    extension = start("users", **container)
    lambda_api.wait_until_ready()
    lambda_api.invoke()

    assert extension.document()["users"]["version"] == "1.0.0"
    asked = [(path, headers["authorization"]) for path, headers in keys.heads]
    assert asked == [("/2021-04-23/credentials", "container-token")] * 2


def test_registry_with_a_trusted_certificate_is_read(
    start: Start, lambda_api: LambdaApi, tls_index: IndexServer, certificates: Certificates
) -> None:
    """AWS_CA_BUNDLE replaces the shipped roots; there is one handshake."""
    extension = start(
        "users", AWS_ENDPOINT_URL_DYNAMODB=tls_index.url, AWS_CA_BUNDLE=str(certificates.bundle)
    )
    lambda_api.wait_until_ready()
    lambda_api.invoke()

    assert extension.document()["users"]["version"] == "1.4.2"
    assert tls_index.connections == 1


def test_other_authorities_are_not_trusted(
    start: Start, lambda_api: LambdaApi, tls_index: IndexServer
) -> None:
    """Without AWS_CA_BUNDLE a chain has to end at one of Amazon's roots or the system's."""
    extension = start("users", AWS_ENDPOINT_URL_DYNAMODB=tls_index.url)
    lambda_api.wait_until_ready()

    member = extension.document()["users"]
    assert member["status"] == "unavailable"
    assert tls_index.requests == []
    assert "certificate" in member["error"].lower()


def test_memory_stays_flat(
    start: Start, lambda_api: LambdaApi, index: IndexServer, interpreter: str
) -> None:
    """An environment may live for hours."""
    if interpreter != "micropython":
        pytest.skip("the limit is that of the shipped program")
    for number in range(10):
        index.publish(f"s{number}", "1.0.0")
    extension = start(",".join(f"s{number}" for number in range(10)))
    lambda_api.wait_until_ready()
    for _ in range(100):
        lambda_api.invoke()
    before = extension.resident_kib()

    for _ in range(400):
        lambda_api.invoke()

    assert extension.resident_kib() <= before + 64
    assert extension.resident_kib() <= 1536


def test_memory_of_a_hundred_needs_with_the_most_metadata_stays_flat(
    start: Start, lambda_api: LambdaApi, index: IndexServer, interpreter: str
) -> None:
    """Each has 2,048 bytes in 50 entries, and all of them change at once."""
    if interpreter != "micropython":
        pytest.skip("the limit is that of the shipped program")
    services = [f"service-{number}" for number in range(100)]

    def publish(minor: int) -> None:
        metadata = {"M": {f"entry-{n:02d}-of-50": {"S": f"{minor:024d}"} for n in range(50)}}
        for service in services:
            version = item(f"1.{minor}.0", ARN, revision=minor + 1, metadata=metadata)
            index.put(service, "latest", version)

    publish(0)
    extension = start(",".join(services))
    lambda_api.wait_until_ready()
    resident = []

    for minor in range(1, 61):
        publish(minor)
        lambda_api.invoke()
        resident.append(extension.resident_kib())

    assert extension.document()["service-99"]["metadata"]["entry-49-of-50"] == f"{60:024d}"
    assert max(resident) <= 6 * 1024
    assert max(resident[30:]) <= max(resident[:30])


def test_large_document_is_handled_whole(
    start: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    """A hundred needs with as much metadata as earlier versions of the API accepted: 5.8 MB."""
    metadata = {"M": {f"k{n:0127d}"[:128]: {"S": "v" * 1024} for n in range(50)}}
    for number in range(100):
        index.publish(f"s{number}", "1.0.0", metadata=metadata)

    extension = start(
        ",".join(f"s{number}" for number in range(100)), SERVICE_DISCOVERY_TIMEOUT_MS="30000"
    )
    lambda_api.wait_until_ready()

    document = extension.document()
    assert len(document) == 100
    assert all(len(member["metadata"]) == 50 for member in document.values())
