"""The command line, run in this process against the registry's handler and AWS on real sockets."""

import importlib
import json
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from registry_cli.main import cli
from testing import arns
from testing.aws import renew_tables
from tests.functional.http_gateway import (
    REGION,
    HttpGateway,
    client_environment,
    http_gateway,
    signed_http,
)
from tests.functional.registry_api.index_update import update_index
from tests.functional.registry_cli.aws_server import PREFIX, AwsServer

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ARN = arns.ARN
OTHER_ARN = arns.OTHER_ARN


@dataclass(frozen=True, kw_only=True)
class EndedCommand:
    """A command that has ended."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.out)


Run = Callable[..., EndedCommand]


def silence(function: ModuleType, patch: pytest.MonkeyPatch) -> None:
    """Keep a function's log off the command's stdout.

    All functions share one logger. Its level is not changed, since the level would stay for the
    tests of other modules.
    """
    patch.setattr(logging.getLogger(function.logger.name), "disabled", True)


@pytest.fixture(scope="module")
def one_aws() -> AwsServer:
    """Return one fake of AWS for a module's tests."""
    return AwsServer()


@pytest.fixture(scope="module")
def one_gateway(one_aws: AwsServer, one_dynamodb: "DynamoDBClient") -> Iterator[HttpGateway]:
    """Serve the registry and AWS once for a module's tests."""
    assert one_dynamodb.list_tables()["TableNames"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("POWERTOOLS_METRICS_DISABLED", "true")
        module = importlib.reload(importlib.import_module("registry_api.handler"))
        silence(module, patch)
        with http_gateway(module.handler, prefix=PREFIX, other=one_aws.respond) as gateway:
            yield gateway


@pytest.fixture
def gateway(one_gateway: HttpGateway) -> HttpGateway:
    """Serve a registry without services."""
    renew_tables()
    one_gateway.requests.clear()
    one_gateway.script.clear()
    return one_gateway


@pytest.fixture
def aws_server(one_aws: AwsServer) -> AwsServer:
    """Return the fake of AWS with the registry's stack, and every permission."""
    one_aws.reset()
    return one_aws


@pytest.fixture
def environment(
    gateway: HttpGateway, aws_server: AwsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> pytest.MonkeyPatch:
    """Set credentials, a Region and the gateway's address."""
    assert aws_server.stacks
    for name in list(os.environ):
        if name.startswith(("AWS_", "SERVICE_REGISTRY_", "NO_COLOR", "FORCE_COLOR")):
            monkeypatch.delenv(name)
    for name, text in {
        **client_environment(),
        "AWS_REGION": REGION,
        "AWS_ENDPOINT_URL": gateway.url,
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_MAX_ATTEMPTS": "1",
        "NO_PROXY": "127.0.0.1",
    }.items():
        monkeypatch.setenv(name, text)
    return monkeypatch


@pytest.fixture
def run(environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command line without a terminal."""
    environment.setenv("COLUMNS", "80")

    def _run(*arguments: str) -> EndedCommand:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main(list(arguments), prog_name="service-registry")
        captured = capsys.readouterr()
        code = ended.value.code
        assert isinstance(code, int)
        return EndedCommand(status=code, out=captured.out, err=captured.err)

    return _run


Publish = Callable[..., None]


@pytest.fixture
def publish(gateway: HttpGateway, one_dynamodb: "DynamoDBClient") -> Publish:
    """Publish versions of a service, and bring the index up to date."""
    http = signed_http(gateway.url)

    def _publish(*versions: str, name: str = "users", arn: str = ARN, **more: object) -> None:
        for version in versions:
            document = {"name": name, "version": version, "arn": arn, **more}
            assert http.send("POST", "/services", document).status == 201
        update_index(one_dynamodb)
        gateway.requests.clear()

    return _publish
