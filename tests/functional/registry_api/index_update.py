"""Brings the index up to date, in place of the stream's function."""

from collections import defaultdict
from typing import TYPE_CHECKING

from registry_tables import versions_layout as layout
from stream_sync.projection import affected_by
from testing import tables
from testing.stream_world import NOW, no_limit, recompute_on

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from registry_model.version import Version

INDEXED_AT = NOW


def update_index(client: "DynamoDBClient") -> None:
    """Derive the index from the versions table."""
    recompute = recompute_on(client)
    versions: dict[str, set[Version]] = defaultdict(set)
    channels: dict[str, set[str]] = defaultdict(set)
    for page in client.get_paginator("scan").paginate(TableName=tables.VERSIONS):
        for item in page["Items"]:
            if layout.ACTION in item:
                event = layout.event_from_item(item)
                versions[event.name] |= {event.version} if event.version else set()
                channels[event.name] |= {event.channel} if event.channel else set()
    for name, changed in versions.items():
        recompute.run(name, affected_by(changed, channels[name]), no_limit)
