"""The Lambda function that scans an account's functions for their needs."""

import os
import random
import time
from datetime import UTC, datetime
from typing import Any

import boto3
from aws_lambda_powertools.logging import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config

from consumer_scan.listing import Scope, list_consumers
from consumer_scan.recording import ScanRecorder
from consumer_scan.requests import RecordRequest, RemoveGoneRequest, parse_request
from consumer_scan.settings import ScanSettings
from registry_tables.calls import keep_requests_out_of_logs
from registry_tables.consumers_table import ConsumersTable

logger = Logger()
keep_requests_out_of_logs()

# Lambda's control plane allows 15 requests a second in one account: retry with adaptive pauses, to
# leave some for deployments.
_LISTING = Config(retries={"mode": "adaptive", "total_max_attempts": 12})
_TABLE = Config(retries={"mode": "standard", "total_max_attempts": 6})


def _timestamp() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


_table = ConsumersTable(
    boto3.client("dynamodb", config=_TABLE),
    ScanSettings.from_env(os.environ.get).consumers_table,
    now_s=time.time,
    timestamp=_timestamp,
    sleep=time.sleep,
    random=random.random,
)
_lambda = boto3.client("lambda", config=_LISTING)


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Scan, or record an operator's findings; return the changes."""
    request = parse_request(event)
    if isinstance(request, RecordRequest):
        recorder = ScanRecorder(_table, request.scope)
        recorder.record(request.consumers)
        return recorder.summary()
    if isinstance(request, RemoveGoneRequest):
        recorder = ScanRecorder(_table, request.scope)
        recorder.remove_gone(request.present)
        return recorder.summary()
    own = context.invoked_function_arn.split(":")
    scope = Scope(account_id=own[4], region=own[3])
    listing = list_consumers(_lambda, scope)
    for name, reason in sorted(listing.unreadable.items()):
        logger.warning("function not read", consumer=name, reason=reason)
    recorder = ScanRecorder(_table, scope)
    recorder.record(listing.consumers)
    recorder.remove_gone(listing.unreadable)
    summary = {"functions": listing.functions, **recorder.summary()}
    logger.info("functions scanned", unreadable=len(listing.unreadable), counts=summary)
    return summary
