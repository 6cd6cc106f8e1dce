"""Freeze, thaw and restored snapshots, simulated with SIGSTOP."""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from botocore.credentials import Credentials

from testing import index_server
from testing.held_readers import is_held
from testing.index_server import IndexServer
from testing.lambda_api import LambdaApi
from testing.waiting import wait_for
from tests.functional.extension.conftest import Extension, Start

_MAX_AGE_S = 1


def freeze(extension: Extension) -> None:
    """Stop the process, and wait until it is stopped."""
    os.kill(extension.process.pid, signal.SIGSTOP)
    wait_for(lambda: extension.state() == "T", "the frozen process")


def thaw(extension: Extension) -> None:
    """Continue the process."""
    os.kill(extension.process.pid, signal.SIGCONT)


def wait_past_max_age(extension: Extension) -> None:
    """Wait until the file is older than MAX_AGE."""
    wait_for(
        lambda: time.time() - extension.services_file.stat().st_mtime > _MAX_AGE_S + 0.1,
        "an age above MAX_AGE",
    )


def _nothing(_: IndexServer) -> None:
    """Leave the connection open."""


def _drop(index: IndexServer) -> None:
    index.drop()


def _move_away(index: IndexServer) -> None:
    """Close the connections, and continue on the same port."""
    index.reopen()


def _start_and_freeze(start: Start, lambda_api: LambdaApi, index: IndexServer) -> Extension:
    """Let an extension resolve `users` to 1.0.0, freeze it, and publish 1.1.0."""
    index.publish("users", "1.0.0")
    extension = start("users", SERVICE_DISCOVERY_MAX_AGE=str(_MAX_AGE_S))
    lambda_api.wait_until_ready()
    freeze(extension)
    index.publish("users", "1.1.0", revision=2)
    return extension


@pytest.mark.parametrize("meanwhile", [_nothing, _drop, _move_away])
def test_thawed_process_checks_at_the_next_invocation(
    start: Start,
    lambda_api: LambdaApi,
    index: IndexServer,
    meanwhile: Callable[[IndexServer], None],
) -> None:
    """The first check after a freeze succeeds, with any state of the old connection."""
    extension = _start_and_freeze(start, lambda_api, index)
    meanwhile(index)
    wait_past_max_age(extension)
    thaw(extension)

    lambda_api.invoke()

    assert extension.document()["users"]["version"] == "1.1.0"
    assert time.time() - extension.services_file.stat().st_mtime < 30
    assert "WARN" not in extension.log()


def test_freeze_shorter_than_max_age_makes_no_check_due(
    start_resolved: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    """Most freezes are short, and must not cost a read each."""
    extension = start_resolved("users", SERVICE_DISCOVERY_MAX_AGE="600")

    for _ in range(3):
        freeze(extension)
        thaw(extension)
        lambda_api.invoke()

    assert len(index.requests) == 1


def test_event_that_comes_to_a_frozen_process_is_not_lost(
    start: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    """The platform thaws the environment with the event already sent."""
    extension = _start_and_freeze(start, lambda_api, index)
    wait_past_max_age(extension)
    lambda_api.events.put({"eventType": "INVOKE", "requestId": "r"})
    wait_for(lambda: lambda_api.sent == 1, "the sent event")

    thaw(extension)

    lambda_api.wait_until_ready(2)
    assert extension.document()["users"]["version"] == "1.1.0"


@pytest.mark.parametrize("moment", ["first resolve", "check"])
def test_freeze_during_a_request_is_a_failed_check(
    start: Start, lambda_api: LambdaApi, index: IndexServer, moment: str
) -> None:
    """A lost response is a failed check; the process continues, and checks again."""
    index.publish("users", "1.0.0")
    if moment == "first resolve":
        index.fault = index_server.silence
    extension = start(
        "users", SERVICE_DISCOVERY_MAX_AGE=str(_MAX_AGE_S), SERVICE_DISCOVERY_TIMEOUT_MS="2000"
    )
    if moment == "check":
        lambda_api.wait_until_ready()
        index.fault = index_server.silence
        wait_past_max_age(extension)
        asked = len(index.requests)
        lambda_api.events.put({"eventType": "INVOKE", "requestId": "r"})
        wait_for(lambda: len(index.requests) > asked, "the check")
    else:
        wait_for(lambda: bool(index.requests), "the first resolve")
    freeze(extension)
    index.drop()
    index.fault = None
    thaw(extension)

    def is_fresh() -> bool:
        lambda_api.invoke()
        return time.time() - extension.services_file.stat().st_mtime < 30

    wait_for(is_fresh, "a successful check")
    assert extension.document()["users"]["version"] == "1.0.0"


def test_early_reader_continues_when_the_extension_dies(start: Start, index: IndexServer) -> None:
    """The kernel lets the reader continue, with a document of `unavailable` members."""
    index.publish("users", "1.0.0")
    index.fault = index_server.silence
    extension = start("users", SERVICE_DISCOVERY_TIMEOUT_MS="30000")
    wait_for(lambda: bool(index.requests), "the first resolve")
    reader = subprocess.Popen(["cat", str(extension.services_file)], stdout=subprocess.PIPE)
    wait_for(lambda: is_held(reader.pid), "the held reader")

    extension.process.kill()

    text, _ = reader.communicate(timeout=20)
    assert json.loads(text)["users"]["status"] == "unavailable"


@dataclass
class KeysServer:
    """The container's credentials endpoint, with keys that change."""

    secret: str = "SECRET"
    status: int = 200
    tokens: list[str] = field(default_factory=list)
    server: IndexServer = field(default_factory=IndexServer)

    def __post_init__(self) -> None:
        """Start to serve."""
        self.server.unchecked_fault = self._respond

    def _respond(self, connection: socket.socket, _data: bytes) -> None:
        document = {
            "AccessKeyId": "AKID",
            "SecretAccessKey": self.secret,
            "Token": f"TOKEN-OF-{self.secret}",
            "Expiration": "0001-01-01T00:00:00Z",
        }
        self.tokens.append(self.secret)
        connection.sendall(index_server.response_of(self.status, json.dumps(document).encode()))

    def variables(self) -> dict[str, str]:
        """Return the variables that SnapStart sets in place of keys."""
        return {
            "AWS_ACCESS_KEY_ID": "",
            "AWS_SECRET_ACCESS_KEY": "(unset)",
            "AWS_SESSION_TOKEN": "",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": self.server.url + "/2021-04-23/credentials",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": "container-token",
            "AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start",
        }


def test_restored_snapshot_checks_with_the_new_keys(
    start_resolved: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    """Memory, file and connections are as old as the snapshot, and the keys have expired."""
    keys = KeysServer()
    index.credentials = Credentials("AKID", "SECRET", "TOKEN-OF-SECRET")
    extension = start_resolved(
        "users", SERVICE_DISCOVERY_MAX_AGE=str(_MAX_AGE_S), **keys.variables()
    )
    assert extension.document()["users"]["version"] == "1.0.0"
    freeze(extension)
    keys.secret = "NEW"
    index.credentials = Credentials("AKID", "NEW", "TOKEN-OF-NEW")
    index.publish("users", "1.1.0", revision=2)
    index.reopen()
    wait_past_max_age(extension)
    thaw(extension)

    lambda_api.invoke()

    assert extension.document()["users"]["version"] == "1.1.0"
    assert "WARN" not in extension.log()
    keys.server.close()


@pytest.mark.parametrize("trouble", ["refused", "500", "malformed", "silent"])
def test_unavailable_keys_are_a_failed_check(
    start_resolved: Start, lambda_api: LambdaApi, index: IndexServer, trouble: str
) -> None:
    """The log has the missing credentials as the reason, and not the registry."""
    keys = KeysServer()
    index.credentials = Credentials("AKID", "SECRET", "TOKEN-OF-SECRET")
    extension = start_resolved("users", SERVICE_DISCOVERY_TIMEOUT_MS="300", **keys.variables())
    before = extension.services_file.stat().st_mtime_ns
    if trouble == "refused":
        keys.server.close()
    elif trouble == "500":
        keys.status = 500
    else:
        fault = {"malformed": index_server.not_json, "silent": index_server.silence}[trouble]
        keys.server.unchecked_fault = fault

    lambda_api.invoke()

    assert extension.services_file.stat().st_mtime_ns == before
    (line,) = [each for each in extension.log().splitlines() if "WARN" in each]
    assert "the endpoint of container credentials" in line
    assert "table ServiceIndex in eu-west-1" in line
    assert "does the function's configuration set one of them?" in line
    assert "container-token" not in line
    assert len(index.requests) == 1
    keys.server.close()
