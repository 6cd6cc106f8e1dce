"""The registry API's handler, tables on moto, and an index that is up to date."""

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from tests.functional.registry_api.gateway import (
    Call,
    GatewayResponse,
    Handler,
    Publish,
    arn_of,
    event,
    response_of,
)
from tests.functional.registry_api.index_update import update_index

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from registry_api.routes import Routes


@pytest.fixture(scope="module")
def handler(one_dynamodb: "DynamoDBClient") -> Handler:
    """Return the function's handler, as after a cold start."""
    assert one_dynamodb.list_tables()["TableNames"]
    module = importlib.reload(importlib.import_module("registry_api.handler"))
    composed: Handler = module.handler
    return composed


@pytest.fixture
def call(handler: Handler, dynamodb: "DynamoDBClient") -> Call:
    """Send a request to the handler, as API Gateway does; *members* replace those of the event.

    Yanks and deletions use `force` unless a test gives a query: `test_guard.py` tests the guard.
    """
    assert dynamodb.list_tables()["TableNames"]

    def _call(*request: Any, members: dict[str, Any] | None = None, **more: Any) -> GatewayResponse:
        method, path, *_ = request
        if method in {"PATCH", "DELETE"} and "/versions/" in path:
            more = {"query": {"force": "true"}} | more
        return response_of(handler, event(*request, **more) | (members or {}))

    return _call


@pytest.fixture
def routes(handler: Handler) -> "Routes":
    """Return the handler's routes."""
    assert handler is not None
    composed: Routes = importlib.import_module("registry_api.handler")._routes
    return composed


@pytest.fixture
def publish(call: Call) -> Publish:
    """Publish versions of `users`, one after the other; return the last response."""

    def _publish(*versions: str, **members: Any) -> GatewayResponse:
        for version in versions:
            wanted = {"name": "users", "version": version, "arn": arn_of(version)} | members
            response = call("POST", "/services", wanted)
            assert response.status == 201, response
        return response

    return _publish


@pytest.fixture
def indexed(dynamodb: "DynamoDBClient") -> Callable[[], None]:
    """Bring the index up to date."""
    return lambda: update_index(dynamodb)
