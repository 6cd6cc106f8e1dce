"""Many writers and faulty pumps on DynamoDB Local, and the state of the registry afterwards."""

import contextlib
import importlib
import io
import json
import multiprocessing
import os
from collections import Counter
from dataclasses import dataclass
from random import Random
from typing import Any

from registry_tables import versions_layout as layout
from testing import tables
from testing.aws import ENVIRONMENT
from testing.dynamodb_local import Database
from testing.stream_pump import PumpResult, StreamPump
from testing.stream_world import ARN, expected_index_of, index_by, lambda_context

_SERVICES = tuple(f"service-{number}" for number in range(12))
_CHANNELS = ("latest", "beta", "canary")
_PUMPS = 2
# How long the pumps may work after the last write.
_PUMPS_END_WITHIN_S = 1_800.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineRun:
    """The result of a run.

    Attributes:
        statuses: The number of responses with each status.
        changes: How many changes the history has.
        records: How many records the stream had.
        deaths: How many workers were killed between two calls.
        repeats: How many records were delivered again.
        differences: How many index items are wrong.
        lost: How many successful changes are not in the history exactly once.
    """

    statuses: dict[int, int]
    changes: int
    records: int
    deaths: int
    repeats: int
    differences: int
    lost: int


def run(database: Database, *, operations: int, writers: int, seed: int) -> EngineRun:
    """Let writers send requests to the API while two pumps update the index."""
    create_tables(database)
    context = multiprocessing.get_context("spawn")
    may_end, pumped = context.Event(), context.SimpleQueue()
    address = database.url, database.access_key
    pumps = [
        context.Process(target=_pump, args=(*address, number, seed, may_end, pumped), daemon=True)
        for number in range(_PUMPS)
    ]
    for pump in pumps:
        pump.start()
    work = [(*address, seed * 1_000 + number, operations // writers) for number in range(writers)]
    with context.Pool(writers) as pool:
        results = pool.starmap(_write, work)
    may_end.set()
    for pump in pumps:
        pump.join(_PUMPS_END_WITHIN_S)
        if pump.exitcode != 0:
            message = f"a pump ended with {pump.exitcode} (None: it is still running)"
            raise RuntimeError(message)
    pump_results: list[PumpResult] = [pumped.get() for _ in pumps]
    statuses: Counter[int] = Counter()
    made: Counter[tuple[str, str]] = Counter()
    for its_statuses, its_changes in results:
        statuses.update(its_statuses)
        made.update(its_changes)
    items = scan(database, tables.VERSIONS)
    found, wanted = index_by(scan(database, tables.INDEX)), expected_index_of(items)
    return EngineRun(
        statuses=dict(statuses),
        changes=sum(layout.ACTION in item for item in items),
        records=sum(each.records for each in pump_results),
        deaths=sum(each.deaths for each in pump_results),
        repeats=sum(each.repeats for each in pump_results),
        differences=sum(found.get(key) != wanted.get(key) for key in found.keys() | wanted.keys()),
        lost=_count_lost(items, made),
    )


def _pump(url: str, access_key: str, number: int, seed: int, may_end: Any, pumped: Any) -> None:
    """Pump in a process of its own, since the function's metrics are global to a process."""
    _set_environment(url, access_key)
    pump = StreamPump(Database(url, access_key), number=number, pumps=_PUMPS, seed=seed)
    with contextlib.redirect_stdout(io.StringIO()):
        result = pump.run(may_end.is_set)
    pumped.put(result)


def _set_environment(url: str, access_key: str) -> None:
    """Set the environment that the functions read, before they are imported."""
    os.environ.update(ENVIRONMENT)
    os.environ.update(
        {
            "AWS_ENDPOINT_URL_DYNAMODB": url,
            "AWS_ACCESS_KEY_ID": access_key,
            "AWS_SECRET_ACCESS_KEY": "local",
            "POWERTOOLS_TRACE_DISABLED": "true",
            "POWERTOOLS_LOG_LEVEL": "CRITICAL",
        }
    )
    os.environ.pop("AWS_SESSION_TOKEN", None)


def create_tables(database: Database) -> None:
    """Create both tables, the versions table with its stream."""
    client = database.client()
    client.create_table(
        TableName=tables.VERSIONS,
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
        **tables.table_properties("VersionsTable"),
    )
    client.create_table(TableName=tables.INDEX, **tables.table_properties("IndexTable"))


def scan(database: Database, table: str) -> list[dict[str, Any]]:
    """Read a whole table."""
    pages = database.client().get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
    return [item for page in pages for item in page["Items"]]


def _count_lost(items: list[dict[str, Any]], made: Counter[tuple[str, str]]) -> int:
    """Count changes that are not in the history once, and services whose revisions have gaps."""
    events = [layout.event_from_item(item) for item in items if layout.ACTION in item]
    recorded = Counter((event.by, str(event.action)) for event in events)
    missing = sum((made - recorded).values())
    extra = sum(
        count - made[key] for key, count in recorded.items() if key[1] in _CERTAIN and key in made
    )
    for item in items:
        if item[layout.ENTRY]["S"] == layout.SERVICE_ENTRY:
            service = layout.service_from_item(item)
            revisions = sorted(each.revision for each in events if each.name == service.name)
            missing += revisions != list(range(1, service.revision + 1))
    return missing + extra


# Actions whose success always means a change.
_CERTAIN = frozenset({"publish", "delete", "delete-channel"})


def _write(
    url: str, access_key: str, seed: int, count: int
) -> tuple[Counter[int], Counter[tuple[str, str]]]:
    """Send requests in a process of its own; return the statuses, and the changes made."""
    _set_environment(url, access_key)
    handler = importlib.import_module("registry_api.handler").handler
    random, by = Random(seed), f"arn:aws:iam::123456789012:role/writer-{seed}"
    statuses: Counter[int] = Counter()
    made: Counter[tuple[str, str]] = Counter()
    for _ in range(count):
        kind, method, path, body = _operation(random)
        with contextlib.redirect_stdout(io.StringIO()):
            response = handler(_event(method, path, body, by), lambda_context(28))
        status = response["statusCode"]
        statuses[status] += 1
        if (kind, status) in {("publish", 201), ("delete", 204), ("delete-channel", 204)}:
            made[by, kind] += 1
    return statuses, made


def _operation(random: Random) -> tuple[str, str, str, dict[str, str] | None]:
    """Choose a random operation, which may be refused or conflict with the other writers' ones."""
    service = f"/services/{random.choice(_SERVICES)}"
    version = f"{random.randint(1, 3)}.{random.randint(0, 3)}.{random.randint(0, 4)}"
    version += random.choice(("", "", "", "-rc.1"))
    channel = random.choice(_CHANNELS)
    force = random.choice(("", "?force=true"))
    kind = random.choices(
        ("publish", "yank", "activate", "delete", "set-channel", "delete-channel", "read"),
        (40, 12, 8, 14, 12, 6, 8),
    )[0]
    arn = f"{ARN[:-2]}{random.randint(1, 2)}"
    of_version, of_channel = f"{service}/versions/{version}", f"{service}/channels/{channel}"
    reads = ("/services", service, f"{service}/versions", f"{service}/history")
    requests: dict[str, tuple[str, str, dict[str, str] | None]] = {
        "publish": ("PUT", of_version, {"arn": arn}),
        "yank": ("PATCH", of_version + force, {"status": "yanked", "reason": arn}),
        "activate": ("PATCH", of_version, {"status": "active"}),
        "delete": ("DELETE", of_version + force, None),
        "set-channel": ("PUT", of_channel, {"version": version}),
        "delete-channel": ("DELETE", of_channel, None),
        "read": ("GET", random.choice(reads), None),
    }
    return kind, *requests[kind]


def _event(method: str, path: str, body: dict[str, str] | None, by: str) -> dict[str, Any]:
    """Return API Gateway's event of a request."""
    path, _, query = path.partition("?")
    parameters = dict([query.split("=")]) if query else None
    return {
        "resource": "/{proxy+}",
        "path": path,
        "httpMethod": method,
        "headers": {"Content-Type": "application/json"},
        "multiValueHeaders": {"Content-Type": ["application/json"]},
        "queryStringParameters": parameters,
        "multiValueQueryStringParameters": parameters and {k: [v] for k, v in parameters.items()},
        "pathParameters": {"proxy": path[1:]},
        "stageVariables": None,
        "requestContext": {
            "path": "/v1" + path,
            "stage": "v1",
            "requestId": "request",
            "identity": {"userArn": by},
        },
        "body": None if body is None else json.dumps(body),
        "isBase64Encoded": False,
    }
