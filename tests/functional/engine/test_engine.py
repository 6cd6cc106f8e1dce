"""The registry on AWS's own DynamoDB Local, which may differ from moto."""

from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from registry_tables.item_table import ItemTable
from registry_tables.versions_table import VersionsTable
from stream_sync.payloads import RebuildAction, RebuildRequest, RestoreRequest
from stream_sync.restore import Restore
from testing import engine_run, tables
from testing.dynamodb_local import Database, DynamoDbLocal
from testing.stream_pump import StreamReader
from testing.stream_world import (
    expected_index_of,
    handler_on,
    index_by,
    no_limit,
    no_sleep,
    publish,
    rebuild_with,
    recompute_on,
)
from tests.functional.registry_api import test_any_operations, test_writers

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


def index_is_right(database: Database) -> bool:
    """Return whether the index matches the versions table."""
    wanted = expected_index_of(engine_run.scan(database, tables.VERSIONS))
    return index_by(engine_run.scan(database, tables.INDEX)) == wanted


@pytest.mark.timeout(600)
def test_any_operations_respond_as_documented(
    client: "DynamoDBClient", monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same state machine as on moto."""
    monkeypatch.setattr(test_any_operations.OnDynamoDB, "client", client, raising=False)
    run_state_machine_as_test(
        test_any_operations.OnDynamoDB, settings=settings(max_examples=3, stateful_step_count=15)
    )


@pytest.mark.timeout(600)
def test_32_writers_at_once_lose_nothing(client: "DynamoDBClient") -> None:
    """Unlike moto, this engine has transaction conflicts."""
    test_writers.check_32_writers(VersionsTable(client, tables.VERSIONS))


@pytest.mark.timeout(600)
def test_32_publishes_of_one_version_are_one(client: "DynamoDBClient") -> None:
    """One writer publishes the version; for the others it is an unchanged repetition."""
    test_writers.check_32_publishes(VersionsTable(client, tables.VERSIONS))


@pytest.mark.timeout(600)
def test_drained_stream_means_a_right_index(engine: DynamoDbLocal) -> None:
    """Writers compete, records repeat in any order, and workers are killed."""
    run = engine_run.run(engine.database(), operations=240, writers=3, seed=1)

    assert (run.differences, run.lost) == (0, 0)
    assert max(run.statuses) < 500
    assert run.records == run.changes > 50
    assert run.deaths > 0
    assert run.repeats > 0


def test_index_is_right_after_a_restore_and_the_next_change(
    database: Database, client: "DynamoDBClient"
) -> None:
    """After a restore and a rebuild, a publish gets the revision of a lost change."""
    tables.make_versions_table(client, "Backup")
    for version in ("1.0.0", "1.1.0"):
        publish(client, version)
    backup = ItemTable(client, "Backup", sleep=no_sleep)
    backup.write(engine_run.scan(database, tables.VERSIONS))
    publish(client, "2.0.0", channel="beta")
    reader, handler = StreamReader(database), handler_on(client)
    assert handler.process(reader.read(), no_limit) == []
    target = ItemTable(client, tables.VERSIONS, sleep=no_sleep)
    restore = Restore(source=backup, target=target, clock=lambda: 0.0)

    report = restore.run(RestoreRequest(source="Backup"), no_limit)

    restored = engine_run.scan(database, tables.VERSIONS)
    assert report.cursor is None
    assert restored == engine_run.scan(database, "Backup")
    rebuild_with(recompute_on(client)).run(RebuildRequest(action=RebuildAction.REBUILD), no_limit)
    assert index_is_right(database)
    publish(client, "3.0.0")
    assert handler.process(reader.read(), no_limit) == []
    assert index_is_right(database)


def test_change_that_overwrites_a_history_entry_reaches_the_index(
    database: Database, client: "DynamoDBClient"
) -> None:
    """After a restore that left newer entries, the next change is a MODIFY in the stream."""
    publish(client, "1.0.0")
    before = engine_run.scan(database, tables.VERSIONS)
    publish(client, "2.0.0")
    reader, handler = StreamReader(database), handler_on(client)
    assert handler.process(reader.read(), no_limit) == []
    ItemTable(client, tables.VERSIONS, sleep=no_sleep).write(before)
    publish(client, "1.5.0")

    records = reader.read()

    assert [record["eventName"] for record in records] == ["MODIFY"]
    assert handler.process(records, no_limit) == []
    assert "1.5.x" in {
        selector for _, selector in index_by(engine_run.scan(database, tables.INDEX))
    }


def test_rebuild_restores_a_lost_index_page_by_page(
    database: Database, client: "DynamoDBClient"
) -> None:
    """Unlike moto's, this engine's pages have different sizes."""
    random = Random(1)
    for number in range(130):
        publish(client, f"{random.randint(0, 3)}.{random.randint(0, 9)}.{number}")
    rebuild = rebuild_with(recompute_on(client, copies=2))

    report = rebuild.run(RebuildRequest(action=RebuildAction.REBUILD), no_limit)

    wanted = expected_index_of(engine_run.scan(database, tables.VERSIONS), copies=2)
    assert report.checkpoint is None
    assert index_by(engine_run.scan(database, tables.INDEX)) == wanted
