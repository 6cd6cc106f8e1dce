"""The Lambda function behind the stream: composes, and answers for each service by itself."""

import os
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import boto3
from aws_lambda_powertools.logging import Logger
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from registry_tables.calls import CLIENT_CONFIG
from stream_sync import composition, stream_records
from stream_sync.projection import Moved, moved
from stream_sync.rebuild import Rebuild
from stream_sync.recompute import Recompute
from stream_sync.settings import Settings
from stream_sync.stream_records import Movement, RecordError

logger = Logger()
metrics = composition.stack_metrics(os.environ.get)

# What one more service may take while DynamoDB does not answer: the client's own attempts.
_RESERVE_S = 15.0


class StreamHandler:
    """Processes batches of stream records."""

    def __init__(self, recompute: Recompute, clock: Callable[[], float]) -> None:
        """Take the recompute and the wall clock, in seconds since 1970."""
        self._recompute = recompute
        self._clock = clock

    def process(self, records: list[Any], remaining_s: Callable[[], float]) -> list[str]:
        """Process a batch; tell the sequence numbers of the records that failed.

        A batch costs one recompute for each service in it. A service that fails, or a record that
        can't be read, fails by itself. What there is no time for fails, too: if the function were
        ended in the middle, all that it did would be done again.
        """
        failed: list[str] = []
        movements: dict[str, list[Movement]] = defaultdict(list)
        for record in records:
            try:
                movement = stream_records.parse(record)
            except RecordError as error:
                number = stream_records.sequence_number_of(record)
                logger.error(  # noqa: TRY400  # the reason says it all
                    "record not understood",
                    service=stream_records.service_of(record),
                    sequence_number=number,
                    reason=str(error),
                )
                metrics.add_metric(name="FailedRecords", unit=MetricUnit.Count, value=1)
                failed.append(number)
            else:
                movements[movement.service].append(movement)
        for service, its_movements in movements.items():
            if not self._process_service(service, its_movements, remaining_s):
                failed += [movement.sequence_number for movement in its_movements]
        return failed

    def _process_service(
        self, service: str, movements: list[Movement], remaining_s: Callable[[], float]
    ) -> bool:
        started = self._clock()
        if remaining_s() <= 0:
            logger.error("no time left for the service", service=service)
            return False
        what = moved(
            {movement.version for movement in movements if movement.version is not None},
            {movement.channel for movement in movements if movement.channel is not None},
            revision=max(movement.revision for movement in movements),
        )
        try:
            changed_items = self._recompute_service(service, what, movements, remaining_s)
        except Exception:  # one service's trouble must not hold the others up
            logger.exception("service not recomputed", service=service, records=len(movements))
            metrics.add_metric(name="FailedServices", unit=MetricUnit.Count, value=1)
            return False
        self._tell(service, movements, changed_items, started)
        return True

    def _recompute_service(
        self,
        service: str,
        what: Moved,
        movements: list[Movement],
        remaining_s: Callable[[], float],
    ) -> int:
        """Recompute what moved; all of the service where its records can't tell what did.

        A service that was taken away, or restored, has items that no record names any more.
        """
        outcome = self._recompute.run(service, what, remaining_s)
        if outcome.is_restored:
            logger.warning(
                "index was ahead of the versions table, which was restored; rebuild the index",
                service=service,
                revision=outcome.revision,
            )
            metrics.add_metric(name="RestoredServices", unit=MetricUnit.Count, value=1)
        changed_items = len(outcome.differences)
        was_removed = outcome.revision == 0 or any(each.is_removal for each in movements)
        if was_removed or outcome.is_restored:
            rebuild = Rebuild(
                self._recompute,
                remaining_s=remaining_s,
                clock=self._clock,
                sleep=self._recompute.sleep,
            )
            changed_items += rebuild.finish(service)
        return changed_items

    def _tell(
        self, service: str, movements: list[Movement], changed_items: int, started: float
    ) -> None:
        now = self._clock()
        oldest = min(movement.created_at for movement in movements)
        age_ms = max(0, round((now - oldest) * 1000))
        # What comes again changes nothing, and says nothing of how fresh the index is.
        if changed_items:
            metrics.add_metric(name="IndexAge", unit=MetricUnit.Milliseconds, value=age_ms)
        logger.info(
            "service recomputed",
            service=service,
            records=len(movements),
            changed_items=changed_items,
            age_ms=age_ms,
            duration_ms=round((now - started) * 1000, 1),
        )


def _compose() -> StreamHandler:
    settings = Settings.from_env(os.environ.get)
    client = boto3.client("dynamodb", config=CLIENT_CONFIG)
    return StreamHandler(composition.recompute_on(client, settings), time.time)


_stream_handler = _compose()


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics(raise_on_empty_metrics=False)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Process one batch of the versions table's stream.

    Returns:
        What Lambda's partial batch response wants: the records that failed.
    """
    composition.exempt_from_log_level(metrics)

    def remaining_s() -> float:
        return context.get_remaining_time_in_millis() / 1000 - _RESERVE_S

    failed = _stream_handler.process(event["Records"], remaining_s)
    return {"batchItemFailures": [{"itemIdentifier": number} for number in failed]}
