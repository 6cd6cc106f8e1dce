"""The rebuild corrects the index after any change of either table."""

import importlib
import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from registry_model import index_layout
from registry_tables import versions_layout as layout
from registry_tables.errors import ThrottledError
from stream_sync.checkpoint import Checkpoint, CheckpointError, Phase
from stream_sync.payloads import RebuildAction, RebuildRequest, RequestError
from stream_sync.projection import affected_by
from stream_sync.rebuild import Rebuild, RebuildReport
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
    record_of,
    records_of,
    registry_on,
    remove_all,
    selectors_of,
)
from tests.functional.stream_workers import Worker

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

REBUILD = RebuildRequest(action=RebuildAction.REBUILD)
VERIFY = RebuildRequest(action=RebuildAction.VERIFY)


def run(client: Any, request: RebuildRequest = REBUILD, *, copies: int = 1) -> RebuildReport:
    """Rebuild or verify everything; continue until there is no more cursor."""
    report = rebuild_on(client, copies=copies).run(request, no_limit)
    while report.checkpoint is not None:
        more = rebuild_on(client, copies=copies).run(
            replace(request, checkpoint=report.checkpoint), no_limit
        )
        report.services += more.services
        report.selectors += more.selectors
        report.differences += more.differences
        report.failed |= more.failed
        report.damaged |= more.damaged
        report.checkpoint = more.checkpoint
    return report


def rebuild_on(
    client: Any, *, copies: int = 1, sleep: Callable[[float], None] = no_sleep
) -> Rebuild:
    """Return a rebuild on both tables; its clock moves by a second each time that it is read."""
    seconds = iter(range(1_000_000))
    return rebuild_with(
        recompute_on(client, copies=copies), clock=lambda: float(next(seconds)), sleep=sleep
    )


def process(client: "DynamoDBClient", service: str = "users", *, copies: int = 1) -> None:
    """Process all records of a service."""
    assert handler_on(client, copies=copies).process(records_of(client, service), no_limit) == []


@pytest.fixture
def registry(dynamodb: "DynamoDBClient") -> "DynamoDBClient":
    """Return a registry of two services with a right index."""
    for version in ("1.4.2", "1.5.0", "2.0.0-rc.1"):
        publish(dynamodb, version)
    publish(dynamodb, "0.9.0", channel="beta", metadata={"k": "v"})
    publish(dynamodb, "1.0.0", name="billing", channel="latest")
    process(dynamodb)
    process(dynamodb, "billing")
    return dynamodb


def gone_item(partition: str, selector: str) -> dict[str, Any]:
    """Return an index item that should not exist."""
    texts = {"version": "9.9.9", "arn": "arn:aws:x", "status": "active", "updated_at": "then"}
    return {
        "service": {"S": partition},
        "selector": {"S": selector},
        "revision": {"N": "3"},
        **{name: {"S": text} for name, text in texts.items()},
    }


def test_rebuild_restores_a_lost_index(registry: "DynamoDBClient") -> None:
    """The rebuild writes every item again from the versions table."""
    before = index_of(registry)
    remove_all(registry, tables.INDEX, "service", "selector")

    report = run(registry)

    assert index_of(registry) == before == expected_index(registry)
    assert (report.services, report.failed, report.checkpoint) == (2, {}, None)
    assert len(report.differences) == len(before)


def test_verify_of_a_right_index_finds_nothing_and_writes_nothing(
    registry: "DynamoDBClient",
) -> None:
    """An operator may verify at any time."""
    before = items_of(registry, tables.INDEX)
    calls: list[str] = []

    report = run(WatchedClient(registry, lambda name, _arguments: calls.append(name)), VERIFY)

    assert (report.services, report.differences, report.failed) == (2, [], {})
    assert report.selectors == len(before)
    assert "transact_write_items" not in calls
    assert items_of(registry, tables.INDEX) == before


def test_rebuild_of_a_right_index_writes_nothing(registry: "DynamoDBClient") -> None:
    """A write would cost, and would set `updated_at` without a change."""
    before = items_of(registry, tables.INDEX)

    assert run(registry).differences == []

    assert items_of(registry, tables.INDEX) == before


def spoil(client: "DynamoDBClient") -> None:
    """Damage the index: one item for each way in which an item can be wrong."""
    items = {
        (item["service"]["S"], item["selector"]["S"]): item
        for item in items_of(client, tables.INDEX)
    }
    client.delete_item(
        TableName=tables.INDEX, Key={"service": {"S": "users"}, "selector": {"S": "1.x"}}
    )
    put_all(
        client,
        tables.INDEX,
        [
            {**items["users", "latest"], "arn": {"S": "arn:aws:lambda:eu-west-1:1:function:old"}},
            {**items["users", "@beta"], "reason": {"S": "none"}},
            {"service": {"S": "users"}, "selector": {"S": "1.4.x"}, "version": {"N": "1"}},
            gone_item("users", "9.x"),
            gone_item("users", "9.9.9"),
            gone_item("users", "@gone"),
            gone_item("users", "@latest"),
            gone_item("users", "1.4"),
            gone_item("users", "01.x"),
            gone_item("#1#users", "latest"),
            gone_item("gone", "latest"),
            gone_item("#3#gone", "1.x"),
            gone_item("#03#gone", "1.x"),
            gone_item("#", "1.x"),
            gone_item("#1#", "1.x"),
            gone_item("#50#users", "1.x"),
        ],
    )


SPOILED = {
    ("users", "1.x"),
    ("users", "latest"),
    ("users", "@beta"),
    ("users", "1.4.x"),
    ("users", "9.x"),
    ("users", "9.9.9"),
    ("users", "@gone"),
    ("users", "@latest"),
    ("users", "1.4"),
    ("users", "01.x"),
    ("#1#users", "latest"),
    ("gone", "latest"),
    ("#3#gone", "1.x"),
    ("#03#gone", "1.x"),
    ("#", "1.x"),
    ("#1#", "1.x"),
    ("#50#users", "1.x"),
}


def keys_of(report: RebuildReport) -> set[tuple[str, str]]:
    """Return the keys of the items that a report lists."""
    return {index_layout.key_of(each.key) for each in report.differences}


def test_verify_names_each_item_that_is_wrong_and_changes_none(registry: "DynamoDBClient") -> None:
    """Missing, wrong, unreadable, surplus, with a malformed selector, or of no service."""
    spoil(registry)
    before = items_of(registry, tables.INDEX)

    report = run(registry, VERIFY)

    assert keys_of(report) == SPOILED
    assert len(report.differences) == len(SPOILED)
    assert items_of(registry, tables.INDEX) == before


def test_rebuild_puts_each_item_right(registry: "DynamoDBClient") -> None:
    """It corrects exactly what verify lists, and verify then lists nothing."""
    spoil(registry)

    report = run(registry)

    assert keys_of(report) == SPOILED
    assert index_of(registry) == expected_index(registry)
    assert run(registry, VERIFY).differences == []


def test_only_one_service_is_rebuilt(registry: "DynamoDBClient") -> None:
    """Items of all other services stay as they are, wrong ones too."""
    remove_all(registry, tables.INDEX, "service", "selector")
    put_all(registry, tables.INDEX, [gone_item("#7#users", "1.x"), gone_item("gone", "latest")])

    report = run(registry, RebuildRequest(action=RebuildAction.REBUILD, service="users"))

    assert report.services == 1
    assert {partition for partition, _ in index_of(registry)} == {"users", "gone"}
    assert (
        run(registry, RebuildRequest(action=RebuildAction.VERIFY, service="users")).differences
        == []
    )


def test_items_of_an_unknown_service_are_removed(
    registry: "DynamoDBClient",
) -> None:
    """Its copies are removed too, although no original item says how many there are."""
    put_all(registry, tables.INDEX, [gone_item("#49#gone", "latest"), gone_item("gone", "1.x")])
    request = RebuildRequest(action=RebuildAction.VERIFY, service="gone")
    assert keys_of(run(registry, request)) == {("#49#gone", "latest"), ("gone", "1.x")}

    run(registry, RebuildRequest(action=RebuildAction.REBUILD, service="gone"))

    assert index_of(registry) == expected_index(registry)


def restore(client: "DynamoDBClient", items: list[dict[str, Any]]) -> None:
    """Set the versions table back to an earlier state."""
    remove_all(client, tables.VERSIONS, "service", "entry")
    put_all(client, tables.VERSIONS, items)


def test_rebuild_after_a_restore_lowers_the_revisions(registry: "DynamoDBClient") -> None:
    """With higher revisions in the index, later changes would look older to readers."""
    then = items_of(registry, tables.VERSIONS)
    publish(registry, "3.0.0")
    publish(registry, "3.0.1", channel="beta")
    publish(registry, "1.0.0", name="new")
    process(registry)
    process(registry, "new")
    restore(registry, then)
    assert {service for service, _ in keys_of(run(registry, VERIFY))} == {"users", "new"}

    run(registry)

    assert index_of(registry) == expected_index(registry)
    revisions = {
        item["service"]["S"]: int(item["revision"]["N"])
        for item in then
        if item["entry"]["S"] == layout.SERVICE_ENTRY
    }
    for item in items_of(registry, tables.INDEX):
        assert int(item["revision"]["N"]) <= revisions[item["service"]["S"]]


def test_item_of_a_later_revision_is_written_again_although_its_answer_is_right(
    registry: "DynamoDBClient",
) -> None:
    """After a restore, readers would otherwise refuse the next changes as older."""
    then = items_of(registry, tables.VERSIONS)
    registry_on(registry).delete("users", _version("1.5.0"), "p", FORCED)
    process(registry)
    publish(registry, "1.5.0")
    process(registry)
    restore(registry, then)

    report = run(registry)

    assert keys_of(report) == {("users", "latest"), ("users", "1.x"), ("users", "1.5.x")} | {
        ("users", "1.5.0")
    }
    assert run(registry, VERIFY).differences == []


def _version(text: str) -> Any:
    return importlib.import_module("registry_model.version").Version.parse(text)


def test_rebuild_follows_a_restore_that_lost_half_of_a_change(registry: "DynamoDBClient") -> None:
    """DynamoDB does not restore transactions as a whole."""
    lost = {"service": {"S": "users"}, "entry": {"S": layout.history_entry(4)}}
    registry.delete_item(TableName=tables.VERSIONS, Key=lost)
    key = layout.version_key("users", _version("1.5.0"))
    registry.delete_item(TableName=tables.VERSIONS, Key=key)

    report = run(registry)

    assert report.failed == {}
    assert index_of(registry) == expected_index(registry)
    assert selectors_of(registry)["1.x"] == "1.4.2"


@pytest.mark.parametrize(("before", "after"), [(1, 3), (3, 1), (2, 5), (12, 2)])
def test_rebuild_makes_the_configured_number_of_copies(
    registry: "DynamoDBClient", before: int, after: int
) -> None:
    """IndexCopies may be raised and lowered; until the rebuild, readers fall back on originals."""
    run(registry, copies=before)
    assert index_of(registry) == expected_index(registry, copies=before)

    run(registry, copies=after)

    assert index_of(registry) == expected_index(registry, copies=after)
    assert run(registry, VERIFY, copies=after).differences == []


@pytest.mark.parametrize("calls", [1, 3, 6, 10, 15])
def test_rebuild_after_a_killed_one_completes_its_work(
    registry: "DynamoDBClient", calls: int
) -> None:
    """After a rebuild is killed at any call, the next one completes its work."""
    run(registry, copies=9)
    spoil(registry)
    worker = Worker(registry, lambda client: run(client, copies=1))
    for _ in range(calls):
        worker.step()
    worker.kill()

    run(registry, copies=1)

    assert index_of(registry) == expected_index(registry)


def test_killed_reduction_of_copies_is_completed(
    dynamodb: "DynamoDBClient",
) -> None:
    """The former number of copies is read from the original, which is therefore written last."""
    for patch in range(5):
        publish(dynamodb, f"1.0.{patch}")
    process(dynamodb, copies=15)
    what = affected_by({_version(f"1.0.{patch}") for patch in range(5)}, set(), revision=5)
    worker = Worker(dynamodb, lambda client: recompute_on(client).run("users", what, no_limit))
    for _ in range(4):
        worker.step()
    worker.kill()

    recompute_on(dynamodb).run("users", what, no_limit)

    assert index_of(dynamodb) == expected_index(dynamodb)


def test_rebuild_continues_from_each_cursor(registry: "DynamoDBClient") -> None:
    """A rebuild that was stopped, or ran out of time, does not repeat finished work."""
    for number in range(110):
        publish(registry, f"4.{number // 40}.{number}")
    spoil(registry)
    request, services, rounds = RebuildRequest(action=RebuildAction.REBUILD, seconds=0.5), 0, 0
    while True:
        report = rebuild_on(registry).run(request, no_limit)
        services += report.services
        rounds += 1
        if report.checkpoint is None:
            break
        checkpoint = Checkpoint.from_cursor(report.checkpoint.to_cursor())
        request = RebuildRequest(action=RebuildAction.REBUILD, seconds=0.5, checkpoint=checkpoint)

    assert index_of(registry) == expected_index(registry)
    assert services == 2
    assert rounds >= 4


def test_rebuild_reads_one_page_at_a_time_and_no_history(registry: "DynamoDBClient") -> None:
    """A service may have a hundred thousand versions, and as many events."""
    for number in range(110):
        publish(registry, f"4.0.{number}")
    queries: list[dict[str, Any]] = []

    def note(name: str, arguments: dict[str, Any]) -> None:
        if name in {"query", "scan"}:
            queries.append(arguments)

    run(WatchedClient(registry, note))

    assert queries
    for query in queries:
        assert 0 < query["Limit"] <= 500
        assert {"S": layout.HISTORY_PREFIX} not in query.get(
            "ExpressionAttributeValues", {}
        ).values()
    assert index_of(registry) == expected_index(registry)


def test_only_the_poisoned_service_fails(registry: "DynamoDBClient") -> None:
    """The report has the service and the reason; all other services are rebuilt."""
    key = layout.version_key("billing", _version("1.0.0"))
    registry.put_item(TableName=tables.VERSIONS, Item={**key, "version": {"S": "one"}})
    remove_all(registry, tables.INDEX, "service", "selector")

    report = run(registry)

    assert set(report.failed) == {"billing"}
    assert "one" in report.failed["billing"]
    assert {service for service, _ in index_of(registry)} == {"users"}
    assert report.checkpoint is None


def test_rebuild_fails_if_the_table_refuses(registry: "DynamoDBClient") -> None:
    """The rebuild fails without a new cursor, so no service is skipped."""

    def refuse(name: str, _arguments: object) -> None:
        if name == "transact_get_items":
            raise ThrottledError

    with pytest.raises(ThrottledError):
        rebuild_on(WatchedClient(registry, refuse)).run(REBUILD, no_limit)


def test_verify_ignores_differences_that_the_stream_corrects(
    registry: "DynamoDBClient",
) -> None:
    """During live traffic the index is always a moment behind."""
    publish(registry, "5.0.0")
    put_all(registry, tables.INDEX, [gone_item("users", "9.x")])

    report = rebuild_on(registry, sleep=lambda _seconds: process(registry)).run(VERIFY, no_limit)

    assert keys_of(report) == {("users", "9.x")}


def test_stream_rebuilds_a_service_whose_table_was_restored(
    registry: "DynamoDBClient", caplog: pytest.LogCaptureFixture
) -> None:
    """The service's next change starts its rebuild; an alarm asks for a rebuild of the others."""
    then = items_of(registry, tables.VERSIONS)
    for patch in range(3):
        publish(registry, f"3.0.{patch}")
    process(registry)
    restore(registry, then)
    publish(registry, "3.0.0", metadata={"k": "another life"})

    process(registry)

    assert "rebuild the index" in caplog.text
    assert index_of(registry) == expected_index(registry)
    assert run(registry, VERIFY).differences == []


def test_republished_service_keeps_no_item_from_before_its_deletion(
    registry: "DynamoDBClient",
) -> None:
    """A late record of the deletion removes the old items of a service that exists again."""
    remove_all(registry, tables.VERSIONS, "service", "entry")
    publish(registry, "7.0.0")
    process(registry)
    assert "1.x" in selectors_of(registry)
    end = record_of(layout.service_key("users")) | {"eventName": "REMOVE"}

    failed = handler_on(registry).process([end], no_limit)

    assert failed == []
    assert {key for key in index_of(registry) if key[0] == "users"} == set(expected_index(registry))


def test_surplus_items_are_found_in_any_number_of_pages(registry: "DynamoDBClient") -> None:
    """A scan reads five hundred keys at once."""
    put_all(registry, tables.INDEX, [gone_item("gone", f"1.{minor}.x") for minor in range(520)])

    report = run(registry)

    assert len(report.differences) == 520
    assert index_of(registry) == expected_index(registry)


@pytest.mark.parametrize(
    ("payload", "fault"),
    [
        ({}, "expected"),
        (None, "expected"),
        ({"action": "repair"}, "expected"),
        ({"action": "rebuild", "servcie": "users"}, "servcie"),
        ({"action": "rebuild", "service": ""}, "service"),
        ({"action": "rebuild", "service": 7}, "service"),
        ({"action": "rebuild", "service": "a b"}, "service"),
        ({"action": "rebuild", "seconds": 0}, "seconds"),
        ({"action": "rebuild", "seconds": "soon"}, "seconds"),
        ({"action": "rebuild", "seconds": True}, "seconds"),
        ({"action": "rebuild", "cursor": 1}, "cursor"),
        ({"action": "rebuild", "cursor": "x"}, "cursor"),
        ({"action": "rebuild", "cursor": "é"}, "cursor"),
        ({"action": "rebuild", "cursor": Checkpoint(service="a").to_cursor()[:-1]}, "cursor"),
    ],
)
def test_malformed_request_is_refused(payload: Any, fault: str) -> None:
    """A misspelt `service` must not rebuild all of them."""
    with pytest.raises((RequestError, CheckpointError), match=fault):
        RebuildRequest.parse(payload)


def test_cursor_of_another_service_is_refused(registry: "DynamoDBClient") -> None:
    """Such a cursor would skip a part of the requested service."""
    checkpoint = Checkpoint(phase=Phase.WITHIN, service="billing")

    with pytest.raises(CheckpointError, match="cursor"):
        run(
            registry,
            RebuildRequest(action=RebuildAction.REBUILD, service="users", checkpoint=checkpoint),
        )


@pytest.fixture
def invoke(registry: "DynamoDBClient") -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Invoke the function as Lambda does: JSON in, JSON out."""
    assert registry.list_tables()["TableNames"]
    handler = importlib.reload(importlib.import_module("stream_sync.rebuild_handler")).handler
    context = lambda_context(900)

    def _invoke(payload: dict[str, Any]) -> dict[str, Any]:
        report: dict[str, Any] = json.loads(
            json.dumps(handler(json.loads(json.dumps(payload)), context))
        )
        return report

    return _invoke


def test_report_has_the_present_and_the_correct_item(
    registry: "DynamoDBClient", invoke: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    """Both items are plain JSON, without DynamoDB's types."""
    key = {"service": {"S": "billing"}, "selector": {"S": "1.x"}}
    registry.update_item(
        TableName=tables.INDEX,
        Key=key,
        UpdateExpression="SET arn = :arn",
        ExpressionAttributeValues={":arn": {"S": "arn:old"}},
    )

    report = invoke({"action": "rebuild", "service": "billing"})

    (difference,) = report.pop("listed")
    assert report == {
        "action": "rebuild",
        "services": 1,
        "selectors": 4,
        "complete": True,
        "differences": 1,
        "failed": {},
        "damaged": {},
        "cursor": None,
    }
    assert (difference["service"], difference["selector"]) == ("billing", "1.x")
    assert difference["is"]["arn"] == "arn:old"
    assert difference["should_be"]["arn"].startswith("arn:aws:lambda")
    assert difference["should_be"]["version"] == difference["is"]["version"] == "1.0.0"
    assert index_of(registry) == expected_index(registry)


def damage(client: "DynamoDBClient", kind: str) -> None:
    """Leave `users` as a restore of only a part of a transaction does."""
    key = layout.service_key("users")
    newest = layout.version_key("users", _version("1.5.0"))
    if kind == "version above its service":
        values = {":revision": {"N": "2"}, ":highest": {"S": "1.4.2"}}
        update = "SET revision = :revision, highest = :highest"
        client.update_item(
            TableName=tables.VERSIONS,
            Key=key,
            UpdateExpression=update,
            ExpressionAttributeValues=values,
        )
    elif kind == "highest version lost":
        client.delete_item(TableName=tables.VERSIONS, Key=newest)
    else:
        lost = layout.version_key("users", _version("0.9.0"))
        client.delete_item(TableName=tables.VERSIONS, Key=lost)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("version above its service", "above the service's 2"),
        ("highest version lost", "it has 1.5.0 on record"),
        ("channel's version lost", "'beta' points at 0.9.0"),
    ],
)
@pytest.mark.parametrize("action", RebuildAction)
def test_service_with_half_of_a_transaction_is_reported(
    registry: "DynamoDBClient", action: RebuildAction, kind: str, reason: str
) -> None:
    """A restore to a point in time may bring back only some of a transaction's items."""
    damage(registry, kind)

    report = run(registry, RebuildRequest(action=action))

    assert set(report.damaged) == {"users"}
    assert reason in report.damaged["users"]
    assert report.failed == {}


def test_change_in_the_middle_of_a_verification_is_no_damage(registry: "DynamoDBClient") -> None:
    """Items that were read before and after a change need not agree."""
    queries = itertools.count()

    def publish_once(name: str, arguments: dict[str, Any]) -> None:
        is_search = arguments.get("IndexName") == layout.STABLE_INDEX
        if name == "query" and is_search and next(queries) == 0:
            publish(registry, "6.0.0")

    report = run(WatchedClient(registry, publish_once), VERIFY)

    assert next(queries) > 1
    assert report.damaged == {}
