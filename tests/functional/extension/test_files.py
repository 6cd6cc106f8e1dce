"""The file, with faults caused by the disk, the function or an earlier run."""

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from testing import index_server
from testing.arns import ARN
from testing.index_server import IndexServer, item
from testing.lambda_api import LambdaApi
from testing.waiting import wait_for
from tests.functional.extension.conftest import Start
from tests.functional.extension.private_disk import PrivateDisk

KNOWN = {
    "requested": "latest",
    "version": "1.0.0",
    "arn": ARN,
    "status": "active",
    "resolved_at": "2026-01-01T00:00:00Z",
}


@pytest.mark.parametrize("trouble", ["full", "read-only"])
def test_answer_that_could_not_be_written_is_written_once_it_can(
    start: Start, lambda_api: LambdaApi, index: IndexServer, tmp_path: Path, trouble: str
) -> None:
    """If a function fills its disk, its answers become older, but none is lost."""
    disk = PrivateDisk(tmp_path / "disk")
    index.publish("users", "1.0.0")
    # A leased file is open for writing, and the kernel makes no disk with such a file read-only.
    hold_ms = {"full": "250", "read-only": "0"}[trouble]
    extension = start(
        "users",
        *disk.enter(),
        SERVICES_FILE=disk.services_file,
        SERVICE_DISCOVERY_HOLD_MS=hold_ms,
    )
    lambda_api.wait_until_ready()
    before = extension.services_file.read_bytes(), extension.services_file.stat().st_mtime_ns
    disk.fill(extension) if trouble == "full" else disk.remount(extension, "ro")
    index.publish("users", "2.0.0", revision=2)

    for _ in range(3):
        lambda_api.invoke()

    now = extension.services_file.read_bytes(), extension.services_file.stat().st_mtime_ns
    assert now == before, "the old one stays"
    (line,) = [each for each in extension.log().splitlines() if "ERROR" in each]
    assert "services file not written" in line
    assert {"full": "no space left", "read-only": "read-only file system"}[trouble] in line.lower()
    assert disk.services_file in line
    disk.empty(extension) if trouble == "full" else disk.remount(extension, "rw")

    def is_written() -> bool:
        lambda_api.invoke()
        return bool(extension.document()["users"]["version"] == "2.0.0")

    wait_for(is_written, "the new answer in the file")
    # The readers continue before the log has its line.
    wait_for(lambda: "services file written again" in extension.log(), "the line in the log")
    assert extension.log().count("services file written again") == 1
    assert time.time() - extension.services_file.stat().st_mtime < 30


@pytest.mark.parametrize("trouble", ["full", "read-only"])
def test_init_on_a_full_disk_fails_open(
    start: Start, lambda_api: LambdaApi, index: IndexServer, tmp_path: Path, trouble: str
) -> None:
    """The function runs without the file, and gets it when there is room."""
    disk = PrivateDisk(tmp_path / "disk")
    index.publish("users", "1.0.0")
    # The fault exists before the extension starts, so its first write meets it.
    shell_command = {
        "full": "head -c 1000000 /dev/zero >ballast",
        "read-only": 'mount -o remount,ro "$1"',
    }[trouble]
    extension = start(
        "users", *disk.enter(shell_command=shell_command), SERVICES_FILE=disk.services_file
    )
    lambda_api.wait_until_ready()
    lambda_api.invoke()
    assert not extension.services_file.exists()
    assert extension.log().count("services file not written") == 1
    disk.empty(extension) if trouble == "full" else disk.remount(extension, "rw")

    def is_written() -> bool:
        lambda_api.invoke()
        return extension.services_file.exists()

    wait_for(is_written, "the file")
    assert extension.document()["users"]["version"] == "1.0.0"
    assert extension.log().count("services file written again") == 1


@pytest.mark.parametrize("size", ["64k", "56k", "16k"])
def test_disk_that_fills_up_in_an_init_gives_readers_whole_documents(
    start: Start, lambda_api: LambdaApi, index: IndexServer, tmp_path: Path, size: str
) -> None:
    """Without space for the held file and a new one, readers still get a complete document."""
    disk = PrivateDisk(tmp_path / "disk", size=size)
    index.put("users", "latest", item("1.0.0", ARN, metadata=_metadata(50)))
    index.delay_s = 1
    extension = start(
        "users",
        *disk.enter(),
        SERVICES_FILE=disk.services_file,
        SERVICE_DISCOVERY_TIMEOUT_MS="5000",
    )
    wait_for(lambda: bool(lambda_api.posted("register")), "the registration")

    held = [
        subprocess.Popen(["cat", str(extension.services_file)], stdout=subprocess.PIPE)
        for _ in range(3)
    ]
    texts = [reader.communicate()[0] for reader in held]
    lambda_api.wait_until_ready()

    for text in (*texts, extension.services_file.read_bytes()):
        assert json.loads(text)["users"]["status"] in {"active", "unavailable"}
    assert extension.is_running()
    extension.wait_until_only_its_file_is_left()


def test_room_for_a_part_of_the_new_document_leaves_the_old_one_and_nothing_else(
    start_resolved: Start, lambda_api: LambdaApi, index: IndexServer, tmp_path: Path
) -> None:
    """A staged file that could not be completed must not take the function's last space."""
    disk = PrivateDisk(tmp_path / "disk", size="64k")
    extension = start_resolved("users", *disk.enter(), SERVICES_FILE=disk.services_file)
    before = extension.services_file.read_bytes()
    index.put("users", "latest", item("2.0.0", ARN, revision=2, metadata=_metadata(80)))

    lambda_api.invoke()

    assert extension.services_file.read_bytes() == before
    extension.wait_until_only_its_file_is_left()
    (line,) = [each for each in extension.log().splitlines() if "ERROR" in each]
    assert "no space left on device" in line.lower()


def _metadata(kilobytes: int) -> dict[str, Any]:
    return {"M": {f"k{number}": {"S": "v" * 1000} for number in range(kilobytes)}}


def test_missing_folders_of_the_file_are_made(
    start: Start, lambda_api: LambdaApi, index: IndexServer, tmp_path: Path
) -> None:
    """Missing folders are made with a mode that lets everybody enter, at init and later."""
    index.publish("users", "1.0.0")
    path = tmp_path / "a/b c/d/services.json"
    extension = start("users", SERVICES_FILE=str(path))
    lambda_api.wait_until_ready()
    assert extension.document()["users"]["version"] == "1.0.0"
    assert {each.stat().st_mode & 0o7777 for each in list(path.parents)[:3]} == {0o755}

    path.unlink()
    path.parent.rmdir()
    lambda_api.invoke()

    assert extension.document()["users"]["version"] == "1.0.0"


@pytest.mark.parametrize("text", ["", "{}", '{"users": {"requested": "latest"}}'])
def test_replaced_file_is_restored_by_a_failed_check(
    start_resolved: Start, lambda_api: LambdaApi, index: IndexServer, tmp_path: Path, text: str
) -> None:
    """The last good answers stay while the registry cannot be asked."""
    extension = start_resolved("users")
    before = extension.services_file.read_bytes(), extension.services_file.stat().st_mtime_ns
    index.fault = index_server.refuses("AccessDeniedException")
    other = tmp_path / "other.json"
    other.write_text(text)
    other.rename(extension.services_file)

    lambda_api.invoke()

    now = extension.services_file.read_bytes(), extension.services_file.stat().st_mtime_ns
    assert now == before


def test_file_of_a_function_that_needs_nothing_is_restored(
    start: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    """The file has an empty object, and its time is the init's."""
    extension = start("")
    lambda_api.wait_until_ready()
    born = extension.services_file.stat().st_mtime_ns
    lambda_api.invoke()
    assert extension.services_file.stat().st_mtime_ns == born
    extension.services_file.unlink()

    lambda_api.invoke()

    assert extension.document() == {}
    assert extension.services_file.stat().st_mtime_ns == born
    assert index.connections == 0


def test_leftovers_time_is_kept_to_the_nanosecond(
    start: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    """To a function that compares times, a failed resolve must not look like a new document."""
    extension = start("users")
    path = extension.services_file
    lambda_api.wait_until_ready()
    extension.process.kill()
    extension.process.wait()
    path.write_text(json.dumps({"users": KNOWN}))
    os.utime(path, ns=(0, 1_700_000_000_123_456_789))
    index.close()

    again = start("users", SERVICE_DISCOVERY_TIMEOUT_MS="200")
    lambda_api.wait_until_ready(2)

    assert again.document()["users"] == KNOWN
    assert path.stat().st_mtime_ns == 1_700_000_000_123_456_789


def test_leftover_that_is_no_regular_file_is_replaced_at_once(
    start: Start, lambda_api: LambdaApi, index: IndexServer, tmp_path: Path
) -> None:
    """Opening a pipe would wait for a writer without end."""
    index.publish("users", "1.0.0")
    path = tmp_path / "run/services.json"
    path.parent.mkdir()
    os.mkfifo(path)

    extension = start("users")
    lambda_api.wait_until_ready()

    assert extension.document()["users"]["version"] == "1.0.0"


def test_folder_in_the_files_place_is_only_logged(
    start: Start, lambda_api: LambdaApi, index: IndexServer, tmp_path: Path
) -> None:
    """The function runs nevertheless, and gets its file once the folder is gone."""
    index.publish("users", "1.0.0")
    path = tmp_path / "run/services.json"
    path.mkdir(parents=True)
    extension = start("users")
    lambda_api.wait_until_ready()
    assert extension.log().count("services file not written") == 1
    extension.wait_until_only_its_file_is_left()
    path.rmdir()

    def is_written() -> bool:
        lambda_api.invoke()
        return path.exists()

    wait_for(is_written, "the file")
    assert extension.document()["users"]["version"] == "1.0.0"


LEFTOVERS = {
    "another service under the alias": ({"a": {**KNOWN, "service": "billing"}}, "a:users", False),
    "the service under its alias": ({"a": {**KNOWN, "service": "users"}}, "a:users", True),
    "an alias that has become a name": ({"a": {**KNOWN, "service": "users"}}, "a", False),
    "another selector": ({"users": KNOWN}, "users==1.x", False),
    "the selector in other words": ({"users": KNOWN}, "users@latest", True),
    "a wildcard in other words": (
        {"users": {**KNOWN, "requested": "1.x"}},
        "users==1.*",
        True,
    ),
    "no arn": ({"users": {k: v for k, v in KNOWN.items() if k != "arn"}}, "users", False),
    "an arn that is no text": ({"users": {**KNOWN, "arn": 42}}, "users", False),
    "metadata that is no map": ({"users": {**KNOWN, "metadata": ["a"]}}, "users", False),
    "another status": ({"users": {**KNOWN, "status": "happy"}}, "users", False),
    "members of another time": ({"users": {**KNOWN, "extra": {"x": [1]}}}, "users", True),
}


@pytest.mark.parametrize("name", LEFTOVERS)
def test_leftover_counts_only_for_the_same_need(
    start: Start, lambda_api: LambdaApi, index: IndexServer, tmp_path: Path, name: str
) -> None:
    """Key, service and selector must be the same, and the member well-formed."""
    left, need, counts = LEFTOVERS[name]
    path = tmp_path / "run/services.json"
    path.parent.mkdir()
    path.write_text(json.dumps(left))
    os.utime(path, (1_700_000_000, 1_700_000_000))
    index.close()

    extension = start(need, SERVICE_DISCOVERY_TIMEOUT_MS="50")
    lambda_api.wait_until_ready()

    (member,) = extension.document().values()
    assert member["status"] == ("active" if counts else "unavailable")
    assert path.stat().st_mtime == (1_700_000_000 if counts else 0)


def test_missing_member_of_an_earlier_run_is_an_answer(
    start: Start, lambda_api: LambdaApi, index: IndexServer, tmp_path: Path
) -> None:
    """`missing` is an answer of the registry; `unavailable` is not."""
    path = tmp_path / "run/services.json"
    path.parent.mkdir()
    gone = {"requested": "latest", "status": "missing", "error": "no version of 'a' matches"}
    path.write_text(json.dumps({"a": gone, "b": {**gone, "status": "unavailable"}}))
    index.close()

    extension = start("a,b", SERVICE_DISCOVERY_TIMEOUT_MS="50")
    lambda_api.wait_until_ready()

    document = extension.document()
    assert document["a"] == gone
    assert document["b"]["error"] != gone["error"], "the error describes this resolve"


def test_member_that_has_not_changed_keeps_its_time_over_a_restart(
    start: Start, lambda_api: LambdaApi, index: IndexServer, tmp_path: Path
) -> None:
    """`resolved_at` is when the member changed, not when the process started."""
    path = tmp_path / "run/services.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"users": KNOWN, "billing": KNOWN}))
    index.publish("users", "1.0.0")
    index.publish("billing", "1.1.0")

    extension = start("users,billing")
    lambda_api.wait_until_ready()

    document = extension.document()
    assert document["users"] == KNOWN
    assert document["billing"]["resolved_at"] > KNOWN["resolved_at"]
