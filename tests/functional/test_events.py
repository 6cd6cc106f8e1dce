"""Changes on the event bus: sent at least once, after the index has changed."""

import importlib
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from registry_api.values import WriteTerms
from registry_model.version import Version
from stream_sync.event_bus import EventBus
from testing.faulty_bus import FaultyBus
from testing.killing import KilledError
from testing.stream_world import (
    ARN,
    no_limit,
    no_sleep,
    publish,
    rebuild_with,
    recompute_on,
    records_of,
    registry_on,
    selectors_of,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Announce = Callable[..., list[int]]


@pytest.fixture
def queue_url(dynamodb: "DynamoDBClient") -> str:
    assert dynamodb.list_tables()["TableNames"]
    return boto3.client("sqs", region_name="eu-west-1").create_queue(QueueName="failed")["QueueUrl"]


@pytest.fixture
def announce(dynamodb: "DynamoDBClient", queue_url: str) -> Announce:
    """Process all records of `users` with a bus; return the positions of those that failed."""
    # The module reads the environment, which the tables' fixture sets.
    make_handler = importlib.import_module("stream_sync.handler").StreamHandler

    def _announce(client: Any) -> list[int]:
        recompute = recompute_on(dynamodb)
        bus = EventBus(
            client,
            boto3.client("sqs", region_name="eu-west-1"),
            name="bus",
            queue_url=queue_url,
            sleep=no_sleep,
            random=lambda: 0.5,
        )
        handler = make_handler(recompute, rebuild_with(recompute), lambda: 0.0, bus)
        records = records_of(dynamodb)
        numbers = [record["dynamodb"]["SequenceNumber"] for record in records]
        return [numbers.index(number) for number in handler.process(records, no_limit)]

    return _announce


def _details(bus: FaultyBus) -> list[dict[str, Any]]:
    return [json.loads(entry["Detail"]) for entry in bus.taken]


def test_each_change_is_an_event_with_the_versions_arn(
    dynamodb: "DynamoDBClient", announce: Announce
) -> None:
    publish(dynamodb, "1.4.2", channel="beta")
    registry = registry_on(dynamodb)
    registry.delete_channel("users", "beta", "somebody")
    terms = WriteTerms(passes_guard=True)
    registry.yank("users", Version(1, 4, 2), "loses writes", "somebody", terms)
    registry.activate("users", Version(1, 4, 2), "somebody")
    registry.set_channel("users", "latest", Version(1, 4, 2), "somebody")
    bus = FaultyBus()

    assert announce(bus) == []

    assert [
        (entry["DetailType"], detail["revision"], entry["Resources"])
        for entry, detail in zip(bus.taken, _details(bus), strict=True)
    ] == [
        ("Service Version Published", 1, [ARN]),
        ("Service Channel Deleted", 2, []),
        ("Service Version Yanked", 3, [ARN]),
        ("Service Version Activated", 4, [ARN]),
        ("Service Channel Set", 5, [ARN]),
    ]
    assert {detail["latest"] for detail in _details(bus)} == {"1.4.2"}


def test_index_answers_before_the_event_is_sent(
    dynamodb: "DynamoDBClient", announce: Announce
) -> None:
    class LookingBus(FaultyBus):
        """A bus that reads the index when it gets an event."""

        seen: dict[str, str] | None = None

        def put_events(self, *, Entries: Any) -> dict[str, Any]:  # noqa: N803  # boto3's
            """Read the index, then accept the events."""
            self.seen = selectors_of(dynamodb)
            return super().put_events(Entries=Entries)

    publish(dynamodb, "1.4.2")
    bus = LookingBus()

    announce(bus)

    assert bus.seen is not None
    assert bus.seen["latest"] == "1.4.2"


def test_missing_bus_does_not_delay_the_index(
    dynamodb: "DynamoDBClient", announce: Announce, queue_url: str
) -> None:
    """The queue gets the whole event, and the record counts as processed."""
    publish(dynamodb, "1.4.2")

    failed = announce(FaultyBus(["ResourceNotFoundException"] * 3))

    assert failed == []
    assert selectors_of(dynamodb)["latest"] == "1.4.2"
    queues = boto3.client("sqs", region_name="eu-west-1")
    (message,) = queues.receive_message(QueueUrl=queue_url)["Messages"]
    queued = json.loads(message["Body"])
    assert json.loads(queued["entry"]["Detail"])["version"] == "1.4.2"
    assert "ResourceNotFoundException" in queued["error"]


def test_record_fails_only_if_the_queue_fails_too(
    dynamodb: "DynamoDBClient", announce: Announce, queue_url: str
) -> None:
    publish(dynamodb, "1.4.2")
    publish(dynamodb, "1.5.0")
    boto3.client("sqs", region_name="eu-west-1").delete_queue(QueueUrl=queue_url)

    failed = announce(FaultyBus([{1}, {0}, {0}]))

    assert failed == [1]
    assert selectors_of(dynamodb)["latest"] == "1.5.0"


def test_event_of_a_killed_worker_is_sent_when_its_record_is_repeated(
    dynamodb: "DynamoDBClient", announce: Announce
) -> None:
    class DyingBus(FaultyBus):
        """A bus at which the worker is killed."""

        def put_events(self, *, Entries: Any) -> dict[str, Any]:  # noqa: ARG002, N803  # boto3's
            """Kill the worker."""
            raise KilledError

    publish(dynamodb, "1.4.2")
    with pytest.raises(KilledError):
        announce(DyingBus())
    bus = FaultyBus()

    assert announce(bus) == []

    assert [detail["version"] for detail in _details(bus)] == ["1.4.2"]


def test_many_changes_are_sent_ten_in_a_call(
    dynamodb: "DynamoDBClient", announce: Announce
) -> None:
    for patch in range(12):
        publish(dynamodb, f"1.0.{patch}")
    bus = FaultyBus()

    announce(bus)

    assert bus.calls == [10, 2]
