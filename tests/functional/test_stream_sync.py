"""The stream's function updates the index from stream records, also after faults."""

import importlib
import itertools
import json
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from registry_model import index_layout
from registry_model.version import Version
from registry_tables import versions_layout as layout
from registry_tables.errors import RaceLostError, ThrottledError
from stream_sync.projection import affected_by
from testing import tables
from testing.stream_world import (
    ARN,
    WatchedClient,
    expected_index,
    handler_on,
    index_of,
    lambda_context,
    no_limit,
    publish,
    recompute_on,
    records_of,
    selectors_of,
)
from tests.functional.stream_workers import HalfDone

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@pytest.fixture
def handle(dynamodb: "DynamoDBClient") -> Callable[[list[dict[str, Any]]], list[str]]:
    """Invoke the handler with records; return the sequence numbers that failed."""
    handler = importlib.reload(importlib.import_module("stream_sync.handler")).handler
    assert dynamodb.list_tables()["TableNames"]
    context = lambda_context(60)

    def _handle(records: list[dict[str, Any]]) -> list[str]:
        response = handler({"Records": records}, context)
        return [failure["itemIdentifier"] for failure in response["batchItemFailures"]]

    return _handle


Handle = Callable[[list[dict[str, Any]]], list[str]]


def test_publish_moves_every_selector_that_it_should(
    handle: Handle, dynamodb: "DynamoDBClient"
) -> None:
    """The index has one item for each answer, and no others."""
    for version in ("1.4.2", "1.10.0", "2.0.0-rc.1"):
        publish(dynamodb, version)
    publish(dynamodb, "0.9.0", channel="beta", metadata={"k": "v"})

    assert handle(records_of(dynamodb)) == []

    assert selectors_of(dynamodb) == {
        "latest": "1.10.0",
        "1.x": "1.10.0",
        "1.4.x": "1.4.2",
        "1.10.x": "1.10.0",
        "0.x": "0.9.0",
        "0.9.x": "0.9.0",
        "1.4.2": "1.4.2",
        "1.10.0": "1.10.0",
        "2.0.0-rc.1": "2.0.0-rc.1",
        "0.9.0": "0.9.0",
        "@beta": "0.9.0",
    }


def test_index_item_has_the_public_attributes(handle: Handle, dynamodb: "DynamoDBClient") -> None:
    """A reader gets all of them with one GetItem."""
    publish(dynamodb, "1.0.0", metadata={"team": "süß"})

    handle(records_of(dynamodb))

    item = dynamodb.get_item(
        TableName=tables.INDEX, Key={"service": {"S": "users"}, "selector": {"S": "1.x"}}
    )["Item"]
    updated_at = item.pop("updated_at")["S"]
    assert len(updated_at) == 20
    assert updated_at.endswith("Z")
    assert item == {
        "service": {"S": "users"},
        "selector": {"S": "1.x"},
        "version": {"S": "1.0.0"},
        "arn": {"S": ARN},
        "status": {"S": "active"},
        "metadata": {"M": {"team": {"S": "süß"}}},
        "revision": {"N": "1"},
    }


def test_unchanged_answers_are_not_written_again(
    handle: Handle, dynamodb: "DynamoDBClient"
) -> None:
    """A write would cost, and would set `updated_at` without a change."""
    publish(dynamodb, "1.0.0")
    handle(records_of(dynamodb))
    before = dynamodb.scan(TableName=tables.INDEX)["Items"]

    handle(records_of(dynamodb) * 3)

    assert dynamodb.scan(TableName=tables.INDEX)["Items"] == before


def test_items_of_a_service_that_no_longer_exists_are_deleted(
    handle: Handle, dynamodb: "DynamoDBClient"
) -> None:
    """A restored table may have fewer services than the index."""
    publish(dynamodb, "1.0.0")
    publish(dynamodb, "1.0.0", name="billing")
    records = records_of(dynamodb)
    handle(records + records_of(dynamodb, "billing"))
    for item in dynamodb.scan(TableName=tables.VERSIONS)["Items"]:
        if item["service"]["S"] == "users":
            key = {"service": item["service"], "entry": item["entry"]}
            dynamodb.delete_item(TableName=tables.VERSIONS, Key=key)

    assert handle(records) == []

    assert {service for service, _ in index_of(dynamodb)} == {"billing"}


def test_only_the_malformed_record_fails(handle: Handle, dynamodb: "DynamoDBClient") -> None:
    """A malformed record must not delay the others."""
    publish(dynamodb, "1.0.0")
    (good,) = records_of(dynamodb)
    unknown = {**good, "dynamodb": {**good["dynamodb"], "SequenceNumber": "7"}}
    unknown["dynamodb"]["Keys"] = {"service": {"S": "users"}, "entry": {"S": "z#new"}}
    malformed = {
        **good,
        "dynamodb": {
            **good["dynamodb"],
            "SequenceNumber": "8",
            "NewImage": {"version": {"S": "one"}},
        },
    }

    assert handle([unknown, malformed, good]) == ["7", "8"]

    assert selectors_of(dynamodb)["latest"] == "1.0.0"


def test_record_without_a_sequence_number_fails_the_batch_after_the_others(
    handle: Handle, dynamodb: "DynamoDBClient"
) -> None:
    """An empty `itemIdentifier` fails the batch; Lambda bisects it until the record is alone."""
    publish(dynamodb, "1.0.0")
    unnamed: list[Any] = [{}, None, {"dynamodb": None}, {"dynamodb": {"SequenceNumber": 7}}]

    assert handle([*unnamed, *records_of(dynamodb)]) == ["", "", "", ""]

    assert selectors_of(dynamodb)["latest"] == "1.0.0"


def test_only_the_records_that_there_is_no_time_for_fail(
    dynamodb: "DynamoDBClient",
) -> None:
    """If the function ran into its timeout, Lambda would repeat the whole batch."""
    publish(dynamodb, "1.0.0")
    publish(dynamodb, "1.0.0", name="billing")
    late = records_of(dynamodb, "billing")
    times = iter([1.0, 0.0])

    failed = handler_on(dynamodb).process(records_of(dynamodb) + late, lambda: next(times))

    assert failed == [record["dynamodb"]["SequenceNumber"] for record in late]
    assert {service for service, _ in index_of(dynamodb)} == {"users"}


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("ProvisionedThroughputExceededException", 400),
        ("ThrottlingException", 400),
        ("RequestLimitExceeded", 400),
        ("InternalServerError", 500),
        ("ServiceUnavailable", 503),
        ("TransactionInProgressException", 400),
    ],
)
@pytest.mark.parametrize(
    "operation", ["transact_get_items", "query", "batch_get_item", "transact_write_items"]
)
def test_call_that_dynamodb_refuses_for_a_while_is_repeated(
    dynamodb: "DynamoDBClient", operation: str, code: str, status: int
) -> None:
    """Short throttling must not raise an alarm."""
    publish(dynamodb, "1.0.0")
    refusals = itertools.count()

    def refuse(name: str, _arguments: object) -> None:
        if name == operation and next(refusals) < 3:
            response = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
            raise ClientError(response, name)  # type: ignore[arg-type]  # a part of its members

    recompute = recompute_on(WatchedClient(dynamodb, refuse))

    recompute.run("users", affected_by({Version(1, 0, 0)}, set(), revision=1), no_limit)

    assert selectors_of(dynamodb)["latest"] == "1.0.0"


def test_recompute_fails_before_the_time_is_over_if_dynamodb_keeps_refusing(
    dynamodb: "DynamoDBClient",
) -> None:
    """The recompute fails early enough that the batch's other services can be processed."""
    publish(dynamodb, "1.0.0")
    times = iter([5.0, 3.0, -1.0])

    def refuse(name: str, _arguments: object) -> None:
        raise ClientError({"Error": {"Code": "ThrottlingException"}}, name)

    recompute = recompute_on(WatchedClient(dynamodb, refuse))

    with pytest.raises(ThrottledError):
        recompute.run("users", affected_by({Version(1, 0, 0)}, set()), lambda: next(times))

    assert next(times, None) is None


def test_unreadable_item_of_the_index_is_written_over(
    handle: Handle, dynamodb: "DynamoDBClient"
) -> None:
    """Otherwise its service would never be updated again."""
    publish(dynamodb, "1.0.0")
    unreadable = {"service": {"S": "users"}, "selector": {"S": "1.x"}, "revision": {"S": "one"}}
    dynamodb.put_item(TableName=tables.INDEX, Item=unreadable)

    assert handle(records_of(dynamodb)) == []

    assert index_of(dynamodb) == expected_index(dynamodb)


def test_freshness_is_measured_for_changes_and_not_for_repeated_records(
    handle: Handle, dynamodb: "DynamoDBClient", capsys: pytest.CaptureFixture[str]
) -> None:
    """A record that is repeated an hour later does not show the index's age."""
    publish(dynamodb, "1.0.0")
    records = records_of(dynamodb)
    capsys.readouterr()

    handle(records)
    first = capsys.readouterr().out
    handle(records)
    second = capsys.readouterr().out

    assert '"IndexAge"' in first
    assert '"IndexAge"' not in second


def test_metrics_name_the_stack_and_pass_every_log_level(
    handle: Handle, dynamodb: "DynamoDBClient", capsys: pytest.CaptureFixture[str]
) -> None:
    """Lambda takes a line without `level` and `timestamp` for INFO, and may drop it."""
    publish(dynamodb, "1.0.0")
    records = records_of(dynamodb)
    capsys.readouterr()

    handle(records)

    lines = map(json.loads, capsys.readouterr().out.splitlines())
    (metric,) = [line for line in lines if "IndexAge" in line]
    assert metric["stack"] == "staging"
    assert "stack" in metric["_aws"]["CloudWatchMetrics"][0]["Dimensions"][0]
    assert metric["level"] == "FATAL"
    assert datetime.fromisoformat(metric["timestamp"]).tzinfo is not None


def test_service_in_the_middle_of_a_change_is_not_recomputed_before_the_change_is_whole(
    dynamodb: "DynamoDBClient",
) -> None:
    """A read in between may return the new revision without the new version, so it is repeated."""
    publish(dynamodb, "1.0.0")
    publish(dynamodb, "1.1.0")
    half_done = HalfDone(dynamodb)
    version = layout.version_entry(Version(1, 1, 0))
    half_done.hide({(tables.VERSIONS, "users", version): None})
    recompute = recompute_on(half_done)

    with pytest.raises(RaceLostError):
        recompute.run("users", affected_by({Version(1, 1, 0)}, set(), revision=2), no_limit)
    with pytest.raises(RaceLostError):
        recompute.run("users", affected_by({Version(1, 0, 0)}, set(), revision=1), no_limit)
    half_done.complete()
    recompute.run("users", affected_by({Version(1, 0, 0)}, set(), revision=1), no_limit)

    assert selectors_of(dynamodb)["latest"] == "1.1.0"


def test_only_the_failing_service_fails(
    handle: Handle, dynamodb: "DynamoDBClient", monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lambda delivers only this service's records again."""
    publish(dynamodb, "1.0.0")
    publish(dynamodb, "1.0.0", name="billing")
    reader = importlib.import_module("stream_sync.handler")._stream_handler._recompute.versions
    good = reader.transact_read

    def fail_for_users(name: str, versions: Any) -> object:
        if name == "users":
            raise ClientError({"Error": {"Code": "ValidationException"}}, "TransactGetItems")
        return good(name, versions)

    monkeypatch.setattr(type(reader), "transact_read", lambda _self, *what: fail_for_users(*what))
    records = records_of(dynamodb)

    failed = handle(records + records_of(dynamodb, "billing"))

    assert failed == [record["dynamodb"]["SequenceNumber"] for record in records]
    assert {service for service, _ in index_of(dynamodb)} == {"billing"}


def test_recompute_of_five_versions_takes_four_calls(dynamodb: "DynamoDBClient") -> None:
    """A batch's records of one service are recomputed together."""
    for patch in range(5):
        publish(dynamodb, f"1.0.{patch}")
    calls: list[str] = []
    recompute = recompute_on(WatchedClient(dynamodb, lambda name, _arguments: calls.append(name)))

    what = affected_by({Version(1, 0, patch) for patch in range(5)}, set(), revision=5)
    recompute.run("users", what, no_limit)

    assert calls == ["transact_get_items", "query", "batch_get_item", "transact_write_items"]


@pytest.mark.parametrize("copies", [1, 3])
def test_copies_are_written_and_surplus_ones_deleted(
    dynamodb: "DynamoDBClient", copies: int
) -> None:
    """IndexCopies may be raised and lowered."""
    publish(dynamodb, "1.0.0")
    what = affected_by({Version(1, 0, 0)}, set())
    recompute_on(dynamodb, copies=4 - copies).run("users", what, no_limit)

    recompute_on(dynamodb, copies=copies).run("users", what, no_limit)

    items = dynamodb.scan(TableName=tables.INDEX)["Items"]
    names = {item["service"]["S"] for item in items}
    assert names == {index_layout.partition_key("users", copy) for copy in range(copies)}
    numbers = {item["copies"]["N"] for item in items if "copies" in item}
    assert numbers == ({str(copies)} if copies > 1 else set())


def test_overtaken_worker_does_not_write(dynamodb: "DynamoDBClient") -> None:
    """The worker reads again, and raises RaceLostError after several attempts."""
    publish(dynamodb, "1.0.0")
    patches = itertools.count(1)

    def publish_before_each_write(name: str, _arguments: object) -> None:
        if name == "transact_write_items":
            publish(dynamodb, f"1.0.{next(patches)}")

    recompute = recompute_on(WatchedClient(dynamodb, publish_before_each_write))

    with pytest.raises(RaceLostError):
        recompute.run("users", affected_by({Version(1, 0, 0)}, set()), no_limit)

    assert index_of(dynamodb) == {}
