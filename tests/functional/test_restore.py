"""A restore makes the versions table equal to another table; a rebuild then corrects the index."""

import importlib
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from registry_tables import versions_layout as layout
from registry_tables.errors import ThrottledError
from registry_tables.item_table import ItemTable
from stream_sync import restore as restoring
from stream_sync.checkpoint import CheckpointError
from stream_sync.payloads import RebuildAction, RebuildRequest, RequestError, RestoreRequest
from stream_sync.restore import Restore, RestoreReport
from testing import tables
from testing.stream_world import (
    FORCED,
    WatchedClient,
    expected_index,
    handler_on,
    index_of,
    items_of,
    lambda_context,
    no_limit,
    no_sleep,
    publish,
    put_all,
    rebuild_with,
    recompute_on,
    records_of,
    registry_on,
)
from tests.functional.stream_workers import Worker

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

BACKUP = "Backup"


def run(client: Any, request: RestoreRequest | None = None) -> RestoreReport:
    """Restore as one invocation does."""
    restore = Restore(
        source=ItemTable(client, BACKUP, sleep=no_sleep),
        target=ItemTable(client, tables.VERSIONS, sleep=no_sleep),
        clock=lambda: 0.0,
    )
    return restore.run(request or RestoreRequest(source=BACKUP), no_limit)


def rebuild(client: "DynamoDBClient") -> None:
    """Rebuild the whole index."""
    request = RebuildRequest(action=RebuildAction.REBUILD)
    report = rebuild_with(recompute_on(client)).run(request, no_limit)
    assert (report.failed, report.damaged, report.checkpoint) == ({}, {}, None)


def process(client: "DynamoDBClient", service: str = "users") -> None:
    """Process all records of a service."""
    assert handler_on(client).process(records_of(client, service), no_limit) == []


def by_key(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(items, key=lambda item: (item["service"]["S"], item["entry"]["S"]))


@pytest.fixture
def registry(dynamodb: "DynamoDBClient") -> "DynamoDBClient":
    """Return a registry with a backup, and changes that were made after the backup."""
    for version in ("1.0.0", "1.1.0", "2.0.0-rc.1"):
        publish(dynamodb, version, metadata={"made": version})
    publish(dynamodb, "1.0.0", name="billing", channel="beta")
    tables.make_versions_table(dynamodb, BACKUP)
    put_all(dynamodb, BACKUP, items_of(dynamodb, tables.VERSIONS))
    publish(dynamodb, "3.0.0", channel="latest")
    registry_on(dynamodb).delete("users", _version("1.0.0"), "p")
    registry_on(dynamodb).yank("users", _version("1.1.0"), "bad", "p", FORCED)
    publish(dynamodb, "1.0.0", name="new")
    for service in ("users", "billing", "new"):
        process(dynamodb, service)
    return dynamodb


def _version(text: str) -> Any:
    return importlib.import_module("registry_model.version").Version.parse(text)


def test_table_is_exactly_what_the_source_holds(registry: "DynamoDBClient") -> None:
    """Newer items are deleted, changed ones are reverted, deleted ones exist again."""
    backup = by_key(items_of(registry, BACKUP))

    report = run(registry)

    assert by_key(items_of(registry, tables.VERSIONS)) == backup
    assert by_key(items_of(registry, BACKUP)) == backup
    assert report.cursor is None
    # Written: the service, 1.0.0 and 1.1.0. Deleted: 3.0.0, three events, and all of `new`.
    assert (report.written, report.deleted) == (3, 7)


def test_second_restore_writes_nothing(registry: "DynamoDBClient") -> None:
    """Nothing differs after a complete restore."""
    run(registry)

    report = run(registry)

    assert (report.written, report.deleted) == (0, 0)


def test_index_is_right_after_a_restore_and_the_next_publish(
    registry: "DynamoDBClient",
) -> None:
    """The next change gets the revision of a change that the restore has undone."""
    run(registry)

    rebuild(registry)

    assert index_of(registry) == expected_index(registry)
    publish(registry, "4.0.0")
    process(registry)
    assert index_of(registry) == expected_index(registry)
    assert ("users", "4.x") in index_of(registry)


@pytest.mark.parametrize("calls", range(1, 14, 2))
def test_restore_after_a_killed_one_completes_its_work(
    registry: "DynamoDBClient", monkeypatch: pytest.MonkeyPatch, calls: int
) -> None:
    """After a restore is killed at any call, the next one completes its work."""
    monkeypatch.setattr(restoring, "_PAGE", 2)
    worker = Worker(registry, run)
    for _ in range(calls):
        worker.step()
    worker.kill()

    run(registry)

    assert by_key(items_of(registry, tables.VERSIONS)) == by_key(items_of(registry, BACKUP))


def test_restore_continues_from_each_cursor(
    registry: "DynamoDBClient", monkeypatch: pytest.MonkeyPatch
) -> None:
    """A restore may take longer than an invocation, which ends after 15 minutes."""
    monkeypatch.setattr(restoring, "_PAGE", 3)
    request, reports = RestoreRequest(source=BACKUP, seconds=1e-9), list[RestoreReport]()
    ticks = iter(range(1000))
    while not reports or reports[-1].cursor is not None:
        restore = Restore(
            source=ItemTable(registry, BACKUP, sleep=no_sleep),
            target=ItemTable(registry, tables.VERSIONS, sleep=no_sleep),
            clock=lambda: float(next(ticks)),
        )
        cursor = reports[-1].cursor if reports else None
        reports.append(
            restore.run(
                RestoreRequest(source=BACKUP, seconds=request.seconds, cursor=cursor), no_limit
            )
        )

    assert len(reports) > 5
    assert by_key(items_of(registry, tables.VERSIONS)) == by_key(items_of(registry, BACKUP))
    assert sum(each.written for each in reports) == 3
    assert sum(each.deleted for each in reports) == 7


def test_items_that_dynamodb_leaves_unprocessed_are_written_again(
    registry: "DynamoDBClient",
) -> None:
    """BatchWriteItem also responds with 200 if it wrote only a part of the batch."""
    left = iter([3, 1])

    class Throttled:
        def __getattr__(self, name: str) -> Callable[..., Any]:
            def call(**arguments: Any) -> Any:
                if name == "batch_write_item" and (count := next(left, 0)):
                    ((table, requests),) = arguments["RequestItems"].items()
                    refused = requests[:count]
                    if requests[count:]:
                        registry.batch_write_item(RequestItems={table: requests[count:]})
                    return {"UnprocessedItems": {table: refused}}
                return getattr(registry, name)(**arguments)

            return call

    run(Throttled())

    assert next(left, None) is None
    assert by_key(items_of(registry, tables.VERSIONS)) == by_key(items_of(registry, BACKUP))


def test_restore_fails_if_the_table_writes_nothing(registry: "DynamoDBClient") -> None:
    """The restore fails; the caller can continue from the previous invocation's cursor."""

    class FullTable:
        def __getattr__(self, name: str) -> Callable[..., Any]:
            if name == "batch_write_item":
                return lambda **arguments: {"UnprocessedItems": arguments["RequestItems"]}
            method: Callable[..., Any] = getattr(registry, name)
            return method

    with pytest.raises(ThrottledError):
        run(FullTable())


def test_empty_source_is_refused(registry: "DynamoDBClient") -> None:
    """A restore from an empty table would delete everything."""
    before = items_of(registry, tables.VERSIONS)
    registry.delete_table(TableName=BACKUP)
    tables.make_versions_table(registry, BACKUP)

    with pytest.raises(RequestError, match="empty"):
        run(registry)

    assert items_of(registry, tables.VERSIONS) == before


@pytest.mark.parametrize(
    ("source", "fault"),
    [(tables.INDEX, "service, selector"), (tables.VERSIONS, "the versions table itself")],
)
def test_table_of_another_kind_is_refused(
    registry: "DynamoDBClient", source: str, fault: str
) -> None:
    """The index table's name is easily mistaken for the backup's."""
    restore = Restore(
        source=ItemTable(registry, source, sleep=no_sleep),
        target=ItemTable(registry, tables.VERSIONS, sleep=no_sleep),
        clock=lambda: 0.0,
    )

    with pytest.raises(RequestError, match=fault):
        restore.run(RestoreRequest(source=source), no_limit)


def test_unknown_source_changes_nothing(registry: "DynamoDBClient") -> None:
    """A misspelt name is the most likely mistake."""
    before = items_of(registry, tables.VERSIONS)
    registry.delete_table(TableName=BACKUP)

    with pytest.raises(RequestError, match=f"there is no table '{BACKUP}'"):
        run(registry)

    assert items_of(registry, tables.VERSIONS) == before


@pytest.mark.parametrize(
    ("payload", "fault"),
    [
        ({}, "expected"),
        ({"action": "restore"}, "from"),
        ({"action": "restore", "from": ""}, "from"),
        ({"action": "restore", "from": 7}, "from"),
        ({"action": "rebuild", "from": BACKUP}, "expected"),
        ({"action": "restore", "from": BACKUP, "service": "users"}, "service"),
        ({"action": "restore", "from": BACKUP, "seconds": -1}, "seconds"),
        ({"action": "restore", "from": BACKUP, "cursor": {}}, "cursor"),
    ],
)
def test_malformed_payload_is_refused(payload: Any, fault: str) -> None:
    """`service` is refused too: a restore of one service is not supported."""
    with pytest.raises(RequestError, match=fault):
        RestoreRequest.parse(payload)


@pytest.mark.parametrize("cursor", ["x", "WyJjb3B5Il0", "WyJ4IiwiQmFja3VwIl0", "WzEsMiwzXQ"])
def test_malformed_cursor_is_refused(registry: "DynamoDBClient", cursor: str) -> None:
    """A truncated cursor is an error: the restore does not start from the beginning."""
    with pytest.raises(CheckpointError):
        run(registry, RestoreRequest(source=BACKUP, cursor=cursor))


def test_cursor_of_another_source_is_refused(
    registry: "DynamoDBClient", monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such a cursor would skip a part of this source."""
    monkeypatch.setattr(restoring, "_PAGE", 2)
    restore = Restore(
        source=ItemTable(registry, BACKUP, sleep=no_sleep),
        target=ItemTable(registry, tables.VERSIONS, sleep=no_sleep),
        clock=iter(range(9)).__next__,
    )
    cursor = restore.run(RestoreRequest(source=BACKUP, seconds=0.5), no_limit).cursor

    with pytest.raises(CheckpointError, match=BACKUP):
        run(registry, RestoreRequest(source="Another", cursor=cursor))


def test_new_registry_takes_over_the_table_of_a_deleted_stack(
    registry: "DynamoDBClient",
) -> None:
    """A new stack's empty table is restored from the retained table of a deleted stack."""
    for item in items_of(registry, tables.VERSIONS):
        key = {name: item[name] for name in ("service", "entry")}
        registry.delete_item(TableName=tables.VERSIONS, Key=key)

    run(registry)
    rebuild(registry)

    assert index_of(registry) == expected_index(registry)
    assert ("billing", "@beta") in index_of(registry)


def test_function_restores_and_reports(registry: "DynamoDBClient") -> None:
    """The command line invokes the function repeatedly, and adds up the reports."""
    handler = importlib.reload(importlib.import_module("stream_sync.restore_handler")).handler

    document = json.loads(
        json.dumps(handler({"action": "restore", "from": BACKUP}, lambda_context(900)))
    )

    backup = items_of(registry, BACKUP)
    assert document == {
        "action": "restore",
        "from": BACKUP,
        "complete": True,
        "items": 2 * len(backup) + 7,
        "written": 3,
        "deleted": 7,
        "cursor": None,
    }
    assert by_key(items_of(registry, tables.VERSIONS)) == by_key(backup)


def test_function_returns_in_time(registry: "DynamoDBClient") -> None:
    """With less than a minute left, it restores one page and returns the cursor."""
    handler = importlib.reload(importlib.import_module("stream_sync.restore_handler")).handler
    assert items_of(registry, BACKUP)

    document = handler({"action": "restore", "from": BACKUP}, lambda_context(30))

    assert (document["complete"], document["deleted"]) == (False, 0)
    assert document["cursor"]


def test_source_of_another_region_is_read_there(registry: "DynamoDBClient") -> None:
    """A registry can move to another Region in this way."""
    module = importlib.reload(importlib.import_module("stream_sync.restore_handler"))

    sources = [
        "arn:aws:dynamodb:us-east-2:123456789012:table/Versions",
        "arn:aws:dynamodb:eu-west-1:1:table/x",
        BACKUP,
    ]
    regions = [module._client_of(source).meta.region_name for source in sources]

    assert regions == ["us-east-2", "eu-west-1", "eu-west-1"]
    assert registry.meta.region_name == "eu-west-1"


def test_errors_of_dynamodb_are_raised_unchanged(registry: "DynamoDBClient") -> None:
    """A missing permission must not look like throttling."""

    def refuse(name: str, _arguments: object) -> None:
        if name == "scan":
            raise ClientError({"Error": {"Code": "AccessDeniedException"}}, "Scan")

    with pytest.raises(ClientError, match="AccessDenied"):
        run(WatchedClient(registry, refuse))


def test_layout_has_the_key_that_a_source_must_have() -> None:
    """Otherwise the check would refuse every table."""
    assert (layout.SERVICE, layout.ENTRY) == ("service", "entry")
