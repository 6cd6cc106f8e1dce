"""The event bus and its queue on moto, with faults injected before them."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from stream_sync.event_bus import EventBus
from testing.aws import aws
from testing.faulty_bus import FaultyBus

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

REGION = "eu-west-1"


@pytest.fixture
def queues() -> Iterator["SQSClient"]:
    with aws():
        yield boto3.client("sqs", region_name=REGION)


@pytest.fixture
def queue_url(queues: "SQSClient") -> str:
    return queues.create_queue(QueueName="failed-events")["QueueUrl"]


def _bus(faulty: FaultyBus, queues: Any, queue_url: str) -> EventBus:
    return EventBus(
        faulty,
        queues,
        name="bus",
        queue_url=queue_url,
        sleep=lambda _seconds: None,
        random=lambda: 0.5,
    )


def _entries(count: int) -> list[dict[str, Any]]:
    return [{"EventBusName": "bus", "Detail": str(number)} for number in range(count)]


def _queued(queues: "SQSClient", queue_url: str) -> list[dict[str, Any]]:
    found = []
    while messages := queues.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10).get(
        "Messages"
    ):
        found += [json.loads(message["Body"]) for message in messages]
        for message in messages:
            queues.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
    return found


def test_bus_is_given_ten_events_in_a_call(queues: "SQSClient", queue_url: str) -> None:
    faulty = FaultyBus([])

    result = _bus(faulty, queues, queue_url).send(_entries(23))

    assert result == ([None] * 23, 0)
    assert faulty.calls == [10, 10, 3]


def test_only_events_that_fail_in_a_call_are_put_again(queues: "SQSClient", queue_url: str) -> None:
    faulty = FaultyBus([{1, 3}, {0}])

    result = _bus(faulty, queues, queue_url).send(_entries(5))

    assert result == ([None] * 5, 0)
    assert faulty.calls == [5, 2, 1]
    assert sorted(entry["Detail"] for entry in faulty.taken) == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize("code", ["ThrottlingException", "ResourceNotFoundException"])
def test_event_that_the_bus_keeps_refusing_goes_whole_to_the_queue(
    queues: "SQSClient", queue_url: str, code: str
) -> None:
    faulty = FaultyBus([code] * 3)

    result = _bus(faulty, queues, queue_url).send(_entries(2))

    assert result == ([None, None], 2)
    queued = _queued(queues, queue_url)
    assert sorted(each["entry"]["Detail"] for each in queued) == ["0", "1"]
    assert all(code in each["error"] for each in queued)


def test_event_that_neither_bus_nor_queue_accepts_is_reported(
    queues: "SQSClient", queue_url: str
) -> None:
    faulty = FaultyBus(["InternalException"] * 3)
    queues.delete_queue(QueueUrl=queue_url)

    faults, queued = _bus(faulty, queues, queue_url).send(_entries(1))

    assert queued == 0
    assert faults[0] is not None
    assert "InternalException" in faults[0]
    assert "the queue refused it, too" in faults[0]
