"""Creates the parts of the package's functions."""

import random
import time
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import boto3
from aws_lambda_powertools.metrics import Metrics
from botocore.config import Config

from registry_tables.calls import CLIENT_CONFIG
from registry_tables.index_table import IndexWriter
from registry_tables.versions_table import VersionsTable
from stream_sync.event_bus import EventBus
from stream_sync.rebuild import Rebuild
from stream_sync.recompute import Recompute
from stream_sync.settings import EventSettings, StreamSyncSettings

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def stack_metrics(getenv: Callable[[str], str | None]) -> Metrics:
    """Return the function's metrics, with the stack's name as a dimension.

    Without that, two stacks in one account and Region would share their alarms.
    """
    metrics = Metrics()
    metrics.set_default_dimensions(stack=getenv("STACK_NAME") or "none")
    # Powertools warns if an invocation has no metrics, which is usual here.
    warnings.filterwarnings("ignore", message="No application metrics to publish")
    return metrics


def exempt_from_log_level(metrics: Metrics) -> None:
    """Write this invocation's metrics at a level that Lambda's log level does not drop.

    Metrics are lines of the log. Lambda counts a JSON line without level and time as INFO, and
    drops it if ApplicationLogLevel is higher (Developer Guide, "Log-level filtering"). The
    functions log nothing else as FATAL.
    """
    metrics.add_metadata(key="level", value="FATAL")
    metrics.add_metadata(key="timestamp", value=_now())


def recompute_on(client: "DynamoDBClient", settings: StreamSyncSettings) -> Recompute:
    """Return the recompute on both tables."""
    versions = VersionsTable(client, settings.versions_table)
    return Recompute(
        versions=versions,
        index=IndexWriter(
            client, settings.index_table, versions=versions, copies=settings.index_copies
        ),
        now=_now,
        sleep=time.sleep,
        random=random.random,
    )


def event_bus(settings: EventSettings) -> EventBus | None:
    """Return the event bus for changes; None if there is none."""
    if not settings.bus:
        return None
    # EventBus has its own retries. A bus that does not respond must not delay the index for long.
    config = Config(connect_timeout=1, read_timeout=2, retries={"total_max_attempts": 1})
    return EventBus(
        boto3.client("events", config=config),
        boto3.client("sqs", config=CLIENT_CONFIG),
        name=settings.bus,
        queue_url=settings.queue_url,
        sleep=time.sleep,
        random=random.random,
    )


def rebuild_with(recompute: Recompute) -> Rebuild:
    """Return the rebuild of the tables that a recompute uses."""
    return Rebuild(
        recompute=recompute,
        versions=recompute.versions,
        index=recompute.index,
        clock=time.monotonic,
        sleep=time.sleep,
    )
