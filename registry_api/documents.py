"""Records, views and impacts as the documents that clients get (`schemas.py` has their types)."""

from collections.abc import Sequence
from typing import cast

from registry_api.consumers import ServiceConsumer
from registry_api.impact import ConsumerChange, Impact
from registry_api.schemas import (
    ChannelDocument,
    ConsumerChangeDocument,
    ConsumerDocument,
    EventDocument,
    ImpactDocument,
    MemberDocument,
    ServiceConsumerDocument,
    ServiceDocument,
    SummaryDocument,
    VersionDocument,
)
from registry_api.values import ServiceView
from registry_model.services_file import Member
from registry_model.version import Version
from registry_tables.consumers_layout import Consumer
from registry_tables.records import HistoryEvent, VersionRecord

# How many consumers a guard or a dry run lists.
MAX_CONSUMERS = 100


def version_document(record: VersionRecord) -> VersionDocument:
    """Return a version record's document."""
    document: VersionDocument = {
        "name": record.name,
        "version": str(record.version),
        "arn": str(record.arn),
        "status": record.status,
        "published_at": record.published_at,
        "published_by": record.published_by,
        "revision": record.revision,
    }
    if record.reason is not None:
        document["reason"] = record.reason
    if record.metadata:
        document["metadata"] = record.metadata
    return document


def summary_document(view: ServiceView) -> SummaryDocument:
    """Return a service's document, as lists have it."""
    return {
        "name": view.service.name,
        "latest": version_document(view.latest) if view.latest else None,
        "revision": view.service.revision,
    }


def service_document(view: ServiceView) -> ServiceDocument:
    """Return a service's document."""
    service = view.service
    return {
        **summary_document(view),
        "channels": {name: str(service.channels[name]) for name in sorted(service.channels)},
        "created_at": service.created_at,
        "updated_at": service.updated_at,
    }


def channel_document(channel: str, version: Version) -> ChannelDocument:
    """Return a channel's document."""
    return {"channel": channel, "version": str(version)}


def event_document(event: HistoryEvent) -> EventDocument:
    """Return a history event's document."""
    document: EventDocument = {
        "revision": event.revision,
        "at": event.at,
        "by": event.by,
        "action": event.action,
    }
    if event.version is not None:
        document["version"] = str(event.version)
    if event.channel is not None:
        document["channel"] = event.channel
    if event.reason is not None:
        document["reason"] = event.reason
    return document


def member_document(member: Member) -> MemberDocument:
    """Return a need's member of the services file as a document."""
    return cast("MemberDocument", dict(member.to_json()))


def consumer_document(consumer: Consumer) -> ConsumerDocument:
    """Return a consumer's document."""
    document: ConsumerDocument = {
        "consumer": consumer.name,
        "needed": consumer.needed,
        "source": consumer.source,
        "seen_at": consumer.seen_at,
    }
    if consumer.arn is not None:
        document["arn"] = consumer.arn
    if consumer.owner is not None:
        document["owner"] = consumer.owner
    return document


def service_consumer_document(found: ServiceConsumer) -> ServiceConsumerDocument:
    """Return the document of a consumer's need of one service."""
    document: ServiceConsumerDocument = {
        "consumer": found.consumer.name,
        "key": found.need.key,
        "requested": found.need.selector.requested,
        "version": found.version,
        "source": found.consumer.source,
        "seen_at": found.consumer.seen_at,
    }
    if found.consumer.arn is not None:
        document["arn"] = found.consumer.arn
    return document


def impact_document(impact: Impact) -> ImpactDocument:
    """Return what a write would change as a document."""
    return {
        "changes": [
            {"selector": each.selector, "from": _text(each.before), "to": _text(each.after)}
            for each in impact.selectors
        ],
        "consumers": consumer_documents(impact.consumers),
        "consumers_total": len(impact.consumers),
    }


def consumer_documents(changes: Sequence[ConsumerChange]) -> list[ConsumerChangeDocument]:
    """Return the documents of the first hundred consumers' needs."""
    return [
        {
            "consumer": each.consumer,
            "need": each.need,
            "from": _text(each.before),
            "to": _text(each.after),
        }
        for each in changes[:MAX_CONSUMERS]
    ]


def _text(version: Version | None) -> str | None:
    return None if version is None else str(version)
