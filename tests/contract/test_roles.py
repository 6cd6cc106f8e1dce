"""Each function's role grants exactly the rights that its calls need.

Emulators check no rights, so a missing one would show only on AWS.
"""

import importlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from registry_model import index_layout
from registry_model.version import Version
from registry_tables import versions_layout
from testing import stream_world, tables
from testing.aws import aws
from testing.functions import change_needs, create_function
from testing.rights import ANY_TABLE, granted_rights, recorded_rights
from testing.template import statements_of
from tests.functional.registry_api.gateway import event, response_of

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_TABLES = {
    tables.VERSIONS: "VersionsTable",
    tables.INDEX: "IndexTable",
    tables.CONSUMERS: "ConsumersTable",
}
_ARN = "arn:aws:lambda:eu-west-1:123456789012:function:users"
_BACKUP = "Backup"


@pytest.fixture
def client() -> Iterator["DynamoDBClient"]:
    """Return a client of moto's empty tables."""
    with aws() as found:
        yield found


def _handler(module: str) -> Callable[[Any, Any], Any]:
    """Return the handler of a module, imported again because it reads the environment."""
    sys.modules.pop(module, None)
    handler: Callable[[Any, Any], Any] = importlib.import_module(module).handler
    return handler


def _context() -> Any:
    return stream_world.lambda_context(300)


def _publish(client: "DynamoDBClient") -> list[dict[str, Any]]:
    """Publish some versions of `users`; return their stream records."""
    for version in ("1.0.0", "2.0.0", "1.1.0"):
        stream_world.publish(client, version, channel="beta")
    return stream_world.records_of(client)


def test_api_has_exactly_the_rights_that_it_uses(client: "DynamoDBClient") -> None:
    """The test calls every route, and writes that are repeated, refused and forced."""
    assert client.list_tables()["TableNames"]
    handler = _handler("registry_api.handler")
    users, orders = "/services/users", "/consumers/orders"
    forced, dry = {"force": "true"}, {"dry_run": "true"}
    requests: list[tuple[str, str, Any, dict[str, str] | None]] = [
        *(("PUT", f"{users}/versions/{n}.0.0", {"arn": _ARN}, None) for n in (1, 2, 3)),
        ("PUT", f"{users}/versions/3.0.0", {"arn": _ARN, "channel": "beta"}, None),
        ("POST", "/services", {"name": "billing", "version": "1.0.0", "arn": _ARN}, None),
        *(
            ("GET", f"{users}{path}", None, None)
            for path in ("", "/versions", "/versions/1.0.0", "/history", "/resolve", "/consumers")
        ),
        *(("GET", path, None, None) for path in ("/services", "/consumers", "/openapi.json")),
        ("POST", "/resolve", {"needed": "users==1.x"}, None),
        ("PUT", orders, {"needed": "users==1.x,billing"}, None),
        ("PUT", orders, {"needed": "users==1.x"}, None),
        ("GET", orders, None, None),
        ("PUT", f"{users}/versions/1.1.0", {"arn": _ARN}, dry),
        ("PATCH", f"{users}/versions/1.0.0", {"status": "yanked"}, None),
        ("PATCH", f"{users}/versions/1.0.0", {"status": "yanked"}, forced),
        ("PATCH", f"{users}/versions/1.0.0", {"status": "active"}, None),
        ("PUT", f"{users}/channels/latest", {"version": "2.0.0"}, None),
        ("DELETE", f"{users}/channels/latest", None, None),
        ("DELETE", f"{users}/channels/beta", None, None),
        ("DELETE", f"{users}/versions/3.0.0", None, forced),
        ("DELETE", orders, None, None),
    ]

    with recorded_rights(_TABLES) as rights:
        statuses = [
            response_of(handler, event(method, path, document, query=query)).status
            for method, path, document, query in requests
        ]

    assert max(statuses) == 409
    assert statuses.count(409) == 1
    assert rights == granted_rights(statements_of("RegistryApiFunction"))


def test_stream_sync_has_exactly_the_rights_that_it_uses(
    client: "DynamoDBClient", monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test has a bus, a bus that does not exist, and a service that was removed."""
    queue = boto3.client("sqs", region_name="eu-west-1").create_queue(QueueName="q")["QueueUrl"]
    resources = {**_TABLES, queue: "FailedEventsQueue"}
    monkeypatch.setenv("EVENT_BUS", "gone")
    monkeypatch.setenv("FAILED_EVENTS_QUEUE", queue)
    records = _publish(client)
    for record in records:
        record["dynamodb"]["ApproximateCreationDateTime"] = 0
    handler = _handler("stream_sync.handler")

    with recorded_rights(resources) as rights:
        handler({"Records": records[:1]}, _context())
        handler({"Records": records}, _context())
    stream_world.remove_all(client, tables.VERSIONS, "service", "entry")
    with recorded_rights(resources) as more:
        handler({"Records": records}, _context())

    # Lambda sends the records that it gives up.
    by_lambda = {("FailedChangesQueue", "sqs:SendMessage")}
    assert rights | more == granted_rights(statements_of("StreamSyncFunction")) - by_lambda


def test_rebuild_has_exactly_the_rights_that_it_uses(
    client: "DynamoDBClient", monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test compares and corrects, with a missing version and a surplus item."""
    # It compares differences again five seconds later.
    monkeypatch.setattr(time, "sleep", stream_world.no_sleep)
    _publish(client)
    lost = versions_layout.version_key("users", Version(1, 1, 0))
    client.delete_item(TableName=tables.VERSIONS, Key=lost)
    nobody = index_layout.item_key("nobody", "latest")
    client.put_item(TableName=tables.INDEX, Item={**nobody, "version": {"S": "1.0.0"}})
    handler = _handler("stream_sync.rebuild_handler")

    with recorded_rights(_TABLES) as rights:
        handler({"action": "verify"}, _context())
        handler({"action": "rebuild"}, _context())

    assert rights == granted_rights(statements_of("IndexRebuildFunction"))


def test_restore_has_exactly_the_rights_that_it_uses(client: "DynamoDBClient") -> None:
    """The test restores a table: one item is written, others are deleted."""
    tables.make_versions_table(client, _BACKUP)
    stream_world.publish(client, "1.0.0")
    stream_world.put_all(client, _BACKUP, stream_world.items_of(client, tables.VERSIONS))
    stream_world.publish(client, "2.0.0")
    handler = _handler("stream_sync.restore_handler")

    with recorded_rights({tables.VERSIONS: "VersionsTable", _BACKUP: ANY_TABLE}) as rights:
        report = handler({"action": "restore", "from": _BACKUP}, _context())

    assert report["complete"]
    assert report["written"]
    assert report["deleted"]
    assert rights == granted_rights(statements_of("RestoreFunction"))


def test_scan_has_exactly_the_rights_that_it_uses(client: "DynamoDBClient") -> None:
    """The test scans new, changed, deleted and unchanged functions, and an alias."""
    assert client.list_tables()["TableNames"]
    functions = boto3.client("lambda", region_name="eu-west-1")
    for name in ("orders", "gone", "same"):
        create_function(functions, name, "users==1.x")
    handler = _handler("consumer_scan.handler")

    with recorded_rights(_TABLES) as rights:
        handler({}, _context())
    functions.publish_version(FunctionName="orders")
    change_needs(functions, "orders", "users==2.x")
    functions.delete_function(FunctionName="gone")
    with recorded_rights(_TABLES) as more:
        handler({}, _context())

    assert rights | more == granted_rights(statements_of("ConsumerScanFunction"))
