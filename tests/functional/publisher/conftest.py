"""The publisher's function with a registry, a ledger and CloudFormation, all on real sockets."""

import importlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace
from typing import Any

import boto3
import pytest

from registry_client.client import RegistryClient
from testing.aws import aws, renew_tables
from testing.cloudformation import CloudFormationEndpoint, cloudformation_endpoint
from testing.stack import SimulatedStack
from testing.tables import table_properties
from tests.functional.http_gateway import (
    REGION,
    HttpGateway,
    client_environment,
    http_gateway,
    signed_http,
)

LEDGER = "Ledger"


@dataclass(frozen=True, kw_only=True)
class DeployedPublisher:
    """The function, with its registry and CloudFormation.

    Attributes:
        module: Its handler's module.
        gateway: The registry's gateway.
        cloudformation: The stacks, and the endpoint for responses.
        registry: A client of the registry, to check the results.
    """

    module: ModuleType
    gateway: HttpGateway
    cloudformation: CloudFormationEndpoint
    registry: RegistryClient

    def invoke(self, event: dict[str, Any], remaining_s: float = 100) -> Any:
        """Invoke the function with this timeout."""
        ends = time.monotonic() + remaining_s
        context = SimpleNamespace(
            function_name="publisher",
            memory_limit_in_mb=512,
            invoked_function_arn="arn:aws:lambda:eu-west-1:123456789012:function:publisher",
            aws_request_id="invocation-1",
            get_remaining_time_in_millis=lambda: int((ends - time.monotonic()) * 1000),
        )
        return self.module.handler(event, context)

    def send(self, request: dict[str, Any], **how: Any) -> dict[str, Any]:
        """Send a request from CloudFormation; return its only response."""
        url = self.cloudformation.response_url(request["RequestId"])
        self.invoke(request | {"ResponseURL": url}, **how)
        (response,) = self.cloudformation.received[request["RequestId"]]
        return response

    def stack(self, send: Callable[..., dict[str, Any]] | None = None) -> SimulatedStack:
        """Return a stack that is not created yet."""
        stack = SimulatedStack(send or self.send)
        self.cloudformation.stacks.append(stack)
        return stack

    def latest(self) -> str:
        """Return the latest version of `users`."""
        latest = self.registry.service("users")["latest"]
        assert latest is not None
        return latest["version"]


@pytest.fixture(scope="module")
def one_publisher() -> Iterator[DeployedPublisher]:
    """Serve everything once for a module's tests."""
    with aws(), cloudformation_endpoint() as cloudformation, pytest.MonkeyPatch.context() as patch:
        registry_handler = importlib.reload(importlib.import_module("registry_api.handler"))
        with http_gateway(registry_handler.handler) as gateway:
            for name, text in {
                **client_environment(),
                "AWS_ENDPOINT_URL_CLOUDFORMATION": cloudformation.url,
                "NO_PROXY": "127.0.0.1",
                "REGISTRY_URL": gateway.url,
                "LEDGER_TABLE": LEDGER,
                "ALLOWED_SERVICES": "users*",
            }.items():
                patch.setenv(name, text)
            yield DeployedPublisher(
                module=importlib.reload(importlib.import_module("publisher.handler")),
                gateway=gateway,
                cloudformation=cloudformation,
                registry=RegistryClient(signed_http(gateway.url)),
            )


@pytest.fixture
def publisher(one_publisher: DeployedPublisher) -> DeployedPublisher:
    """Return a publisher with an empty registry and an empty ledger."""
    renew_tables()
    boto3.client("dynamodb", region_name=REGION).create_table(
        TableName=LEDGER, **table_properties("PublisherLedger")
    )
    one_publisher.gateway.requests.clear()
    one_publisher.gateway.script.clear()
    one_publisher.cloudformation.stacks.clear()
    one_publisher.cloudformation.statuses.clear()
    one_publisher.cloudformation.received.clear()
    one_publisher.cloudformation.is_denied = False
    return one_publisher
