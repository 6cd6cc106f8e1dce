"""An index whose items have copies: the extension reads the items that stream sync writes.

Consumers configure nothing: the items have the number of copies. A cold start does not know the
number yet; if the table throttles its request, the extension guesses a copy.
"""

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from testing import tables
from testing.index_server import IndexServer
from testing.lambda_api import LambdaApi
from testing.stream_world import lambda_context, publish, records_of
from tests.functional.extension.conftest import Start

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

MANY = 1_000_000
# In this many checks, the chance that one of three copies is never read is below 1 in a million.
_CHECKS = 40

Sync = Callable[[int], None]


@pytest.fixture
def sync(dynamodb: "DynamoDBClient", index: IndexServer, monkeypatch: pytest.MonkeyPatch) -> Sync:
    """Let stream sync write the index with this number of copies, and serve its items."""

    def _sync(copies: int) -> None:
        monkeypatch.setenv("INDEX_COPIES", str(copies))
        handler = importlib.reload(importlib.import_module("stream_sync.handler")).handler
        response = handler({"Records": records_of(dynamodb)}, lambda_context(60))
        assert response == {"batchItemFailures": []}
        items = dynamodb.scan(TableName=tables.INDEX)["Items"]
        index.items = {(each["service"]["S"], each["selector"]["S"]): dict(each) for each in items}

    return _sync


def asked(index: IndexServer) -> list[list[str]]:
    """Return the partition keys of each request."""
    return [
        [key["service"]["S"] for key in request["RequestItems"]["ServiceIndex"]["Keys"]]
        for request in index.requests
    ]


def with_copies(index: IndexServer, copies: int, version: str = "1.0.0") -> None:
    """Put an item and its copies."""
    for copy in range(copies):
        name = f"#{copy}#users" if copy else "users"
        index.publish(name, version, copies={"N": str(copies)})


def test_checks_spread_over_the_copies_that_stream_sync_writes(
    sync: Sync, start: Start, lambda_api: LambdaApi, index: IndexServer, dynamodb: "DynamoDBClient"
) -> None:
    """The init asks for the original; later checks choose a copy for each item."""
    publish(dynamodb, "1.0.0")
    sync(3)
    extension = start("users")
    lambda_api.wait_until_ready()
    assert asked(index) == [["users"]]

    for _ in range(_CHECKS):
        lambda_api.invoke()

    assert {name for (name,) in asked(index)} == {"users", "#1#users", "#2#users"}
    assert len(index.requests) == 1 + _CHECKS
    assert extension.document()["users"]["version"] == "1.0.0"


def test_new_version_is_read_from_any_copy(
    sync: Sync, start: Start, lambda_api: LambdaApi, dynamodb: "DynamoDBClient"
) -> None:
    """All copies change together with the original."""
    publish(dynamodb, "1.0.0")
    sync(3)
    extension = start("users")
    lambda_api.wait_until_ready()
    publish(dynamodb, "1.1.0")
    sync(3)

    for _ in range(5):
        lambda_api.invoke()

        assert extension.document()["users"]["version"] == "1.1.0"


def test_copies_come_and_go_under_a_running_extension(
    sync: Sync, start: Start, lambda_api: LambdaApi, index: IndexServer, dynamodb: "DynamoDBClient"
) -> None:
    """An operator may change IndexCopies without an effect on functions."""
    publish(dynamodb, "1.0.0")
    sync(1)
    extension = start("users")
    lambda_api.wait_until_ready()
    lambda_api.invoke()
    assert asked(index) == [["users"], ["users"]]
    sync(50)
    lambda_api.invoke()
    for _ in range(5):
        lambda_api.invoke()
    assert any(name != "users" for (name,) in asked(index))
    sync(1)

    for _ in range(5):
        lambda_api.invoke()
    seen = len(index.requests)
    lambda_api.invoke()

    assert asked(index)[seen:] == [["users"]]
    assert extension.document()["users"]["status"] == "active"
    assert "missing" not in extension.log()


def test_service_is_missing_only_if_its_original_is_missing(
    start: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    index.publish("users", "1.0.0", copies={"N": "50"})
    extension = start("users")
    lambda_api.wait_until_ready()
    for _ in range(5):
        lambda_api.invoke()
    assert extension.document()["users"]["status"] == "active"
    index.items.clear()

    lambda_api.invoke()

    assert extension.document()["users"]["status"] == "missing"


def test_lost_copy_and_a_refused_original_keep_the_file(
    start: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    """A refused request does not make a service `missing`."""
    index.publish("users", "1.0.0", copies={"N": "50"})
    extension = start("users", SERVICE_DISCOVERY_TIMEOUT_MS="300")
    lambda_api.wait_until_ready()
    before = extension.services_file.read_bytes()
    index.refused["users", "latest"] = MANY

    lambda_api.invoke()

    assert extension.services_file.read_bytes() == before
    assert "ProvisionedThroughputExceededException" in extension.log()


@pytest.mark.parametrize("others", [0, 1])
def test_throttled_cold_start_finds_a_copy(
    start: Start, lambda_api: LambdaApi, index: IndexServer, others: int
) -> None:
    """If the original is throttled, a copy is read instead.

    The original may be the only key of its request, or there are keys of other partitions.
    """
    with_copies(index, 50)
    index.publish("billing", "1.0.0")
    index.refused["users", "latest"] = MANY

    extension = start(["users", "users,billing"][others], SERVICE_DISCOVERY_TIMEOUT_MS="20000")
    lambda_api.wait_until_ready()

    assert extension.document()["users"]["status"] == "active"
    assert "users" in asked(index)[0]


def test_cold_start_requests_a_copy_only_after_two_refusals(
    start: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    """After one refusal, the original is requested again."""
    with_copies(index, 50)
    index.refused["users", "latest"] = 1

    start("users", SERVICE_DISCOVERY_TIMEOUT_MS="20000")
    lambda_api.wait_until_ready()

    assert asked(index) == [["users"], ["users"]]


@pytest.mark.parametrize("is_published", [True, False])
def test_throttled_cold_start_without_copies_waits_for_the_original(
    start: Start, lambda_api: LambdaApi, index: IndexServer, *, is_published: bool
) -> None:
    """A guessed copy that does not exist does not make the service `missing`."""
    if is_published:
        index.publish("users", "1.0.0")
    index.refused["users", "latest"] = 6

    extension = start("users", SERVICE_DISCOVERY_TIMEOUT_MS="20000")
    lambda_api.wait_until_ready()

    assert extension.document()["users"]["status"] == ("active" if is_published else "missing")
    assert asked(index)[-1] == ["users"]


def test_check_reads_another_copy_if_one_is_refused(
    start: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    """The other copies may be in partitions that are not throttled."""
    with_copies(index, 2)
    extension = start("users", SERVICE_DISCOVERY_TIMEOUT_MS="20000")
    lambda_api.wait_until_ready()
    with_copies(index, 2, version="1.1.0")
    index.refused["#1#users", "latest"] = MANY

    for _ in range(5):
        lambda_api.invoke()

    assert extension.document()["users"]["version"] == "1.1.0"
    assert "not resolved" not in extension.log()
