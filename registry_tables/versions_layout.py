"""The versions table's layout: the items and keys of records.

One service is one partition. Its sort key `entry` is `#service` for the service's own item,
`v#<order key>` for a version and `e#<revision>` for a history event, so that DynamoDB pages
versions by precedence and history by age. Items are in DynamoDB's JSON, as in
boto3's low-level client.
"""

from collections.abc import Mapping
from typing import Any

from registry_model.version import Version
from registry_tables.arn import Arn
from registry_tables.order_key import number_key, order_key
from registry_tables.records import Action, HistoryEvent, ServiceRecord, Status, VersionRecord

Item = Mapping[str, Any]

SERVICE = "service"
ENTRY = "entry"
SERVICE_ENTRY = "#service"
VERSION_PREFIX = "v#"
HISTORY_PREFIX = "e#"

# A local secondary index of the active stable versions, by order key. One consistent query finds
# the highest one, overall or of a series.
STABLE_INDEX = "stable-versions"
STABLE_ORDER = "stable_order"

# A global secondary index of the services' own items, by name.
SERVICES_INDEX = "services-by-name"
LISTING = "listing"
ALL_SERVICES = "services"

VERSION = "version"
ARN = "arn"
STATUS = "status"
REASON = "reason"
METADATA = "metadata"
PUBLISHED_AT = "published_at"
PUBLISHED_BY = "published_by"
REVISION = "revision"
CHANNELS = "channels"
HIGHEST = "highest"
CREATED_AT = "created_at"
UPDATED_AT = "updated_at"
AT = "at"
BY = "by"
ACTION = "action"
CHANNEL = "channel"


def service_key(service: str) -> dict[str, Any]:
    """Return the key of a service's own item."""
    return {SERVICE: {"S": service}, ENTRY: {"S": SERVICE_ENTRY}}


def version_entry(version: Version) -> str:
    """Return a version's sort key."""
    return VERSION_PREFIX + order_key(version)


def version_key(service: str, version: Version) -> dict[str, Any]:
    """Return the key of a version's item."""
    return {SERVICE: {"S": service}, ENTRY: {"S": version_entry(version)}}


def history_entry(revision: int) -> str:
    """Return a history event's sort key."""
    return HISTORY_PREFIX + number_key(revision)


def history_key(service: str, revision: int) -> dict[str, Any]:
    """Return the key of a history event's item."""
    return {SERVICE: {"S": service}, ENTRY: {"S": history_entry(revision)}}


def listing_key(service: str) -> dict[str, Any]:
    """Return the key of a service in the index of services by name, with the table's key."""
    return {LISTING: {"S": ALL_SERVICES}, **service_key(service)}


def service_to_item(record: ServiceRecord) -> dict[str, Any]:
    """Return a service's own item."""
    channels = {channel: {"S": str(version)} for channel, version in record.channels.items()}
    item = {
        **service_key(record.name),
        LISTING: {"S": ALL_SERVICES},
        REVISION: {"N": str(record.revision)},
        CHANNELS: {"M": channels},
        CREATED_AT: {"S": record.created_at},
        UPDATED_AT: {"S": record.updated_at},
    }
    if record.highest is not None:
        item[HIGHEST] = {"S": str(record.highest)}
    return item


def service_from_item(item: Item) -> ServiceRecord:
    """Parse a service's own item."""
    highest = _optional(item, HIGHEST)
    return ServiceRecord(
        name=item[SERVICE]["S"],
        revision=int(item[REVISION]["N"]),
        channels={
            channel: Version.parse(version["S"]) for channel, version in item[CHANNELS]["M"].items()
        },
        highest=None if highest is None else Version.parse(highest),
        created_at=item[CREATED_AT]["S"],
        updated_at=item[UPDATED_AT]["S"],
    )


def version_to_item(record: VersionRecord) -> dict[str, Any]:
    """Return a version's item."""
    item = {
        **version_key(record.name, record.version),
        VERSION: {"S": str(record.version)},
        ARN: {"S": str(record.arn)},
        STATUS: {"S": str(record.status)},
        PUBLISHED_AT: {"S": record.published_at},
        PUBLISHED_BY: {"S": record.published_by},
        REVISION: {"N": str(record.revision)},
    }
    if record.reason is not None:
        item[REASON] = {"S": record.reason}
    if record.metadata:
        item[METADATA] = {"M": {name: {"S": text} for name, text in record.metadata.items()}}
    if record.is_answer:
        item[STABLE_ORDER] = {"S": order_key(record.version)}
    return item


def version_from_item(item: Item) -> VersionRecord:
    """Parse a version's item."""
    metadata = item.get(METADATA, {"M": {}})["M"]
    return VersionRecord(
        name=item[SERVICE]["S"],
        version=Version.parse(item[VERSION]["S"]),
        arn=Arn.parse(item[ARN]["S"]),
        status=Status(item[STATUS]["S"]),
        reason=_optional(item, REASON),
        metadata={name: text["S"] for name, text in metadata.items()},
        published_at=item[PUBLISHED_AT]["S"],
        published_by=item[PUBLISHED_BY]["S"],
        revision=int(item[REVISION]["N"]),
    )


def event_to_item(event: HistoryEvent) -> dict[str, Any]:
    """Return a history event's item."""
    item = {
        **history_key(event.name, event.revision),
        REVISION: {"N": str(event.revision)},
        AT: {"S": event.at},
        BY: {"S": event.by},
        ACTION: {"S": str(event.action)},
    }
    if event.version is not None:
        item[VERSION] = {"S": str(event.version)}
    if event.channel is not None:
        item[CHANNEL] = {"S": event.channel}
    if event.reason is not None:
        item[REASON] = {"S": event.reason}
    if event.arn is not None:
        item[ARN] = {"S": str(event.arn)}
    return item


def event_from_item(item: Item) -> HistoryEvent:
    """Parse a history event's item."""
    version, arn = _optional(item, VERSION), _optional(item, ARN)
    return HistoryEvent(
        name=item[SERVICE]["S"],
        revision=int(item[REVISION]["N"]),
        at=item[AT]["S"],
        by=item[BY]["S"],
        action=Action(item[ACTION]["S"]),
        version=None if version is None else Version.parse(version),
        channel=_optional(item, CHANNEL),
        reason=_optional(item, REASON),
        arn=None if arn is None else Arn.parse(arn),
    )


def _optional(item: Item, name: str) -> str | None:
    text: str | None = item[name]["S"] if name in item else None
    return text
