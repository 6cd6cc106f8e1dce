"""The index's cost in DynamoDB, by the content of a batch and the size of the service."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bench import services
from bench.meter import Usage, metered
from bench.report import Row, Table
from registry_api.operations import Registry
from registry_api.values import Publication
from registry_model.version import Version
from registry_tables import versions_layout as layout
from registry_tables.records import Action as History
from registry_tables.records import HistoryEvent, ServiceRecord, Status, VersionRecord
from stream_sync import stream_records
from stream_sync.payloads import RebuildAction, RebuildRequest
from stream_sync.projection import affected_by
from testing import tables as dynamodb
from testing.aws import aws
from testing.stream_world import (
    FORCED,
    no_limit,
    publish,
    put_all,
    rebuild_with,
    recompute_on,
    record_of,
    records_of,
    registry_on,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_MANY = 1_000
_BATCH = 100
_SIZES = (10, 100_000)
# The event's version and the service; the highest version of all; the index's items; the write.
_CALLS = 4
# If the version is not the highest: look up two more series, and the records that they name.
_MOST_CALLS, _MOST_UNITS = 7, 20
_Records = list[dict[str, Any]]


def tables() -> Iterable[Table]:
    """Count what batches cost, what a change costs at any size, and what a rebuild costs."""
    yield _batches()
    yield _changes()
    yield _rebuilds()


def _process(client: "DynamoDBClient", records: _Records) -> Usage:
    """Process a batch like the stream's function: a recompute for each service in it."""
    changes = [stream_records.parse(record) for record in records]
    by_service: dict[str, list[stream_records.ChangeRecord]] = {}
    for change in changes:
        by_service.setdefault(change.service, []).append(change)
    recompute = recompute_on(client)
    with metered(client) as usage:
        for service, its in by_service.items():
            affected = affected_by(
                {each.version for each in its if each.version is not None},
                {each.channel for each in its if each.channel is not None},
                revision=max(each.revision for each in its),
            )
            recompute.run(service, affected, no_limit)
    return usage


def _row(what: str, usage: Usage, limit: str, *, holds: bool) -> Row:
    values = [f"{sum(usage.calls.values()):,}", f"{usage.read_units:,g}", f"{usage.write_units:,g}"]
    return Row(what=what, values=values, limit=limit, holds=holds)


def _batches() -> Table:
    rows = []
    with aws() as client:
        publish(client, "1.0.0")
        usage = _process(client, records_of(client) * _MANY)
        calls = sum(usage.calls.values())
        what = f"{_MANY:,} records on one service, of one version"
        rows.append(_row(what, usage, f"{_CALLS} calls", holds=calls <= _CALLS))
    with aws() as client:
        records = _published(client, "users", [Version(1, 0, number) for number in range(_MANY)])
        usage = _process(client, records)
        what = f"{_MANY:,} records on one service, of as many versions"
        answers = _MANY + 3
        limit = "4 read units an answer"
        rows.append(_row(what, usage, limit, holds=usage.read_units <= 4 * answers))
        usage = _process(client, records)
        what = "the same records again"
        rows.append(_row(what, usage, "no write", holds=usage.write_units == 0))
    usage = Usage()
    for batch in range(_MANY // _BATCH):
        with aws() as client:
            records = []
            for number in range(_BATCH):
                records += _published(client, f"service-{batch}-{number}", [Version(1, 0, 0)])
            _add(usage, _process(client, records))
    calls = sum(usage.calls.values())
    what = f"{_MANY:,} records on as many services"
    rows.append(_row(what, usage, f"{_CALLS} calls each", holds=calls <= _CALLS * _MANY))
    return Table(
        title="The index's cost in DynamoDB, by batch",
        columns=["calls", "read units", "write units"],
        rows=rows,
        notes="Lambda's batches have at most 100 records; a transaction reads 25 items.",
    )


def _published(client: "DynamoDBClient", name: str, versions: list[Version]) -> _Records:
    """Write a service as publishing these versions does; return the records in the stream."""
    service = ServiceRecord(
        name=name,
        revision=len(versions),
        highest=max(versions),
        created_at=services.AT,
        updated_at=services.AT,
    )
    items, events = [layout.service_to_item(service)], []
    for number, version in enumerate(versions):
        members: dict[str, Any] = {"name": name, "version": version, "revision": number + 1}
        record = VersionRecord(
            **members,
            arn=services.arn(number),
            status=Status.ACTIVE,
            published_at=services.AT,
            published_by=services.BY,
        )
        event = HistoryEvent(**members, at=services.AT, by=services.BY, action=History.PUBLISH)
        items.append(layout.version_to_item(record))
        events.append(layout.event_to_item(event))
    put_all(client, dynamodb.VERSIONS, items + events)
    return [record_of(event) for event in events]


def _add(usage: Usage, more: Usage) -> None:
    usage.calls += more.calls
    usage.read_units += more.read_units
    usage.write_units += more.write_units


def _operations(size: int) -> dict[str, Callable[[Registry], object]]:
    """Return changes by name, in order: each one starts from the result of the one before."""
    new, backport = Version(size, 0, 0), Version(0, 0, 7)

    def publication(version: Version) -> Publication:
        return Publication(name="users", version=version, arn=services.arn(0), metadata={})

    return {
        "publish the highest": lambda to: to.publish(publication(new), "p"),
        "publish a lower one": lambda to: to.publish(publication(backport), "p"),
        "yank the latest": lambda to: to.yank("users", new, None, "p", FORCED),
        "set a channel": lambda to: to.set_channel("users", "beta", backport, "p"),
    }


def _changes() -> Table:
    usages: dict[int, dict[str, Usage]] = {}
    for size in _SIZES:
        usages[size] = {}
        with services.registry(size) as client:
            for name, operation in _operations(size).items():
                operation(registry_on(client))
                usages[size][name] = _process(client, [_newest_record(client)])
    rows = []
    for name in usages[_SIZES[0]]:
        seen = [usages[size][name] for size in _SIZES]
        rows.append(
            Row(
                what=name,
                values=[_cell(usage) for usage in seen],
                limit=f"at most {_MOST_CALLS} calls and {_MOST_UNITS} r",
                holds=all(
                    sum(usage.calls.values()) <= _MOST_CALLS and usage.read_units <= _MOST_UNITS
                    for usage in seen
                ),
            )
        )
    return Table(
        title="The index's cost in DynamoDB, by the number of a service's versions",
        columns=[f"{size:,}" for size in _SIZES],
        rows=rows,
        notes="Of ten versions, one is stable and active, three are yanked and six pre-releases. "
        "r: read units, w: write units.",
    )


def _newest_record(client: "DynamoDBClient") -> dict[str, Any]:
    return records_of(client)[-1]


def _rebuilds() -> Table:
    rows = []
    with services.registry(_MANY) as client:
        for what, action in (
            ("rebuild a lost index", RebuildAction.REBUILD),
            ("verify it", RebuildAction.VERIFY),
            ("rebuild what is right", RebuildAction.REBUILD),
        ):
            with metered(client) as usage:
                _run(client, RebuildRequest(action=action))
            is_right = what != "rebuild a lost index"
            limit = "5 read units a version" + (", no write" if is_right else "")
            holds = usage.read_units <= 5 * _MANY and not (is_right and usage.write_units)
            rows.append(_row(what, usage, limit, holds=holds))
    return Table(
        title=f"A rebuild's cost in DynamoDB, for {_MANY:,} versions of one service",
        columns=["calls", "read units", "write units"],
        rows=rows,
    )


def _run(client: "DynamoDBClient", request: RebuildRequest) -> None:
    rebuild = rebuild_with(recompute_on(client))
    while True:
        checkpoint = rebuild.run(request, no_limit).checkpoint
        if checkpoint is None:
            return
        request = replace(request, checkpoint=checkpoint)


def _cell(usage: Usage) -> str:
    calls = sum(usage.calls.values())
    return f"{calls} calls: {usage.read_units:g} r, {usage.write_units:g} w"
