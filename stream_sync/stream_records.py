"""Parse the records of the versions table's stream: which service and answers each may affect.

Records may arrive repeated, late and out of order. So a record says only what has changed; the
present state is read from the table.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from registry_model.needs import name_fault
from registry_model.version import Version, VersionError
from registry_tables import versions_layout as layout
from registry_tables.records import Action
from stream_sync.change_events import ChangeEvent, event_in


class RecordError(ValueError):
    """A stream record is malformed or of an unknown kind; the message has the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeRecord:
    """A change, parsed from one stream record.

    Attributes:
        service: The service's name.
        sequence_number: The record's sequence number in the stream.
        created_at: When the change was made, in seconds since 1970; 0 if the record has no time.
        version: The version that was changed, or None.
        channel: The channel that was changed, or None.
        revision: The service's revision after the change; 0 if the record has none.
        is_removal: Whether the service's own item was removed.
        event: The event to send; None if the record is not a new change.
    """

    service: str
    sequence_number: str
    created_at: float = 0.0
    version: Version | None = None
    channel: str | None = None
    revision: int = 0
    is_removal: bool = False
    event: ChangeEvent | None = None


def sequence_number_of(record: Any) -> str:  # noqa: ANN401  # any JSON
    """Return a record's sequence number, or an empty string if it has none.

    If the empty string is reported as a failure, Lambda retries the whole batch. Without a number
    there is no other way to retry this record.
    """
    try:
        number = record["dynamodb"]["SequenceNumber"]
    except (LookupError, TypeError):
        return ""
    return number if isinstance(number, str) else ""


def service_of(record: Any) -> str:  # noqa: ANN401  # any JSON
    """Return the service's name in a malformed record, or an empty string if it has none."""
    try:
        return str(record["dynamodb"]["Keys"][layout.SERVICE]["S"])
    except (LookupError, TypeError):
        return ""


def parse(record: Any) -> ChangeRecord:  # noqa: ANN401  # any JSON
    """Parse a stream record.

    Raises:
        RecordError: The record is malformed or of an unknown kind.
    """
    try:
        return _parse(record)
    except (AttributeError, LookupError, TypeError, OverflowError, VersionError) as error:
        message = f"the record is malformed: {error!r}"
        raise RecordError(message) from error


def _parse(record: Mapping[str, Any]) -> ChangeRecord:
    change = record["dynamodb"]
    service = _text(change["Keys"], layout.SERVICE)
    entry = _text(change["Keys"], layout.ENTRY)
    number = sequence_number_of(record)
    if not number:
        message = "the record has no sequence number"
        raise RecordError(message)
    created_at = _seconds(change.get("ApproximateCreationDateTime"))
    if entry == layout.SERVICE_ENTRY:
        return ChangeRecord(
            service=service,
            sequence_number=number,
            created_at=created_at,
            is_removal=record.get("eventName") == "REMOVE",
        )
    if not entry.startswith((layout.HISTORY_PREFIX, layout.VERSION_PREFIX)):
        message = f"the record has the unknown sort key {entry!r}"
        raise RecordError(message)
    image = change.get("NewImage") or change.get("OldImage") or {}
    version = _text(image, layout.VERSION) if layout.VERSION in image else None
    if image.get(layout.ACTION) == {"S": str(Action.SET_CHANNEL)}:
        # The channel points at the version; the version's own answers have not changed.
        version = None
    channel = _text(image, layout.CHANNEL) if layout.CHANNEL in image else None
    if channel is not None and name_fault(channel):
        message = f"the record's channel is {channel!r}: {name_fault(channel)}"
        raise RecordError(message)
    return ChangeRecord(
        service=service,
        sequence_number=number,
        created_at=created_at,
        version=None if version is None else Version.parse(version),
        channel=channel,
        revision=_revision(image),
        event=event_in(record),
    )


def _text(attributes: Mapping[str, Any], name: str) -> str:
    text = attributes[name]["S"]
    if not isinstance(text, str) or not text:
        message = f"the record's {name!r} is not a non-empty string"
        raise RecordError(message)
    return text


def _seconds(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _revision(image: Mapping[str, Any]) -> int:
    if layout.REVISION not in image:
        return 0
    try:
        return int(image[layout.REVISION]["N"])
    except ValueError as error:
        message = f"the record's revision is {image[layout.REVISION]!r}"
        raise RecordError(message) from error
