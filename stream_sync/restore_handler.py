"""The Lambda function that restores the versions table; it returns a report."""

import os
import time
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools.logging import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from registry_tables.calls import CLIENT_CONFIG, keep_requests_out_of_logs
from registry_tables.item_table import ItemTable
from stream_sync import settings
from stream_sync.payloads import RestoreRequest
from stream_sync.restore import Restore

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

logger = Logger()
keep_requests_out_of_logs()

# The time for the last page.
_RESERVE_S = 60.0

_client = boto3.client("dynamodb", config=CLIENT_CONFIG)
_target = ItemTable(_client, settings.versions_table(os.environ.get), sleep=time.sleep)


def _client_of(source: str) -> "DynamoDBClient":
    """Return a client for the Region in the source's ARN."""
    parts = source.split(":")
    if len(parts) > 3 and parts[3] != _client.meta.region_name:  # arn:aws:dynamodb:REGION
        return boto3.client("dynamodb", region_name=parts[3], config=CLIENT_CONFIG)
    return _client


@logger.inject_lambda_context(clear_state=True)
def handler(event: Any, context: LambdaContext) -> dict[str, Any]:  # noqa: ANN401  # any payload
    """Make the versions table equal to another table, until the time is over.

    Args:
        event: `{"action": "restore", "from": TABLE, "cursor"?, "seconds"?}`.

    Returns:
        The report, with the cursor to continue with; None if all is done.
    """
    request = RestoreRequest.parse(event)

    def remaining_s() -> float:
        return context.get_remaining_time_in_millis() / 1000 - _RESERVE_S

    source = ItemTable(_client_of(request.source), request.source, sleep=time.sleep)
    restore = Restore(source=source, target=_target, clock=time.monotonic)
    report = restore.run(request, remaining_s)
    document: dict[str, Any] = {
        "action": "restore",
        "from": request.source,
        "complete": report.cursor is None,
        "items": report.items,
        "written": report.written,
        "deleted": report.deleted,
        "cursor": report.cursor,
    }
    logger.info("versions table compared with another one", **document)
    return document
