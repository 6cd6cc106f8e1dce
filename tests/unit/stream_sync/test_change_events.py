"""Stream records as events for EventBridge."""

import json
from typing import Any

import pytest

from registry_model.version import Version
from registry_tables import versions_layout as layout
from registry_tables.arn import Arn
from registry_tables.records import Action, HistoryEvent
from stream_sync.change_events import event_in
from testing.arns import ARN

AT = "2026-01-01T00:00:00Z"
AT_S = 1_767_225_600


def _record(name: str = "INSERT", written_after_s: float = 1.0, **members: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "name": "users",
        "revision": 7,
        "at": AT,
        "by": "arn:aws:sts::123456789012:assumed-role/deploy/pipeline",
        "action": Action.PUBLISH,
        "version": Version(1, 4, 2),
        "arn": Arn.parse(ARN),
        **members,
    }
    item = layout.event_to_item(HistoryEvent(**values))
    return {
        "eventName": name,
        "dynamodb": {
            "Keys": {name: item[name] for name in (layout.SERVICE, layout.ENTRY)},
            "NewImage": item,
            "SequenceNumber": "111",
            "ApproximateCreationDateTime": AT_S + written_after_s,
        },
    }


def _entry(record: dict[str, Any], latest: str | None = "1.4.2") -> dict[str, Any]:
    event = event_in(record)
    assert event is not None
    return event.to_entry("bus", latest)


def test_publish_is_an_event_with_service_version_and_arn() -> None:
    entry = _entry(_record(channel="beta"))

    detail = json.loads(entry.pop("Detail"))
    assert entry == {
        "EventBusName": "bus",
        "Source": "service-discovery",
        "DetailType": "Service Version Published",
        "Time": float(AT_S),
        "Resources": [ARN],
    }
    assert detail == {
        "service": "users",
        "revision": 7,
        "action": "publish",
        "version": "1.4.2",
        "channel": "beta",
        "by": "arn:aws:sts::123456789012:assumed-role/deploy/pipeline",
        "at": AT,
        "latest": "1.4.2",
    }


@pytest.mark.parametrize(
    ("action", "detail_type"),
    [
        (Action.PUBLISH, "Service Version Published"),
        (Action.YANK, "Service Version Yanked"),
        (Action.ACTIVATE, "Service Version Activated"),
        (Action.DELETE, "Service Version Deleted"),
        (Action.SET_CHANNEL, "Service Channel Set"),
        (Action.DELETE_CHANNEL, "Service Channel Deleted"),
    ],
)
def test_each_action_has_its_detail_type(action: Action, detail_type: str) -> None:
    entry = _entry(_record(action=action))

    assert entry["DetailType"] == detail_type
    assert json.loads(entry["Detail"])["action"] == str(action)


def test_reason_of_a_yank_is_shown() -> None:
    entry = _entry(_record(action=Action.YANK, reason="loses writes"), latest=None)

    detail = json.loads(entry["Detail"])
    assert (detail["reason"], detail["latest"]) == ("loses writes", None)


def test_change_without_an_arn_on_record_names_no_resource() -> None:
    """Versions from before the history had ARNs, and deleted channels, have none."""
    assert _entry(_record(arn=None))["Resources"] == []


@pytest.mark.parametrize(
    "record",
    [
        _record("MODIFY"),
        _record("REMOVE"),
        _record(written_after_s=3_600),
        {
            "eventName": "INSERT",
            "dynamodb": {
                "Keys": layout.service_key("users"),
                "NewImage": {"revision": {"N": "7"}},
                "SequenceNumber": "111",
            },
        },
    ],
    ids=["overwritten", "removed", "copied by a restore", "the service's own item"],
)
def test_record_without_a_new_change_is_no_event(record: dict[str, Any]) -> None:
    assert event_in(record) is None


def test_change_that_took_as_long_as_a_request_may_is_an_event() -> None:
    assert event_in(_record(written_after_s=29.0)) is not None
