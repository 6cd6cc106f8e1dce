"""Run the AWS emulator, MiniStack: one process without Docker, with its own port and folders."""

import json
import os
import sys
import urllib.error
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import botocore.session
from botocore.config import Config

from local import loopback, processes
from local.processes import LocalStackError

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_sqs import SQSClient

REGION = "us-east-1"
ACCOUNT = "000000000000"
_READY_WITHIN_S = 60
_CONFIG = Config(retries={"total_max_attempts": 3}, proxies={})


@dataclass(frozen=True, slots=True, kw_only=True)
class Emulator:
    """A running emulator.

    Attributes:
        url: Its endpoint, for every AWS service.
        log: The file with its output.
    """

    url: str
    log: Path

    def environment(self) -> dict[str, str]:
        """Return environment variables that make AWS's tools call the emulator, never an account.

        The caller's variables are kept (proxies, pip's settings, the layer's cache), except those
        that AWS's tools and Python read.
        """
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("AWS_", "BOTO_", "SAM_", "PYTHON"))
        }
        return {
            **kept,
            **credentials(),
            "AWS_ENDPOINT_URL": self.url,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        }

    def dynamodb(self) -> "DynamoDBClient":
        """Return a client of its DynamoDB."""
        return _session().client("dynamodb", endpoint_url=self.url, config=_CONFIG)

    def cloudformation(self) -> "CloudFormationClient":
        """Return a client of its CloudFormation."""
        return _session().client("cloudformation", endpoint_url=self.url, config=_CONFIG)

    def functions(self) -> "LambdaClient":
        """Return a client of its Lambda."""
        return _session().client("lambda", endpoint_url=self.url, config=_CONFIG)

    def logs(self) -> Any:
        """Return a client of its CloudWatch Logs."""
        return _session().client("logs", endpoint_url=self.url, config=_CONFIG)

    def events(self) -> Any:
        """Return a client of its EventBridge."""
        return _session().client("events", endpoint_url=self.url, config=_CONFIG)

    def queues(self) -> "SQSClient":
        """Return a client of its SQS."""
        return _session().client("sqs", endpoint_url=self.url, config=_CONFIG)


@cache
def _session() -> boto3.Session:
    """Return a session that reads neither the caller's profile nor configuration.

    There is one session for all clients, since each session takes 0.1 s to read the API models.
    """
    isolated = botocore.session.Session(
        session_vars={
            "profile": (None, None, None, None),
            "config_file": (None, None, os.devnull, None),
            "credentials_file": (None, None, os.devnull, None),
        }
    )
    return boto3.Session(
        botocore_session=isolated,
        region_name=REGION,
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )


def credentials() -> dict[str, str]:
    """Return environment variables with credentials that are valid in no account."""
    return {
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
    }


@contextmanager
def emulator(folder: Path) -> Iterator[Emulator]:
    """Run an emulator that stores everything in *folder*.

    Raises:
        LocalStackError: It does not start.
    """
    (port,) = processes.free_ports(1)
    log = folder / "emulator.log"
    folders = {name: folder / name.lower() for name in ("STATE_DIR", "S3_DATA_DIR", "TMPDIR")}
    for each in folders.values():
        each.mkdir(parents=True)
    environment = {
        **{name: os.environ[name] for name in ("HOME", "LANG", "PATH") if name in os.environ},
        **{name: str(path) for name, path in folders.items()},
        **credentials(),
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",
        "IOT_MTLS_ENABLED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [sys.executable, "-m", "ministack"]
    with processes.running(command, environment=environment, log=log, cwd=folder) as process:
        found = Emulator(url=f"http://127.0.0.1:{port}", log=log)

        def is_ready() -> bool:
            if process.poll() is not None:
                message = (
                    f"the emulator ended with status {process.returncode}:\n{processes.tail(log)}"
                )
                raise LocalStackError(message)
            return _responds(found.url)

        processes.wait_until(is_ready, within_s=_READY_WITHIN_S, what="the emulator is ready")
        yield found


def _responds(url: str) -> bool:
    try:
        with loopback.urlopen(url + "/_ministack/health", timeout=5) as response:
            return isinstance(json.load(response), dict)
    except (urllib.error.URLError, OSError, ValueError):
        return False
