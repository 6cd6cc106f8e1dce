"""A services file that several environments share (EFS), and the events of its folder's watcher."""

import contextlib
import ctypes
import errno
import json
import os
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from testing import refused_leases
from testing.held_readers import is_leased
from testing.index_server import IndexServer, refuses
from testing.lambda_api import LambdaApi
from testing.waiting import wait_for
from tests.functional.extension.conftest import Start

_WRITERS = 4
_READS = 3_000
_CHANGES = 60
_READER = """
import json, sys
for _ in range(int(sys.argv[2])):
    with open(sys.argv[1], encoding="utf-8") as file:
        members = json.load(file)
    assert members["users"]["version"].startswith("1."), members
"""
# Source: inotify(7).
_ALL_EVENTS = 0xFFF
_MODIFY_OR_ATTRIB, _MOVED_FROM, _DELETE = 0x2 | 0x4, 0x40, 0x200
_HEAD = struct.Struct("iIII")


class _Watcher:
    """Reads inotify's events of a folder."""

    def __init__(self, folder: Path) -> None:
        libc = ctypes.CDLL(None)
        self._fd = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        assert libc.inotify_add_watch(self._fd, str(folder).encode(), _ALL_EVENTS) >= 0

    def events(self) -> list[tuple[int, str]]:
        """Return the masks and names since the last call."""
        found = []
        data = os.read(self._fd, 1 << 20)
        while data:
            _, mask, _, length = _HEAD.unpack_from(data)
            end = _HEAD.size + length
            found.append((mask, data[_HEAD.size : end].rstrip(b"\0").decode()))
            data = data[end:]
        return found

    def close(self) -> None:
        """Stop watching."""
        os.close(self._fd)


def test_environments_that_share_a_file_write_whole_documents(
    start: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    """No reader finds an empty or partial file, and no environment logs an error."""
    index.publish("users", "1.0.0")
    writers = []
    for number in range(_WRITERS):
        # One after the other, since they share a /tmp here; in Lambda each has its own.
        writers.append(start("users"))
        lambda_api.wait_until_ready(number + 1)
    path = writers[0].services_file
    readers = [
        subprocess.Popen(
            [sys.executable, "-c", _READER, str(path), str(_READS)], stderr=subprocess.PIPE
        )
        for _ in range(2)
    ]

    for minor in range(1, _CHANGES):
        index.publish("users", f"1.{minor}.0", revision=minor + 1)
        lambda_api.events.put({"eventType": "INVOKE", "requestId": "r"})
        time.sleep(0.01)

    for reader in readers:
        _, errors = reader.communicate()
        assert (reader.returncode, errors) == (0, b"")
    wait_for(lambda_api.events.empty, "all events")
    for writer in writers:
        assert writer.is_running()
        assert "ERROR" not in writer.log()
    lambda_api.wait_until_ready(_WRITERS + _CHANGES - 1)
    writers[0].wait_until_only_its_file_is_left()


@pytest.mark.parametrize("error", [errno.EINVAL, errno.EAGAIN])
def test_environments_share_a_file_if_the_kernel_refuses_leases(
    start: Start, lambda_api: LambdaApi, index: IndexServer, error: int
) -> None:
    """Readers are not held, but the file is correct, and written only if an answer changes."""
    index.publish("users", "1.0.0")
    writers = [start("users", *refused_leases.command(error))]
    lambda_api.wait_until_ready()
    path = Path(writers[0].services_file)
    watcher = _Watcher(path.parent)
    for _ in range(3):
        lambda_api.invoke()
    for mask, name in watcher.events():
        assert (mask & ~_MODIFY_OR_ATTRIB, name) == (0, path.name), "only the modification time"
    watcher.close()

    writers.append(start("users", *refused_leases.command(error)))
    lambda_api.wait_until_ready(5)
    index.publish("users", "1.1.0", revision=2)
    for _ in range(4):
        lambda_api.invoke()

    assert json.loads(path.read_bytes())["users"]["version"] == "1.1.0"
    assert not is_leased(path)
    for writer in writers:
        assert writer.is_running()
        assert "ERROR" not in writer.log()


def test_failed_check_keeps_the_newer_file_of_another_environment(
    start: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    """An environment whose network fails must not put its older answers in place of newer ones."""
    as_on_efs = refused_leases.command(errno.EAGAIN)
    index.publish("users", "1.0.0")
    healthy = start("users", *as_on_efs)
    lambda_api.wait_until_ready()
    with contextlib.closing(IndexServer()) as others_index, _running(LambdaApi()) as others_api:
        others_index.publish("users", "1.0.0")
        failing = start(
            "users",
            *as_on_efs,
            AWS_LAMBDA_RUNTIME_API=others_api.address,
            AWS_ENDPOINT_URL_DYNAMODB=others_index.url,
        )
        others_api.wait_until_ready()
        index.publish("users", "1.1.0", revision=2)
        lambda_api.invoke()
        others_index.fault = refuses("AccessDeniedException")

        others_api.invoke()

        assert "needs not resolved" in failing.log()
        assert healthy.document()["users"]["version"] == "1.1.0"


@contextlib.contextmanager
def _running(api: LambdaApi) -> Iterator[LambdaApi]:
    server = api.start()
    yield api
    server.shutdown()
    server.server_close()


def test_watchers_last_event_is_the_new_file(
    start_resolved: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    """To a watcher that handles only the last event, the file must not look deleted."""
    extension = start_resolved("users")
    watcher = _Watcher(extension.services_file.parent)

    index.publish("users", "1.1.0", revision=2)
    lambda_api.invoke()

    events = watcher.events()
    watcher.close()
    assert events, "the change was seen"
    mask, name = events[-1]
    assert name == extension.services_file.name
    assert not mask & (_MOVED_FROM | _DELETE)
    assert json.loads(extension.services_file.read_bytes())["users"]["version"] == "1.1.0"


def test_abandoned_files_are_removed_and_those_of_others_stay(
    start_resolved: Start, tmp_path: Path
) -> None:
    """Files of killed runs are removed; a file that another environment is staging stays."""
    folder = tmp_path / "run"
    folder.mkdir()
    now = int(time.time())
    old = folder / f"services.json.{now - 3_600:x}.0badcafe.new"
    others = folder / f"services.json.{now:x}.0badcafe.new"
    foreign = folder / "services.json.bak"
    for path in (old, others, foreign):
        path.touch()
    start_resolved("users")

    assert not old.exists()
    assert others.exists()
    assert foreign.exists()
