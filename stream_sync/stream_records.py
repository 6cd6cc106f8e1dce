"""Stream records: what each says may have moved.

A record is a hint. It names a service and which of its answers a change may have moved, never what
is true now: records come repeated, late and out of order.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from registry_model import versions_layout as layout
from registry_model.version import Version, VersionError


class RecordError(ValueError):
    """A record is not one that the versions table's stream gives; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Movement:
    """What one record says may have moved.

    Attributes:
        service: The service's name.
        sequence_number: The record's place in the stream.
        created_at: When the change was made, in seconds since 1970.
        version: The version concerned, or None.
        channel: The channel concerned, or None.
        is_removal: Whether the service itself is gone.
    """

    service: str
    sequence_number: str
    created_at: float
    version: Version | None = None
    channel: str | None = None
    is_removal: bool = False


def sequence_number_of(record: Mapping[str, Any]) -> str:
    """Read a record's place in the stream, by which Lambda knows it.

    Raises:
        RecordError: It has none: not a stream record at all.
    """
    try:
        number: str = record["dynamodb"]["SequenceNumber"]
    except (KeyError, TypeError) as error:
        message = "the record has no sequence number"
        raise RecordError(message) from error
    return number


def parse(record: Mapping[str, Any]) -> Movement:
    """Read what a record says may have moved.

    Raises:
        RecordError: It is malformed, or of a kind that this version does not know.
    """
    number = sequence_number_of(record)
    change = record["dynamodb"]
    try:
        service = change["Keys"][layout.SERVICE]["S"]
        entry = change["Keys"][layout.ENTRY]["S"]
        created_at = float(change.get("ApproximateCreationDateTime", 0))
    except (KeyError, TypeError, ValueError) as error:
        message = f"the record's keys are malformed: {error!r}"
        raise RecordError(message) from error
    if entry == layout.SERVICE_ENTRY:
        return Movement(
            service=service,
            sequence_number=number,
            created_at=created_at,
            is_removal=record.get("eventName") == "REMOVE",
        )
    if not entry.startswith((layout.HISTORY_PREFIX, layout.VERSION_PREFIX)):
        message = f"the record is of the unknown entry {entry!r}"
        raise RecordError(message)
    image = change.get("NewImage") or change.get("OldImage") or {}
    try:
        version = image[layout.VERSION]["S"] if layout.VERSION in image else None
        channel = image[layout.CHANNEL]["S"] if layout.CHANNEL in image else None
        return Movement(
            service=service,
            sequence_number=number,
            created_at=created_at,
            version=None if version is None else Version.parse(version),
            channel=channel,
        )
    except (KeyError, TypeError, AttributeError, VersionError) as error:
        message = f"the record's image is malformed: {error}"
        raise RecordError(message) from error
