"""The registry and its stream on moto: real operations, their stream records, and the index."""

import importlib
import itertools
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.dynamodb.models import dynamodb_backends

from registry_api.operations import Registry
from registry_api.values import Publication, WriteTerms
from registry_model.version import Version
from registry_tables import versions_layout as layout
from registry_tables.arn import Arn
from registry_tables.index_table import IndexWriter
from registry_tables.versions_table import VersionsTable
from stream_sync.rebuild import Rebuild
from stream_sync.recompute import Recompute
from testing import arns, tables

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ARN = arns.ARN
NOW = "2026-01-01T00:00:00Z"
# The terms of yanks and deletions with `force`.
FORCED = WriteTerms(passes_guard=True)
Index = dict[tuple[str, str], dict[str, Any]]
_numbers = itertools.count(1)


def lambda_context(remaining_s: int) -> Any:
    """Return the context that Lambda passes to a function."""
    return SimpleNamespace(
        function_name="f",
        memory_limit_in_mb=128,
        invoked_function_arn="arn:aws:lambda:eu-west-1:123456789012:function:f",
        aws_request_id="r",
        get_remaining_time_in_millis=lambda: remaining_s * 1000,
    )


def no_sleep(_seconds: float) -> None:
    """Do not wait."""


def no_limit() -> float:
    """Return a remaining time that is long enough for every test."""
    return 1_000.0


def registry_on(client: Any) -> Registry:
    """Return the real operations on the versions table."""
    store = VersionsTable(client, tables.VERSIONS)
    return Registry(store, now=lambda: NOW, sleep=no_sleep, random=lambda: 0.0)


def publish(client: Any, version: str, **members: Any) -> None:
    """Publish a version of `users`, through the real operations."""
    wanted: dict[str, Any] = {"name": "users", "arn": Arn.parse(ARN), "metadata": {}}
    publication = Publication(version=Version.parse(version), **(wanted | members))
    registry_on(client).publish(publication, "somebody")


def recompute_on(client: Any, *, copies: int = 1) -> Recompute:
    """Return a recompute on both tables."""
    versions = VersionsTable(client, tables.VERSIONS)
    return Recompute(
        versions=versions,
        index=IndexWriter(client, tables.INDEX, versions=versions, copies=copies),
        now=lambda: NOW,
        sleep=no_sleep,
        random=lambda: 0.0,
    )


def rebuild_with(
    recompute: Recompute,
    *,
    clock: Callable[[], float] = lambda: 0.0,
    sleep: Callable[[float], None] = no_sleep,
) -> Rebuild:
    """Return the rebuild of a recompute's tables."""
    return Rebuild(
        recompute=recompute,
        versions=recompute.versions,
        index=recompute.index,
        clock=clock,
        sleep=sleep,
    )


def handler_on(client: Any, *, copies: int = 1) -> Any:
    """Return the stream's handler on both tables."""
    # Imported here: the module reads environment variables, which a test sets first.
    handler = importlib.import_module("stream_sync.handler").StreamHandler
    recompute = recompute_on(client, copies=copies)
    return handler(recompute, rebuild_with(recompute), lambda: 0.0)


def record_of(item: dict[str, Any]) -> dict[str, Any]:
    """Return the stream record of an inserted item, as DynamoDB writes it."""
    return {
        "eventName": "INSERT",
        "dynamodb": {
            "Keys": {"service": item["service"], "entry": item["entry"]},
            "NewImage": item,
            "SequenceNumber": str(next(_numbers)),
            "ApproximateCreationDateTime": 1_700_000_000.0,
        },
    }


def records_of(client: "DynamoDBClient", service: str = "users") -> list[dict[str, Any]]:
    """Return a stream record for each history entry of a service."""
    items = client.query(
        TableName=tables.VERSIONS,
        KeyConditionExpression="service = :s AND begins_with(entry, :e)",
        ExpressionAttributeValues={":s": {"S": service}, ":e": {"S": layout.HISTORY_PREFIX}},
    )["Items"]
    return [record_of(dict(item)) for item in items]


def items_of(client: "DynamoDBClient", table: str) -> list[dict[str, Any]]:
    """Read a whole table directly from moto's memory: tests do it often, so it has to be fast."""
    found = dynamodb_backends[DEFAULT_ACCOUNT_ID][client.meta.region_name].get_table(table)
    return [item.to_json()["Attributes"] for item in found.all_items()]


def index_of(client: "DynamoDBClient") -> Index:
    """Return the whole index, without the attributes `revision` and `updated_at`."""
    return index_by(items_of(client, tables.INDEX))


def index_by(items: list[dict[str, Any]]) -> Index:
    """Return index items by key, without the attributes `revision` and `updated_at`."""
    return {
        (item["service"]["S"], item["selector"]["S"]): {
            name: value
            for name, value in item.items()
            if name not in {"service", "selector", "revision", "updated_at"}
        }
        for item in items
    }


def selectors_of(client: "DynamoDBClient") -> dict[str, str]:
    """Return the version that each selector of the index resolves to."""
    return {selector: item["version"]["S"] for (_, selector), item in index_of(client).items()}


def expected_index(client: "DynamoDBClient", *, copies: int = 1) -> Index:
    """Return the correct index, computed in a simple way from all versions."""
    return expected_index_of(items_of(client, tables.VERSIONS), copies=copies)


def expected_index_of(items: list[dict[str, Any]], *, copies: int = 1) -> Index:
    """Return the correct index for these items of the versions table."""
    services = [item for item in items if item["entry"]["S"] == layout.SERVICE_ENTRY]
    found: Index = {}
    for service in services:
        name = service["service"]["S"]
        versions = {
            item["version"]["S"]: item
            for item in items
            if item["service"]["S"] == name and item["entry"]["S"].startswith("v#")
        }
        chosen = _chosen(versions)
        for channel, version in service["channels"]["M"].items():
            chosen["latest" if channel == "latest" else "@" + channel] = version["S"]
        for selector, version in chosen.items():
            answer = {
                key: value
                for key, value in versions[version].items()
                if key in {"version", "arn", "status", "reason", "metadata"}
            }
            for copy in range(copies):
                partition = f"#{copy}#{name}" if copy else name
                count = {"copies": {"N": str(copies)}} if copies > 1 else {}
                found[(partition, selector)] = answer | count
    return found


def _chosen(versions: dict[str, dict[str, Any]]) -> dict[str, str]:
    chosen = {text: text for text in versions}
    active = [
        Version.parse(text)
        for text, item in versions.items()
        if item["status"]["S"] == "active" and "-" not in text
    ]
    for version in sorted(active):
        series = ("latest", f"{version.major}.x", f"{version.major}.{version.minor}.x")
        chosen |= dict.fromkeys(series, str(version))
    return chosen


class WatchedClient:
    """A DynamoDB client that calls a function before each call."""

    def __init__(self, client: Any, before: Callable[[str, dict[str, Any]], object]) -> None:
        """Set the client, and the function, which gets each call's name and arguments."""
        self._client = client
        self._before = before

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(**arguments: Any) -> Any:
            self._before(name, arguments)
            return getattr(self._client, name)(**arguments)

        return call


def put_all(client: "DynamoDBClient", table: str, items: Iterable[dict[str, Any]]) -> None:
    """Write items unchanged."""
    for item in items:
        client.put_item(TableName=table, Item=item)


def remove_all(client: "DynamoDBClient", table: str, *key: str) -> None:
    """Empty a table."""
    for item in items_of(client, table):
        client.delete_item(TableName=table, Key={name: item[name] for name in key})
