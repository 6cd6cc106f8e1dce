"""The Lambda function behind the API: creates its parts; an unexpected error is a 500."""

import gc

# Imported modules stay in memory. Looking for garbage in them would take a tenth of the cold start.
gc.disable()

import os
import random
import time
import warnings
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import boto3
from aws_lambda_powertools.logging import Logger, correlation_paths
from aws_lambda_powertools.metrics import Metrics, MetricUnit
from aws_lambda_powertools.tracing import Tracer
from aws_lambda_powertools.utilities.typing import LambdaContext

from registry_api import build_check

build_check.require_matching_python()

from registry_api.consumers import Consumers
from registry_api.operations import Registry
from registry_api.problems import ProblemError
from registry_api.resolution import NeedsResolver
from registry_api.routes import Routes
from registry_api.settings import ApiSettings
from registry_tables.calls import CLIENT_CONFIG, keep_requests_out_of_logs
from registry_tables.consumers_table import ConsumersTable
from registry_tables.index_table import IndexTable
from registry_tables.versions_table import VersionsTable

logger = Logger()
keep_requests_out_of_logs()
metrics = Metrics()
# Without this dimension, two stacks in one account and Region would share their metrics.
metrics.set_default_dimensions(stack=os.environ.get("STACK_NAME") or "none")
# Powertools warns if a request has no metrics. A read has none.
warnings.filterwarnings("ignore", message="No application metrics to publish")
tracer = Tracer(auto_patch=True, patch_modules=["botocore"])


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _count(name: str) -> None:
    metrics.add_metric(name=name, unit=MetricUnit.Count, value=1)


def _compose() -> Routes:
    settings = ApiSettings.from_env(os.environ.get)
    client = boto3.client("dynamodb", config=CLIENT_CONFIG)
    consumers = ConsumersTable(
        client,
        settings.consumers_table,
        now_s=time.time,
        timestamp=_now,
        sleep=time.sleep,
        random=random.random,
    )
    registry = Registry(
        VersionsTable(client, settings.versions_table),
        now=_now,
        sleep=time.sleep,
        random=random.random,
        consumers=consumers,
    )
    resolver = NeedsResolver(IndexTable(client, settings.index_table))
    return Routes(registry, Consumers(consumers, resolver), resolver, _count)


_routes = _compose()
gc.freeze()
gc.enable()


@tracer.capture_lambda_handler(capture_response=False)
@logger.inject_lambda_context(
    correlation_id_path=correlation_paths.API_GATEWAY_REST, clear_state=True
)
@metrics.log_metrics(raise_on_empty_metrics=False)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Return the response to one request of API Gateway."""
    started = time.perf_counter()
    # Metrics are lines of the log. Lambda counts a JSON line without level and time as INFO, and
    # drops it if ApplicationLogLevel is higher (Developer Guide, "Log-level filtering").
    metrics.add_metadata(key="level", value="FATAL")
    metrics.add_metadata(key="timestamp", value=_now())
    try:
        result = _routes.respond(event, context)
    except Exception:
        logger.exception("request failed")
        problem = ProblemError(
            HTTPStatus.INTERNAL_SERVER_ERROR,
            "this is a bug of the registry; its log has the request's id",
        )
        response = problem.to_response()
        result = {
            "statusCode": response.status_code,
            "headers": {"Content-Type": response.content_type},
            "body": response.body,
            "isBase64Encoded": False,
        }
    logger.info(
        "request served",
        method=event.get("httpMethod"),
        path=event.get("path"),
        status=result["statusCode"],
        took_ms=round((time.perf_counter() - started) * 1000),
    )
    return result
