"""Stream records: what each says may have moved.

A record is a hint. It names a service and which of its answers a change may have moved, never what
is true now: records come repeated, late and out of order.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from registry_model.needs import name_fault
from registry_model.version import Version, VersionError
from registry_tables import versions_layout as layout
from registry_tables.records import Action


class RecordError(ValueError):
    """A record is not one that the versions table's stream gives; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Movement:
    """What one record says may have moved.

    Attributes:
        service: The service's name.
        sequence_number: The record's place in the stream.
        created_at: When the change was made, in seconds since 1970; 0 where it does not say.
        version: The version that is another one now, or None.
        channel: The channel concerned, or None.
        revision: The service's revision that the change made; 0 where it does not say.
        is_removal: Whether the service itself was taken away, whatever has become of it since.
    """

    service: str
    sequence_number: str
    created_at: float = 0.0
    version: Version | None = None
    channel: str | None = None
    revision: int = 0
    is_removal: bool = False


def sequence_number_of(record: Any) -> str:  # noqa: ANN401  # whatever came
    """Read a record's place in the stream, by which Lambda knows it.

    A record without one can't be told from the others: reporting the empty text fails all of the
    batch, of which all that can be read is processed nevertheless.
    """
    try:
        number = record["dynamodb"]["SequenceNumber"]
    except (LookupError, TypeError):
        return ""
    return number if isinstance(number, str) else ""


def service_of(record: Any) -> str:  # noqa: ANN401  # whatever came
    """Read the service's name from a record that is otherwise not understood; empty if it can't."""
    try:
        return str(record["dynamodb"]["Keys"][layout.SERVICE]["S"])
    except (LookupError, TypeError):
        return ""


def parse(record: Any) -> Movement:  # noqa: ANN401  # whatever came
    """Read what a record says may have moved.

    Raises:
        RecordError: It is malformed, or of a kind that this version does not know.
    """
    try:
        return _parse(record)
    except (AttributeError, LookupError, TypeError, OverflowError, VersionError) as error:
        message = f"the record is malformed: {error!r}"
        raise RecordError(message) from error


def _parse(record: Mapping[str, Any]) -> Movement:
    change = record["dynamodb"]
    service = _text(change["Keys"], layout.SERVICE)
    entry = _text(change["Keys"], layout.ENTRY)
    number = sequence_number_of(record)
    if not number:
        message = "the record has no sequence number"
        raise RecordError(message)
    created_at = _seconds(change.get("ApproximateCreationDateTime"))
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
    version = _text(image, layout.VERSION) if layout.VERSION in image else None
    if image.get(layout.ACTION) == {"S": str(Action.SET_CHANNEL)}:
        # It is only pointed at: what it is, and what the others resolve to, has not moved.
        version = None
    channel = _text(image, layout.CHANNEL) if layout.CHANNEL in image else None
    if channel is not None and name_fault(channel):
        message = f"the record's channel is {channel!r}: {name_fault(channel)}"
        raise RecordError(message)
    return Movement(
        service=service,
        sequence_number=number,
        created_at=created_at,
        version=None if version is None else Version.parse(version),
        channel=channel,
        revision=_revision(image),
    )


def _text(attributes: Mapping[str, Any], name: str) -> str:
    text = attributes[name]["S"]
    if not isinstance(text, str) or not text:
        message = f"the record's {name!r} is not a text"
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
