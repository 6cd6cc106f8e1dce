"""What both of the package's functions are made of."""

import random
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from botocore.config import Config

from stream_sync.index_table import IndexTable
from stream_sync.recompute import Recompute
from stream_sync.settings import Settings
from stream_sync.versions_reader import VersionsReader

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

CLIENT = Config(
    connect_timeout=1, read_timeout=3, retries={"mode": "standard", "total_max_attempts": 3}
)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def recompute_on(client: "DynamoDBClient", settings: Settings) -> Recompute:
    """Join the recompute to both tables."""
    return Recompute(
        versions=VersionsReader(client, settings.versions_table),
        index=IndexTable(
            client,
            table=settings.index_table,
            versions_table=settings.versions_table,
            copies=settings.index_copies,
        ),
        now=_now,
        sleep=time.sleep,
        random=random.random,
    )
