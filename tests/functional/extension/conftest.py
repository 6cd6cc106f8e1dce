"""The extension as a child process, on either interpreter, with real sockets."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from testing.certificates import Certificates, make_certificates
from testing.index_server import IndexServer, response_of
from testing.lambda_api import LambdaApi
from testing.waiting import wait_for
from tests.conftest import ROOT, BuiltLayer

_CPYTHON = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from extension.main import main; main()"


@dataclass
class Extension:
    """A running extension."""

    process: "subprocess.Popen[bytes]"
    services_file: Path
    log_path: Path

    def document(self) -> dict[str, Any]:
        """Read the services file, as a function would."""
        document: dict[str, Any] = json.loads(self.services_file.read_text(encoding="utf-8"))
        return document

    def wait_until_resolved(self) -> None:
        """Wait for the first resolve: readers are held until it has ended."""
        with contextlib.suppress(OSError):
            self.services_file.read_bytes()

    def log(self) -> str:
        """Return what it has logged."""
        return self.log_path.read_text(encoding="utf-8")

    def wait_for_log(self, text: str) -> None:
        """Wait until it has logged *text*."""
        wait_for(lambda: text in self.log(), f"{text!r} in the log: {self.log()}")

    def wait_until_only_its_file_is_left(self) -> None:
        """Wait until the folder has only the services file.

        A replacement exists beside the file for a moment if a reader keeps the file open.
        """
        folder = self.services_file.parent
        wait_for(
            lambda: list(folder.iterdir()) == [self.services_file],
            f"only the services file in its folder: {list(folder.iterdir())}",
        )

    def is_running(self) -> bool:
        """Return whether it is running."""
        return self.process.poll() is None

    def state(self) -> str:
        """Return the kernel's state of the process: `T` is stopped."""
        stat = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="utf-8")
        return stat.rpartition(")")[2].split()[0]

    def ask_to_end(self, how: str, lambda_api: LambdaApi) -> None:
        """Ask it to end, by a SHUTDOWN event (`event`) or by the signal of this name."""
        if how == "event":
            lambda_api.shut_down()
        else:
            os.kill(self.process.pid, getattr(signal, how))

    def wait_for_exit(self) -> int:
        """Wait until it has ended; return its exit status."""
        return self.process.wait(20)

    def resident_kib(self) -> int:
        """Return its resident memory."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        return int(status.split("VmRSS:")[1].split()[0])


Start = Callable[..., Extension]


@pytest.fixture(params=["micropython", "cpython"])
def interpreter(request: pytest.FixtureRequest) -> str:
    """Return the interpreter that the extension runs on."""
    name: str = request.param
    return name


@pytest.fixture
def lambda_api() -> Iterator[LambdaApi]:
    """Serve the Extensions API."""
    api = LambdaApi()
    server = api.start()
    yield api
    server.shutdown()
    server.server_close()


@pytest.fixture
def index() -> Iterator[IndexServer]:
    """Serve an index over plain HTTP."""
    server = IndexServer()
    yield server
    server.close()


@pytest.fixture
def keys() -> Iterator[IndexServer]:
    """Serve the credentials of a container, as under SnapStart."""
    server = IndexServer()
    document = {
        "AccessKeyId": "AKID",
        "SecretAccessKey": "SECRET",
        "Token": "TOKEN",
        "Expiration": "0001-01-01T00:00:00Z",
    }
    response = response_of(200, json.dumps(document).encode())
    server.unchecked_fault = lambda connection, _: connection.sendall(response)
    yield server
    server.close()


@pytest.fixture
def container(keys: IndexServer) -> dict[str, str]:
    """Return the variables of this endpoint, without keys."""
    return {
        "AWS_ACCESS_KEY_ID": "",
        "AWS_SECRET_ACCESS_KEY": "",
        "AWS_SESSION_TOKEN": "",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": keys.url + "/2021-04-23/credentials",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN": "container-token",
    }


@pytest.fixture
def start(
    interpreter: str, layer: BuiltLayer, lambda_api: LambdaApi, index: IndexServer, tmp_path: Path
) -> Iterator[Start]:
    """Return a function that starts the extension: `start("users", SOME_VARIABLE="...")`.

    "(unset)" leaves a variable out. Arguments after the needs are a command that starts it, such as
    `PrivateDisk.enter` returns.
    """
    started: list[Extension] = []

    def _start(needs: str = "", *entered_by: str, **variables: str) -> Extension:
        environment = {
            "AWS_LAMBDA_RUNTIME_API": lambda_api.address,
            "AWS_ENDPOINT_URL_DYNAMODB": index.url,
            "AWS_REGION": "eu-west-1",
            "AWS_ACCESS_KEY_ID": "AKID",
            "AWS_SECRET_ACCESS_KEY": "SECRET",
            "AWS_SESSION_TOKEN": "TOKEN",
            "NEEDED_SERVICES": needs,
            "SERVICES_FILE": str(tmp_path / "run/services.json"),
            "SERVICE_DISCOVERY_MAX_AGE": "0",
            "SERVICE_DISCOVERY_LOG_LEVEL": "INFO",
            # Variables of the function, which must have no effect.
            "MICROPYPATH": "/nonexistent",
            "HOME": str(tmp_path),
            **variables,
        }
        environment = {name: value for name, value in environment.items() if value != "(unset)"}
        command = [str(layer.program)]
        if interpreter == "cpython":
            command = [sys.executable, "-I", "-c", _CPYTHON]
        log_path = tmp_path / f"log-{len(started)}"
        with log_path.open("wb") as log:
            process = subprocess.Popen(
                [*entered_by, *command],
                env=environment,
                cwd=tmp_path,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )
        # The path in the process's own mount namespace.
        seen = f"/proc/{process.pid}/root" if entered_by else ""
        extension = Extension(
            process=process,
            services_file=Path(seen + environment["SERVICES_FILE"]),
            log_path=log_path,
        )
        started.append(extension)
        lambda_api.when_ready.append(extension.wait_until_resolved)
        return extension

    yield _start
    for extension in started:
        if extension.is_running():
            os.kill(extension.process.pid, signal.SIGKILL)
            extension.process.wait()


@pytest.fixture
def start_resolved(start: Start, lambda_api: LambdaApi, index: IndexServer) -> Start:
    """Return a function like `start` that publishes `users` 1.0.0 first, and waits until ready."""

    def _start(needs: str = "", *entered_by: str, **variables: str) -> Extension:
        index.publish("users", "1.0.0")
        extension = start(needs, *entered_by, **variables)
        lambda_api.wait_until_ready()
        return extension

    return _start


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Make a CA, and servers' certificates, valid and invalid ones."""
    return make_certificates(tmp_path_factory.mktemp("tls") / "certificates")


@pytest.fixture
def tls_index(certificates: Certificates) -> Iterator[IndexServer]:
    """Serve an index over TLS, with `users` at 1.4.2."""
    server = IndexServer(tls=certificates.good, name="localhost")
    server.publish("users", "1.4.2")
    yield server
    server.close()


@pytest.fixture(scope="session")
def other_certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Make a CA that is not trusted."""
    return make_certificates(tmp_path_factory.mktemp("tls") / "other")
