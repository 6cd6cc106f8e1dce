"""The registry's handler on moto behind a gateway on a real socket."""

import importlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from registry_client.client import RegistryClient
from registry_client.signed_http import SignedHttp
from testing.aws import renew_tables
from tests.functional.http_gateway import HttpGateway, http_gateway, signed_http

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@pytest.fixture(scope="module")
def one_gateway(one_dynamodb: "DynamoDBClient") -> Iterator[HttpGateway]:
    """Return a gateway that serves the registry, once for a module's tests."""
    assert one_dynamodb is not None
    module = importlib.reload(importlib.import_module("registry_api.handler"))
    with http_gateway(module.handler) as gateway:
        yield gateway


@pytest.fixture
def gateway(one_gateway: HttpGateway) -> HttpGateway:
    """Return the gateway of a registry without services."""
    renew_tables()
    one_gateway.requests.clear()
    one_gateway.script.clear()
    return one_gateway


@pytest.fixture
def pauses() -> list[float]:
    """Return the list of pauses between attempts."""
    return []


@pytest.fixture
def http(gateway: HttpGateway, pauses: list[float]) -> SignedHttp:
    """Return an HTTP client that signs with temporary credentials, as a pipeline's role does."""
    return signed_http(gateway.url, sleep=pauses.append)


@pytest.fixture
def client(http: SignedHttp) -> RegistryClient:
    """Return a client of the registry's routes."""
    return RegistryClient(http, page_size=3)
