"""Each change of a service as an event on the stack's bus, and the examples of rules."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from local import processes
from tests.e2e.conftest import BUS, App, arn

pytestmark = pytest.mark.xdist_group("e2e")

_PATTERN = {"source": ["service-discovery"], "detail": {"service": ["tides"]}}


@pytest.fixture
def queue(app: App) -> Iterator[str]:
    """Give the URL of a queue that a rule of the bus delivers the events of `tides` to."""
    queues, events = app.emulator.queues(), app.emulator.events()
    url = queues.create_queue(QueueName="tides")["QueueUrl"]
    attributes = queues.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    events.put_rule(Name="tides", EventBusName=BUS, EventPattern=json.dumps(_PATTERN))
    target = {"Id": "queue", "Arn": attributes["Attributes"]["QueueArn"]}
    events.put_targets(Rule="tides", EventBusName=BUS, Targets=[target])
    yield url
    events.remove_targets(Rule="tides", EventBusName=BUS, Ids=["queue"])
    events.delete_rule(Name="tides", EventBusName=BUS)


def _received(app: App, queue: str, count: int) -> dict[int, dict[str, Any]]:
    """Wait for the events of *count* changes; return them by revision."""
    found: dict[int, dict[str, Any]] = {}

    def is_all() -> bool:
        response = app.emulator.queues().receive_message(QueueUrl=queue, MaxNumberOfMessages=10)
        for message in response.get("Messages", []):
            event = json.loads(message["Body"])
            revision = event["detail"]["revision"]
            # At least once: one that comes again says the same.
            assert found.setdefault(revision, event)["detail"] == event["detail"]
            app.emulator.queues().delete_message(
                QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"]
            )
        return len(found) == count

    processes.wait_until(is_all, within_s=180, what=f"{count} events are in the queue")
    return found


def test_each_change_is_an_event_in_a_rules_queue(app: App, queue: str) -> None:
    """From the request through stream, index and bus; each of the six kinds once."""
    path = "/services/tides"
    requests: list[tuple[str, str, dict[str, str] | None]] = [
        ("PUT", f"{path}/versions/1.0.0", {"arn": arn("tides", "1.0.0")}),
        ("PUT", f"{path}/versions/1.1.0", {"arn": arn("tides", "1.1.0"), "channel": "beta"}),
        ("PUT", f"{path}/channels/beta", {"version": "1.0.0"}),
        ("PATCH", f"{path}/versions/1.1.0", {"status": "yanked", "reason": "broken"}),
        ("PATCH", f"{path}/versions/1.1.0", {"status": "active"}),
        ("DELETE", f"{path}/channels/beta", None),
        ("DELETE", f"{path}/versions/1.1.0", None),
    ]
    statuses = [app.registry.send(*request).status for request in requests]
    assert statuses == [201, 201, 200, 200, 200, 204, 204]

    received = _received(app, queue, len(requests))

    history = app.registry.send("GET", f"{path}/history").document["events"]
    assert len(history) == len(requests)
    types = {
        "publish": "Service Version Published",
        "yank": "Service Version Yanked",
        "activate": "Service Version Activated",
        "delete": "Service Version Deleted",
        "set-channel": "Service Channel Set",
        "delete-channel": "Service Channel Deleted",
    }
    seen_types = set()
    for change in history:
        event = received[change["revision"]]
        latest = event["detail"].pop("latest")
        # An event is sent after the index answers: with this change's latest, or a later one's.
        assert latest in {"1.0.0", "1.1.0"}
        assert event["detail"] == {"service": "tides", **change}
        assert event["source"] == "service-discovery"
        assert event["detail-type"] == types[change["action"]]
        assert event["resources"] == (
            [arn("tides", change["version"])] if "version" in change else []
        )
        assert event["time"]
        seen_types.add(event["detail-type"])
    assert seen_types == set(types.values())
