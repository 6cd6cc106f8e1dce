"""The cost of the API's operations in DynamoDB, for any number of versions of a service."""

from collections.abc import Callable, Iterable

from bench import services
from bench.meter import Usage, metered
from bench.report import Row, Table
from registry_api.operations import Registry
from registry_api.values import Publication, WriteTerms
from registry_model.version import Version
from registry_tables.versions_table import VersionsTable
from testing import tables as dynamodb

_SIZES = (10, 100_000)
_PAGE = 5
# The version that is yanked and deleted is the only one of its major series.
_FORCED = WriteTerms(passes_guard=True)
_Operation = Callable[[Registry], object]


def _publication(version: Version) -> Publication:
    return Publication(name="users", version=version, arn=services.arn(0), metadata={})


def _operations(size: int) -> dict[str, _Operation]:
    """Yield operations by name, in order: each one starts from the result of the one before."""
    new = Version(size, 0, 0)
    return {
        "publish": lambda to: to.publish(_publication(new), services.BY),
        "publish the same again": lambda to: to.publish(_publication(new), services.BY),
        "look at the service": lambda to: to.service("users"),
        "list the services": lambda to: to.services("", limit=_PAGE, after=None),
        f"list {_PAGE} versions": lambda to: to.versions("users", limit=_PAGE, after=None),
        f"list {_PAGE} changes": lambda to: to.history("users", limit=_PAGE, before=None),
        "look at a version": lambda to: to.version("users", services.version(0)),
        "yank the latest": lambda to: to.yank("users", new, None, services.BY, _FORCED),
        "activate it": lambda to: to.activate("users", new, services.BY),
        "pin the latest": lambda to: to.set_channel(
            "users", "latest", services.version(0), services.BY
        ),
        "unpin it": lambda to: to.delete_channel("users", "latest", services.BY),
        "delete the latest": lambda to: to.delete("users", new, services.BY, _FORCED),
    }


def tables() -> Iterable[Table]:
    """Count the calls and units of each operation, and compare with the smallest service."""
    usages = {size: _usages(size) for size in _SIZES}
    rows = []
    for operation, least in usages[_SIZES[0]].items():
        seen = [usages[size][operation] for size in _SIZES]
        rows.append(
            Row(
                what=operation,
                values=[_cell(usage) for usage in seen],
                limit="the same",
                holds=all(_cost(usage) == _cost(least) for usage in seen),
            )
        )
    yield Table(
        title="The API's cost in DynamoDB, by the number of a service's versions",
        columns=[f"{size:,}" for size in _SIZES],
        rows=rows,
        notes="Of ten versions, one is stable and active, three are yanked and six pre-releases. "
        "r: read units, w: write units.",
    )


def _usages(size: int) -> dict[str, Usage]:
    found = {}
    with services.registry(size) as client:
        registry = Registry(
            VersionsTable(client, dynamodb.VERSIONS),
            now=lambda: services.AT,
            sleep=lambda _: None,
            random=lambda: 0,
        )
        for name, operation in _operations(size).items():
            with metered(client) as usage:
                operation(registry)
            found[name] = usage
    return found


def _cost(usage: Usage) -> tuple[object, ...]:
    return dict(usage.calls), usage.read_units, usage.write_units


def _cell(usage: Usage) -> str:
    calls = sum(usage.calls.values())
    writes = f", {usage.write_units:g} w" if usage.write_units else ""
    return f"{calls} call{'s' if calls > 1 else ''}: {usage.read_units:g} r{writes}"
