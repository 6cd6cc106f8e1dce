"""The Lambda function behind the stream: composes, and answers for each service by itself."""

import os
import random
import time
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import boto3
from aws_lambda_powertools.logging import Logger
from aws_lambda_powertools.metrics import Metrics, MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config

from stream_sync import stream_records
from stream_sync.index_table import IndexTable
from stream_sync.projection import moved
from stream_sync.recompute import Recompute
from stream_sync.settings import Settings
from stream_sync.stream_records import Movement, RecordError
from stream_sync.versions_reader import VersionsReader

logger = Logger()
metrics = Metrics()

_CLIENT = Config(
    connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 3}
)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class StreamHandler:
    """Processes batches of stream records."""

    def __init__(self, recompute: Recompute, clock: Callable[[], float]) -> None:
        """Take the recompute and the wall clock, in seconds since 1970."""
        self._recompute = recompute
        self._clock = clock

    def process(self, records: list[dict[str, Any]]) -> list[str]:
        """Process a batch; tell the sequence numbers of the records that failed.

        A batch costs one recompute for each service in it. A service that fails, or a record that
        can't be read, fails by itself.
        """
        failed: list[str] = []
        movements: dict[str, list[Movement]] = defaultdict(list)
        for record in records:
            try:
                movement = stream_records.parse(record)
            except RecordError as error:
                number = stream_records.sequence_number_of(record)
                logger.warning("record not understood", sequence_number=number, reason=str(error))
                failed.append(number)
            else:
                movements[movement.service].append(movement)
        for service, its_movements in movements.items():
            if not self._process_service(service, its_movements):
                failed += [movement.sequence_number for movement in its_movements]
        return failed

    def _process_service(self, service: str, movements: list[Movement]) -> bool:
        what = moved(
            {movement.version for movement in movements if movement.version is not None},
            {movement.channel for movement in movements if movement.channel is not None},
        )
        try:
            changed = self._recompute.run(service, what)
        except Exception:  # one service's trouble must not hold the others up
            logger.exception("service not recomputed", service=service, records=len(movements))
            metrics.add_metric(name="FailedServices", unit=MetricUnit.Count, value=1)
            return False
        oldest = min(movement.created_at for movement in movements)
        age_ms = max(0, round((self._clock() - oldest) * 1000))
        metrics.add_metric(name="IndexAge", unit=MetricUnit.Milliseconds, value=age_ms)
        logger.info(
            "service recomputed",
            service=service,
            records=len(movements),
            changed_items=changed,
            age_ms=age_ms,
        )
        return True


def _compose() -> StreamHandler:
    settings = Settings.from_env(os.environ.get)
    client = boto3.client("dynamodb", config=_CLIENT)
    recompute = Recompute(
        versions=VersionsReader(client, settings.versions_table),
        index=IndexTable(
            client,
            table=settings.index_table,
            versions_table=settings.versions_table,
            copies=settings.index_copies,
        ),
        copies=settings.index_copies,
        now=_now,
        sleep=time.sleep,
        random=random.random,
    )
    return StreamHandler(recompute, time.time)


_stream_handler = _compose()


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics(raise_on_empty_metrics=False)
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Process one batch of the versions table's stream.

    Returns:
        What Lambda's partial batch response wants: the records that failed.
    """
    failed = _stream_handler.process(event["Records"])
    return {"batchItemFailures": [{"itemIdentifier": number} for number in failed]}
