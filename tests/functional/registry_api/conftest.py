"""The registry API's handler, tables on moto, and an index that has seen every change."""

import importlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from testing import tables
from testing.aws import aws
from tests.functional.registry_api.drain import drain
from tests.functional.registry_api.gateway import (
    Answer,
    Call,
    Handler,
    Publish,
    answer_of,
    arn_of,
    event,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from registry_api.routes import Routes


@pytest.fixture(scope="module")
def one_dynamodb() -> Iterator["DynamoDBClient"]:
    """Give a client: one for a module's tests, since making one takes longer than most of them."""
    with aws() as client:
        yield client


@pytest.fixture(scope="module")
def handler(one_dynamodb: "DynamoDBClient") -> Handler:
    """Give the function's handler, as a cold start composes it."""
    assert one_dynamodb.list_tables()["TableNames"]
    module = importlib.reload(importlib.import_module("registry_api.handler"))
    composed: Handler = module.handler
    return composed


@pytest.fixture
def dynamodb(one_dynamodb: "DynamoDBClient") -> "DynamoDBClient":
    """Give both tables, empty."""
    tables.renew_tables(one_dynamodb)
    return one_dynamodb


@pytest.fixture
def call(handler: Handler, dynamodb: "DynamoDBClient") -> Call:
    """Send a request to the handler, as API Gateway does; *members* replace the event's own.

    Yanks and deletions pass the guard unless a test gives a query: `test_guard.py` is about it.
    """
    assert dynamodb.list_tables()["TableNames"]

    def _call(*request: Any, members: dict[str, Any] | None = None, **more: Any) -> Answer:
        method, path, *_ = request
        if method in {"PATCH", "DELETE"} and "/versions/" in path:
            more = {"query": {"force": "true"}} | more
        return answer_of(handler, event(*request, **more) | (members or {}))

    return _call


@pytest.fixture
def routes(handler: Handler) -> "Routes":
    """Give what the handler is composed of."""
    assert handler is not None
    composed: Routes = importlib.import_module("registry_api.handler")._routes
    return composed


@pytest.fixture
def publish(call: Call) -> Publish:
    """Publish versions of `users`, one after the other; give the last answer."""

    def _publish(*versions: str, **members: Any) -> Answer:
        for version in versions:
            wanted = {"name": "users", "version": version, "arn": arn_of(version)} | members
            answer = call("POST", "/services", wanted)
            assert answer.status == 201, answer
        return answer

    return _publish


@pytest.fixture
def indexed(dynamodb: "DynamoDBClient") -> Callable[[], None]:
    """Bring the index up to date."""
    return lambda: drain(dynamodb)
