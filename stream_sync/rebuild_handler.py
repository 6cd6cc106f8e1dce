"""The Lambda function that rebuilds and verifies the index; it returns a report."""

import os
from typing import Any

import boto3
from aws_lambda_powertools.logging import Logger
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from registry_model import index_layout
from registry_tables.calls import CLIENT_CONFIG, keep_requests_out_of_logs
from registry_tables.index_items import Difference, Item
from stream_sync import composition
from stream_sync.payloads import RebuildRequest
from stream_sync.rebuild import RebuildReport
from stream_sync.settings import StreamSyncSettings

logger = Logger()
keep_requests_out_of_logs()
metrics = composition.stack_metrics(os.environ.get)

# The time for the last step and the second comparison.
_RESERVE_S = 60.0
# The maximum number of listed differences. All of them are counted, and corrected.
_MAX_LISTED = 500
_KEY = frozenset({index_layout.SERVICE, index_layout.SELECTOR})

_client = boto3.client("dynamodb", config=CLIENT_CONFIG)
_rebuild = composition.rebuild_with(
    composition.recompute_on(_client, StreamSyncSettings.from_env(os.environ.get))
)


def _plain(item: Item | None) -> dict[str, Any] | None:
    """Return an item without DynamoDB's types; None if there is none, or only its key."""
    if item is None or index_layout.VERSION not in item:
        return None
    kept = {name: value for name, value in item.items() if isinstance(value, dict) and value}
    plain = {name: next(iter(value.values())) for name, value in kept.items()}
    return {name: plain[name] for name in sorted(plain) if name not in _KEY}


def _difference_document(difference: Difference) -> dict[str, Any]:
    service, selector = index_layout.key_of(difference.key)
    return {
        "service": service,
        "selector": selector,
        "is": _plain(difference.found),
        "should_be": _plain(difference.wanted),
    }


def _document(request: RebuildRequest, report: RebuildReport) -> dict[str, Any]:
    is_last = report.checkpoint is None
    return {
        "action": str(request.action),
        "complete": is_last and not report.failed,
        "services": report.services,
        "selectors": report.selectors,
        "differences": len(report.differences),
        "listed": [_difference_document(each) for each in report.differences[:_MAX_LISTED]],
        "failed": report.failed,
        "damaged": report.damaged,
        "cursor": None if report.checkpoint is None else report.checkpoint.to_cursor(),
    }


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics(raise_on_empty_metrics=False)
def handler(event: Any, context: LambdaContext) -> dict[str, Any]:  # noqa: ANN401  # any payload
    """Rebuild or verify the index, until the time is over.

    Args:
        event: `{"action": "rebuild" | "verify", "service"?, "cursor"?, "seconds"?}`.

    Returns:
        The report, with the cursor to continue with; None if all is done.
    """
    composition.exempt_from_log_level(metrics)
    request = RebuildRequest.parse(event)

    def remaining_s() -> float:
        return context.get_remaining_time_in_millis() / 1000 - _RESERVE_S

    document = _document(request, _rebuild.run(request, remaining_s))
    metrics.add_metric(
        name="IndexDifferences", unit=MetricUnit.Count, value=document["differences"]
    )
    logger.info("index compared", **{name: document[name] for name in document if name != "listed"})
    return document
