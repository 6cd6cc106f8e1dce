"""Fixtures: the platform, the index, and the extension between them under either interpreter."""

import json
import os
import platform as machine
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.functional.extension.certificates import Certificates
from tests.functional.extension.extension_process import ExtensionProcess
from tests.functional.extension.index_server import (
    ACCESS_KEY,
    REGION,
    SECRET_KEY,
    TOKEN,
    IndexServer,
)
from tests.functional.extension.lambda_server import LambdaServer

ROOT = Path(__file__).parents[3]
CONTAINER_TOKEN = "the-container-authorization-token-of-the-tests"
_START = (
    f"import sys; sys.path.insert(0, {str(ROOT)!r}); from extension.main import main; main()"
)
CPYTHON = "cpython"
SHIPPED = "shipped"

StartExtension = Callable[..., ExtensionProcess]


class ServicesFile:
    """The services file, as a function reads it."""

    def __init__(self, path: Path) -> None:
        """Take the file's path."""
        self.path = path

    def read(self) -> dict[str, Any]:
        """Read the whole document."""
        document: dict[str, Any] = json.loads(self.path.read_bytes())
        return document

    @property
    def mtime(self) -> float:
        """Its modification time."""
        return self.path.stat().st_mtime

    @property
    def inode(self) -> int:
        """Which file it is: a replaced one is another one."""
        return self.path.stat().st_ino


@pytest.fixture(scope="session")
def layer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the layer that ships, for this machine."""
    arch = "arm64" if machine.machine() in ("aarch64", "arm64") else "x86_64"
    folder = tmp_path_factory.mktemp("layer")
    command = [sys.executable, str(ROOT / "layer" / "build.py")]
    command += ["--arch", arch, "--output", str(folder)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    said = built.stdout + built.stderr
    assert built.returncode == 0, f"the layer can't be built, so it can't be tested:\n{said}"
    binary = folder / "extensions" / "service-discovery"
    assert binary.exists(), f"layer/build.py made no {binary.relative_to(folder)}:\n{said}"
    return folder


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Make authorities and chains."""
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(params=[CPYTHON, SHIPPED])
def interpreter(request: pytest.FixtureRequest) -> str:
    """Name who runs the extension: CPython, or the binary that ships."""
    name: str = request.param
    return name


@pytest.fixture
def command(interpreter: str, request: pytest.FixtureRequest) -> list[str]:
    """Spell how the extension is started."""
    if interpreter == CPYTHON:
        return [sys.executable, "-I", "-c", _START]
    layer_folder: Path = request.getfixturevalue("layer")
    return [str(layer_folder / "extensions" / "service-discovery")]


@pytest.fixture
def platform() -> Iterator[LambdaServer]:
    """Play the platform; at the end, insist that its rules were kept."""
    server = LambdaServer()
    yield server
    server.stop()
    assert server.complaints == []


@pytest.fixture
def index() -> Iterator[IndexServer]:
    """Play the index table; at the end, insist that DynamoDB would have had no complaint."""
    server = IndexServer()
    yield server
    server.stop()
    assert server.complaints == []


@pytest.fixture
def services_file(tmp_path: Path) -> ServicesFile:
    """Name the services file; nothing is there yet."""
    return ServicesFile(tmp_path / "services.json")


@pytest.fixture
def extension(
    command: list[str],
    platform: LambdaServer,
    index: IndexServer,
    services_file: ServicesFile,
) -> Iterator[StartExtension]:
    """Start extensions with the environment that Lambda sets, and variables of the test's own.

    At the end all have ended with status 0 (unless the test took the status itself), and none has
    logged a traceback or a secret.
    """
    started: list[ExtensionProcess] = []

    def start(*wrapper: str, **variables: str | None) -> ExtensionProcess:
        environment: dict[str, str | None] = {
            "PATH": os.environ["PATH"],
            "TZ": ":UTC",
            "AWS_LAMBDA_RUNTIME_API": platform.address,
            "AWS_LAMBDA_FUNCTION_NAME": "shop",
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_FORMAT": "JSON",
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_SESSION_TOKEN": TOKEN,
            "AWS_ENDPOINT_URL_DYNAMODB": index.url,
            "SERVICES_FILE": str(services_file.path),
            "SERVICE_DISCOVERY_LOG_LEVEL": "DEBUG",
            "SERVICE_DISCOVERY_TIMEOUT_MS": "8000",
        }
        environment.update(variables)
        given = {name: value for name, value in environment.items() if value is not None}
        process = ExtensionProcess([*wrapper, *command], given)
        started.append(process)
        return process

    yield start
    statuses = [process.end() for process in started]
    for process, status in zip(started, statuses, strict=True):
        said = "\n".join(line.text for line in process.log)
        assert process.is_expected_to_fail or status == 0, f"status {status}, and it said:\n{said}"
        assert "Traceback" not in said
        for secret in (SECRET_KEY, TOKEN, CONTAINER_TOKEN, "Signature=", "AWS4-HMAC-SHA256"):
            assert secret not in said, "a secret is in the log"
