"""The cost of a dry run for any number of consumers, on AWS's DynamoDB Local."""

import math
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.meter import Usage, metered
from bench.report import Row, Table
from registry_api.impact import Impact
from registry_api.operations import Registry
from registry_api.values import Publication
from registry_model.needs import parse_needs
from registry_model.version import Version
from registry_tables import consumers_layout as layout
from registry_tables.arn import Arn
from registry_tables.calls import CLIENT_CONFIG
from registry_tables.consumers_layout import Consumer, ConsumerNeed, Source
from registry_tables.consumers_table import READ_THREADS, ConsumersTable
from registry_tables.versions_table import VersionsTable
from testing import tables as dynamodb
from testing.arns import ARN
from testing.dynamodb_local import DynamoDbLocal, dynamodb_local

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_AT = "2026-11-23T08:00:00Z"
_BY = "arn:aws:sts::123456789012:assumed-role/deploy/pipeline"
_BATCH = 25
_LIMIT_S = 1.5
# The assumed duration of a call to DynamoDB, for a hundred items or for a page of a query.
_CALL_S = 0.02
_ROUNDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """A number of consumers of the service, and of other services."""

    consumers: int
    others: int = 0

    def __str__(self) -> str:
        others = f" beside {self.others:,} of other services" if self.others else ""
        return f"{self.consumers:,} consumers{others}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cost:
    """The costs of a dry run and of a publish.

    Attributes:
        wall_s: The time of a dry run, the fastest of some.
        cpu_s: The processor time that this process used for it.
        dry_run: DynamoDB's calls and units of a dry run.
        publish: DynamoDB's calls and units of a publish.
        listed: How many consumers the dry run found.
    """

    wall_s: float
    cpu_s: float
    dry_run: Usage
    publish: Usage
    listed: int


_CASES = (
    _Case(consumers=0),
    _Case(consumers=10),
    _Case(consumers=10, others=10_000),
    _Case(consumers=1_000),
    _Case(consumers=10_000),
)


def tables() -> Iterable[Table]:
    """Measure a dry run of a publish that moves the need of every consumer."""
    with tempfile.TemporaryDirectory() as folder, dynamodb_local(Path(folder)) as engine:
        costs = {case: _cost(engine, case) for case in _CASES}
    nobody = costs[_CASES[0]]
    rows = []
    for case, cost in costs.items():
        without_others = costs[_Case(consumers=case.consumers)]
        on_lambda_s = cost.cpu_s + _waits(cost.dry_run) * _CALL_S
        rows.append(
            Row(
                what=str(case),
                values=[
                    f"{on_lambda_s:.2f}",
                    f"{cost.cpu_s:.3f}",
                    f"{cost.wall_s:.2f}",
                    f"{sum(cost.dry_run.calls.values())}",
                    f"{cost.dry_run.read_units:,.0f}",
                    f"{sum(cost.publish.calls.values())}",
                ],
                limit=f"{_LIMIT_S} s",
                holds=on_lambda_s <= _LIMIT_S
                and cost.listed == case.consumers
                and cost.dry_run == without_others.dry_run
                and cost.dry_run.items <= nobody.dry_run.items + 2 * case.consumers
                and cost.publish == nobody.publish,
            )
        )
    yield Table(
        title="A dry run that moves every consumer of a service, and a publish",
        columns=[
            "seconds in the function",
            "of the processor, here",
            "seconds here",
            "calls",
            "read units",
            "calls of a publish",
        ],
        rows=rows,
        notes="In the function, which has one whole processor: the processor's time, and "
        f"{_CALL_S * 1000:g} ms for each call that waits for the one before. Here: with DynamoDB "
        "Local on the same processors. Also checked: reads in proportion to the service's own "
        "consumers, and a publish that makes the same calls as without any.",
    )


def _cost(engine: DynamoDbLocal, case: _Case) -> _Cost:
    client = engine.database().client(CLIENT_CONFIG)
    dynamodb.renew_tables(client)
    consumers = ConsumersTable(
        client,
        dynamodb.CONSUMERS,
        now_s=time.time,
        timestamp=lambda: _AT,
        sleep=time.sleep,
        random=lambda: 0.5,
    )
    registry = Registry(
        VersionsTable(client, dynamodb.VERSIONS),
        now=lambda: _AT,
        sleep=time.sleep,
        random=lambda: 0.5,
        consumers=consumers,
    )
    registry.publish(_publication("1.4.2"), _BY)
    _record(client, case)

    def dry_run() -> Impact:
        return registry.dry_run(lambda to: to.publish(_publication("1.5.0"), _BY))

    measured = [_timed(dry_run) for _ in range(_ROUNDS)]
    with metered(client) as dry_run_usage:
        impact = dry_run()
    with metered(client) as publish_usage:
        registry.publish(_publication("1.5.0"), _BY)
    return _Cost(
        wall_s=min(wall for wall, _ in measured),
        cpu_s=min(cpu for _, cpu in measured),
        dry_run=dry_run_usage,
        publish=publish_usage,
        listed=len(impact.consumers),
    )


def _waits(usage: Usage) -> int:
    """Return how many calls follow one another: consumers' heads are read several at a time."""
    heads = usage.calls["BatchGetItem"]
    return sum(usage.calls.values()) - heads + math.ceil(heads / READ_THREADS)


def _timed(call: Callable[[], object]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - wall, time.process_time() - cpu


def _publication(version: str) -> Publication:
    return Publication(
        name="users", version=Version.parse(version), arn=Arn.parse(ARN), metadata={}
    )


def _record(client: "DynamoDBClient", case: _Case) -> None:
    """Write the items of consumers, as their declarations leave them."""
    items: list[dict[str, object]] = []
    for number in range(case.consumers):
        items += _items(f"123456789012:eu-west-1:orders-{number:05d}", "users==1.x,billing")
    for number in range(case.others):
        items += _items(f"123456789012:eu-west-1:other-{number:05d}", "billing==1.x")
    for start in range(0, len(items), _BATCH):
        requests = [{"PutRequest": {"Item": item}} for item in items[start : start + _BATCH]]
        client.batch_write_item(RequestItems={dynamodb.CONSUMERS: requests})  # type: ignore[dict-item]  # plain dictionaries


def _items(name: str, needed: str) -> Iterator[dict[str, object]]:
    generation = layout.new_generation(1_000, None, 0.5)
    consumer = Consumer(
        name=name,
        needed=needed,
        source=Source.DECLARED,
        seen_at=_AT,
        generation=generation,
        arn=f"arn:aws:lambda:eu-west-1:123456789012:function:{name.rpartition(':')[2]}",
        owner="team-orders",
    )
    yield layout.consumer_to_item(consumer)
    for need in parse_needs(needed):
        yield layout.need_to_item(ConsumerNeed(consumer=name, generation=generation, need=need))
