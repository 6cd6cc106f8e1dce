"""A change of a service as an event for EventBridge.

Source of the entry's form: EventBridge API Reference, "PutEventsRequestEntry".
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from registry_tables import versions_layout as layout
from registry_tables.records import Action, HistoryEvent

SOURCE = "service-discovery"
# A change is written within 29 s, API Gateway's timeout. A history entry that is older than this
# when it is written was copied by a restore, for which no event is sent.
_LONGEST_WRITE_S = 60.0
_DETAIL_TYPES = {
    Action.PUBLISH: "Service Version Published",
    Action.YANK: "Service Version Yanked",
    Action.ACTIVATE: "Service Version Activated",
    Action.DELETE: "Service Version Deleted",
    Action.SET_CHANNEL: "Service Channel Set",
    Action.DELETE_CHANNEL: "Service Channel Deleted",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeEvent:
    """One change, and the sequence number of the stream record that it was read from."""

    change: HistoryEvent
    sequence_number: str

    def to_entry(self, bus: str, latest: str | None) -> dict[str, Any]:
        """Return the entry for `PutEvents`.

        Args:
            bus: The event bus's name or ARN.
            latest: The version that `latest` resolves to, or None.
        """
        change = self.change
        detail: dict[str, Any] = {
            "service": change.name,
            "revision": change.revision,
            "action": str(change.action),
        }
        if change.version is not None:
            detail["version"] = str(change.version)
        if change.channel is not None:
            detail["channel"] = change.channel
        if change.reason is not None:
            detail["reason"] = change.reason
        detail |= {"by": change.by, "at": change.at, "latest": latest}
        return {
            "EventBusName": bus,
            "Source": SOURCE,
            "DetailType": _DETAIL_TYPES[change.action],
            "Time": _moment(change.at),
            "Resources": [] if change.arn is None else [str(change.arn)],
            "Detail": json.dumps(detail),
        }


def event_in(record: Mapping[str, Any]) -> ChangeEvent | None:
    """Return the event for a stream record, or None if the record is not a new change.

    Only a new history entry is a new change: an entry that is overwritten, or is written long after
    the change, comes from a restore. Unknown actions, of a newer product version, have no event.
    """
    change = record["dynamodb"]
    if record.get("eventName") != "INSERT":
        return None
    try:
        history = layout.event_from_item({**change["NewImage"], **change["Keys"]})
        made_at = _moment(history.at)
    except (LookupError, TypeError, ValueError):
        return None
    written_at = change.get("ApproximateCreationDateTime")
    if isinstance(written_at, int | float) and written_at - made_at > _LONGEST_WRITE_S:
        return None
    return ChangeEvent(change=history, sequence_number=change["SequenceNumber"])


def _moment(at: str) -> float:
    """Return a time in ISO 8601 as seconds since 1970."""
    return datetime.fromisoformat(at).timestamp()
