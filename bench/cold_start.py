"""The cost of a cold start of the API's function, compared with that of only boto3."""

import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from statistics import median

from bench.report import Row, Table
from local import emulator
from local.processes import ROOT
from testing import tables as dynamodb

_ROUNDS = 15
_LIMIT = 1.5

_CLIENT = "import boto3; boto3.client('dynamodb')"
_PUBLISH = """
import json, types, uuid
from registry_api.handler import handler
event = {
    "resource": "/{proxy+}",
    "path": "/services",
    "httpMethod": "POST",
    "headers": {},
    "queryStringParameters": None,
    "requestContext": {"requestId": "r", "identity": {}},
    "body": json.dumps({
        "name": uuid.uuid4().hex,
        "version": "1.4.2",
        "arn": "arn:aws:lambda:eu-west-1:123456789012:function:users:42",
    }),
    "isBase64Encoded": False,
}
context = types.SimpleNamespace(
    function_name="f", memory_limit_in_mb=1024, invoked_function_arn="f", aws_request_id="r"
)
assert handler(event, context)["statusCode"] == 201
"""
_PROGRAMS = {
    "import boto3, create a DynamoDB client": _CLIENT,
    "import the handler": "import registry_api.handler",
    "import the handler, publish a version": _PUBLISH,
}
# The interpreter's shutdown is not part of a cold start.
_END = "\nimport os; os._exit(0)"


def tables() -> Iterable[Table]:
    """Measure the processor time of fresh interpreters, in turn."""
    with tempfile.TemporaryDirectory() as folder, emulator.emulator(Path(folder)) as aws:
        dynamodb.renew_tables(aws.dynamodb())
        environment = {
            **aws.environment(),
            "VERSIONS_TABLE": dynamodb.VERSIONS,
            "INDEX_TABLE": dynamodb.INDEX,
            "CONSUMERS_TABLE": dynamodb.CONSUMERS,
            "POWERTOOLS_METRICS_NAMESPACE": "ServiceDiscovery",
            "POWERTOOLS_SERVICE_NAME": "registry-api",
            # As in Lambda with tracing switched on.
            "LAMBDA_TASK_ROOT": str(ROOT),
            "_X_AMZN_TRACE_ID": "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1",
            "PYTHONPATH": str(ROOT),
        }
        took_ms: dict[str, list[float]] = {what: [] for what in _PROGRAMS}
        for _ in range(_ROUNDS):
            for what, program in _PROGRAMS.items():
                took_ms[what].append(_run(program, environment))
    least = min(took_ms["import boto3, create a DynamoDB client"])
    rows = []
    for what, times in took_ms.items():
        is_promised = what == "import the handler, publish a version"
        ratio = min(times) / least
        rows.append(
            Row(
                what=what,
                values=[f"{median(times):.0f} ms", f"{min(times):.0f} ms", f"{ratio:.2f}"],
                limit=f"{_LIMIT:g}" if is_promised else "",
                holds=not is_promised or ratio <= _LIMIT,
            )
        )
    yield Table(
        title="A cold start of the API's function",
        columns=["median", "least", "least, of boto3's"],
        rows=rows,
        notes=f"Processor time of a fresh interpreter each, {_ROUNDS} times in turn.",
    )


def _run(program: str, environment: dict[str, str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-c", program + _END],
        env=environment,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime) * 1000
