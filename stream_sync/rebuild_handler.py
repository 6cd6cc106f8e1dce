"""The Lambda function that rebuilds and verifies the index: composes, and spells what was found."""

import os
import time
from typing import Any

import boto3
from aws_lambda_powertools.logging import Logger
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from registry_model import index_layout
from registry_tables.calls import CLIENT_CONFIG, Item
from registry_tables.index_items import Difference
from stream_sync import composition
from stream_sync.rebuild import Rebuild, Report, Request
from stream_sync.settings import Settings

logger = Logger()
metrics = composition.stack_metrics(os.environ.get)

# What the last step, and a second look at what differs, may take.
_RESERVE_S = 60.0
# How many differences are listed. All of them are counted, and made right.
_LISTED = 500

_client = boto3.client("dynamodb", config=CLIENT_CONFIG)
_recompute = composition.recompute_on(_client, Settings.from_env(os.environ.get))


def _plain(item: Item | None) -> dict[str, Any] | None:
    """Spell an item without DynamoDB's types; None where there is none, or its key alone."""
    if item is None or index_layout.VERSION not in item:
        return None
    kept = {name: value for name, value in item.items() if isinstance(value, dict) and value}
    plain = {name: next(iter(value.values())) for name, value in kept.items()}
    return {name: plain[name] for name in sorted(plain) if name not in _KEY}


_KEY = frozenset({index_layout.SERVICE, index_layout.SELECTOR})


def _difference_document(difference: Difference) -> dict[str, Any]:
    service, selector = index_layout.key_of(difference.key)
    return {
        "service": service,
        "selector": selector,
        "is": _plain(difference.found),
        "should_be": _plain(difference.wanted),
    }


def _document(request: Request, report: Report) -> dict[str, Any]:
    return {
        "action": str(request.action),
        "services": report.services,
        "selectors": report.selectors,
        "differences": len(report.differences),
        "listed": [_difference_document(each) for each in report.differences[:_LISTED]],
        "failed": report.failed,
        "cursor": None if report.place is None else report.place.to_cursor(),
    }


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics(raise_on_empty_metrics=False)
def handler(event: Any, context: LambdaContext) -> dict[str, Any]:  # noqa: ANN401  # any payload
    """Rebuild or verify the index, as far as there is time.

    Args:
        event: `{"action": "rebuild" | "verify", "service"?, "cursor"?, "seconds"?}`.

    Returns:
        What was found, and the cursor to go on with; None there: all is done.
    """
    request = Request.parse(event)

    composition.exempt_from_log_level(metrics)

    def remaining_s() -> float:
        return context.get_remaining_time_in_millis() / 1000 - _RESERVE_S

    rebuild = Rebuild(_recompute, remaining_s=remaining_s, clock=time.monotonic, sleep=time.sleep)
    document = _document(request, rebuild.run(request))
    metrics.add_metric(
        name="IndexDifferences", unit=MetricUnit.Count, value=document["differences"]
    )
    logger.info(
        "index looked at", **{name: document[name] for name in document if name != "listed"}
    )
    return document
