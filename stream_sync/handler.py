"""The Lambda function behind the stream; the failure of one service does not affect others."""

import os
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import boto3
from aws_lambda_powertools.logging import Logger
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from registry_tables.calls import CLIENT_CONFIG, keep_requests_out_of_logs
from stream_sync import composition, stream_records
from stream_sync.change_events import ChangeEvent
from stream_sync.event_bus import EventBus
from stream_sync.projection import AffectedAnswers, affected_by
from stream_sync.rebuild import Rebuild
from stream_sync.recompute import Recompute, RecomputeResult
from stream_sync.settings import EventSettings, StreamSyncSettings
from stream_sync.stream_records import ChangeRecord, RecordError

logger = Logger()
keep_requests_out_of_logs()
metrics = composition.stack_metrics(os.environ.get)

# How long one more service may take if DynamoDB does not respond: the client's retries.
_RESERVE_S = 15.0


class StreamHandler:
    """Processes batches of stream records."""

    def __init__(
        self,
        recompute: Recompute,
        rebuild: Rebuild,
        clock: Callable[[], float],
        bus: EventBus | None = None,
    ) -> None:
        """Use the recompute, the rebuild and the wall clock, in seconds since 1970.

        Args:
            bus: The bus for the events of changes, once they are in the index; None for no events.
        """
        self._recompute = recompute
        self._rebuild = rebuild
        self._clock = clock
        self._bus = bus

    def process(self, records: list[Any], remaining_s: Callable[[], float]) -> list[str]:
        """Process a batch; return the sequence numbers of the records that failed.

        A batch costs one recompute for each service in it. If a service can't be recomputed, or a
        record can't be parsed, only its own records fail. When there is no time left, the rest of
        the batch fails: if Lambda ended the function first, the whole batch would be repeated.
        """
        failed: list[str] = []
        changes: dict[str, list[ChangeRecord]] = defaultdict(list)
        announced: list[tuple[ChangeEvent, str | None]] = []
        for record in records:
            try:
                change = stream_records.parse(record)
            except RecordError as error:
                number = stream_records.sequence_number_of(record)
                logger.error(  # noqa: TRY400  # the reason is enough
                    "record not understood",
                    service=stream_records.service_of(record),
                    sequence_number=number,
                    reason=str(error),
                )
                metrics.add_metric(name="FailedRecords", unit=MetricUnit.Count, value=1)
                failed.append(number)
            else:
                changes[change.service].append(change)
        for service, its_changes in changes.items():
            result = self._process_service(service, its_changes, remaining_s)
            if result is None:
                failed += [change.sequence_number for change in its_changes]
            elif result.service is not None:
                latest = result.service.latest
                shown = None if latest is None else str(latest)
                announced += [(each.event, shown) for each in its_changes if each.event is not None]
        if self._bus is not None and announced:
            failed += self._announce(self._bus, announced)
        return failed

    def _announce(self, bus: EventBus, events: list[tuple[ChangeEvent, str | None]]) -> list[str]:
        """Send the events of changes that are in the index.

        Returns:
            The sequence numbers of the records whose events neither the bus nor its queue accepted.
        """
        entries = [event.to_entry(bus.name, latest) for event, latest in events]
        faults, queued = bus.send(entries)
        if queued:
            metrics.add_metric(name="QueuedEvents", unit=MetricUnit.Count, value=queued)
            logger.warning("events queued, since the bus did not accept them", events=queued)
        lost = [(event, fault) for (event, _), fault in zip(events, faults, strict=True) if fault]
        for event, fault in lost:
            logger.error(
                "event not sent",
                service=event.change.name,
                revision=event.change.revision,
                reason=fault,
            )
        return [event.sequence_number for event, _ in lost]

    def _process_service(
        self, service: str, changes: list[ChangeRecord], remaining_s: Callable[[], float]
    ) -> RecomputeResult | None:
        """Bring the index up to date with a service's changes; None if that failed."""
        started = self._clock()
        if remaining_s() <= 0:
            logger.error("no time left for the service", service=service)
            return None
        affected = affected_by(
            {change.version for change in changes if change.version is not None},
            {change.channel for change in changes if change.channel is not None},
            revision=max(change.revision for change in changes),
        )
        try:
            result, changed_items = self._recompute_service(service, affected, changes, remaining_s)
        except Exception:  # one service must not delay the others
            logger.exception("service not recomputed", service=service, records=len(changes))
            metrics.add_metric(name="FailedServices", unit=MetricUnit.Count, value=1)
            return None
        self._report(service, changes, changed_items, started)
        return result

    def _recompute_service(
        self,
        service: str,
        affected: AffectedAnswers,
        changes: list[ChangeRecord],
        remaining_s: Callable[[], float],
    ) -> tuple[RecomputeResult, int]:
        """Recompute the affected answers; return the result, and how many items were changed.

        A service that was removed or restored has wrong items that no record covers: it is rebuilt.
        """
        result = self._recompute.run(service, affected, remaining_s)
        if result.is_restored:
            logger.warning(
                "index was ahead of the versions table, which was restored; rebuild the index",
                service=service,
                revision=result.revision,
            )
            metrics.add_metric(name="RestoredServices", unit=MetricUnit.Count, value=1)
        changed_items = len(result.differences)
        was_removed = result.service is None or any(each.is_removal for each in changes)
        if was_removed or result.is_restored:
            changed_items += self._rebuild.finish(service, remaining_s)
        return result, changed_items

    def _report(
        self, service: str, changes: list[ChangeRecord], changed_items: int, started: float
    ) -> None:
        now = self._clock()
        oldest = min(change.created_at for change in changes)
        age_ms = max(0, round((now - oldest) * 1000))
        # A repeated record changes nothing, so its age is not the index's.
        if changed_items:
            metrics.add_metric(name="IndexAge", unit=MetricUnit.Milliseconds, value=age_ms)
        logger.info(
            "service recomputed",
            service=service,
            records=len(changes),
            changed_items=changed_items,
            age_ms=age_ms,
            duration_ms=round((now - started) * 1000, 1),
        )


def _compose() -> StreamHandler:
    settings = StreamSyncSettings.from_env(os.environ.get)
    client = boto3.client("dynamodb", config=CLIENT_CONFIG)
    recompute = composition.recompute_on(client, settings)
    return StreamHandler(
        recompute,
        composition.rebuild_with(recompute),
        time.time,
        composition.event_bus(EventSettings.from_env(os.environ.get)),
    )


_stream_handler = _compose()


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics(raise_on_empty_metrics=False)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Process one batch of the versions table's stream.

    Returns:
        Lambda's partial batch response: the records that failed.
    """
    composition.exempt_from_log_level(metrics)

    def remaining_s() -> float:
        return context.get_remaining_time_in_millis() / 1000 - _RESERVE_S

    failed = _stream_handler.process(event["Records"], remaining_s)
    return {"batchItemFailures": [{"itemIdentifier": number} for number in failed]}
