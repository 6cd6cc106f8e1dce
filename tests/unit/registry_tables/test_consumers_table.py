"""The consumers table on moto's DynamoDB."""

from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from registry_tables.consumers_layout import Consumer, Source
from registry_tables.consumers_table import ConsumersTable, DeclaredError
from registry_tables.errors import RaceLostError, ThrottledError
from testing import tables
from testing.killing import KilledError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

MANY = ",".join(f"service-{number}==1.x" for number in range(250))


class Clock:
    """A clock that moves only when a test sets it."""

    def __init__(self) -> None:
        self.now_s = 1_700_000_000.0
        self.waited_s = 0.0

    def sleep(self, seconds: float) -> None:
        """Count the time instead of waiting."""
        self.waited_s += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def table(dynamodb: "DynamoDBClient", clock: Clock) -> ConsumersTable:
    return _table(dynamodb, clock)


def _table(client: Any, clock: Clock) -> ConsumersTable:
    return ConsumersTable(
        client,
        tables.CONSUMERS,
        now_s=lambda: clock.now_s,
        timestamp=lambda: "2026-01-01T00:00:00Z",
        sleep=clock.sleep,
        random=lambda: 0.5,
    )


class Intercepted:
    """A DynamoDB client that runs a function before the calls of one operation."""

    def __init__(self, client: Any, operation: str, intercept: Any) -> None:
        self._client = client
        self._operation = operation
        self._intercept = intercept

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._client, name)
        if name != self._operation:
            return call

        def intercepted(**arguments: Any) -> Any:
            self._intercept()
            return call(**arguments)

        return intercepted


def _declare(table: ConsumersTable, needed: str, name: str = "orders") -> Consumer:
    return table.declare(name, needed, arn=None, owner=None)


def _needs(table: ConsumersTable, service: str) -> list[str]:
    needs = list(table.needs_of_service(service))
    return sorted(f"{need.consumer} {need}" for need in table.valid_needs(needs))


def _items(client: "DynamoDBClient") -> int:
    return client.scan(TableName=tables.CONSUMERS, Select="COUNT")["Count"]


def test_declared_consumer_is_read_with_its_needs(table: ConsumersTable) -> None:
    declared = table.declare("orders", "users==1.x,old:users", arn="arn:aws:x:::y", owner="a-team")

    assert table.get("orders") == declared
    assert declared.source is Source.DECLARED
    assert _needs(table, "users") == ["orders old:users", "orders users==1.x"]


def test_another_declaration_replaces_the_needs_whole(
    table: ConsumersTable, dynamodb: "DynamoDBClient"
) -> None:
    _declare(table, MANY)
    _declare(table, "users==1.x")

    assert _needs(table, "service-7") == []
    assert _needs(table, "users") == ["orders users==1.x"]
    assert _items(dynamodb) == 2


@pytest.mark.parametrize("operation", ["batch_write_item", "put_item"])
def test_declaration_that_is_killed_before_its_head_changes_nothing(
    table: ConsumersTable, dynamodb: "DynamoDBClient", clock: Clock, operation: str
) -> None:
    _declare(table, "users==1.x")

    def kill() -> None:
        raise KilledError

    with pytest.raises(KilledError):
        _declare(_table(Intercepted(dynamodb, operation, kill), clock), f"{MANY},users==2.x")

    assert _needs(table, "users") == ["orders users==1.x"]
    assert _needs(table, "service-7") == []


def test_declaration_that_is_killed_after_its_head_is_whole(
    table: ConsumersTable, dynamodb: "DynamoDBClient", clock: Clock
) -> None:
    """Readers ignore the rest of the replaced one, and the next declaration removes it."""
    _declare(table, "users==1.x,billing")

    def kill() -> None:
        raise KilledError

    with pytest.raises(KilledError):
        _declare(_table(Intercepted(dynamodb, "query", kill), clock), "users==2.x")

    assert _needs(table, "users") == ["orders users==2.x"]
    assert _needs(table, "billing") == []
    _declare(table, "users==3.x")
    assert _items(dynamodb) == 2


def test_two_pipelines_at_once_leave_the_needs_of_one(
    table: ConsumersTable, dynamodb: "DynamoDBClient", clock: Clock
) -> None:
    """The second one finds that the head has changed, and replaces the first one's needs."""
    _declare(table, "users==1.x")
    rivals = iter(["users==2.x,billing"])

    def declare_first() -> None:
        for needed in rivals:
            _declare(table, needed)

    _declare(_table(Intercepted(dynamodb, "put_item", declare_first), clock), "users==3.x")

    assert _needs(table, "users") == ["orders users==3.x"]
    assert _needs(table, "billing") == []
    assert clock.waited_s > 0


def test_declaration_gives_up_if_others_keep_coming_first(
    table: ConsumersTable, dynamodb: "DynamoDBClient", clock: Clock
) -> None:
    def declare_first() -> None:
        _declare(table, "users==2.x")

    with pytest.raises(RaceLostError):
        _declare(_table(Intercepted(dynamodb, "put_item", declare_first), clock), "users==3.x")


def test_forgotten_consumer_is_gone_with_its_needs(
    table: ConsumersTable, dynamodb: "DynamoDBClient"
) -> None:
    table.forget(_declare(table, MANY))

    assert table.get("orders") is None
    assert _items(dynamodb) == 0


def test_consumer_that_was_declared_anew_is_not_forgotten(table: ConsumersTable) -> None:
    read = _declare(table, "users==1.x")
    again = _declare(table, "users==2.x")

    table.forget(read)

    assert table.get("orders") == again
    assert _needs(table, "users") == ["orders users==2.x"]


def test_scan_does_not_change_a_declared_consumer(table: ConsumersTable) -> None:
    declared = _declare(table, "users==1.x")

    with pytest.raises(DeclaredError):
        table.record_scanned("orders", "users==2.x", "arn:aws:x:::y")

    assert table.get("orders") == declared


def test_scan_writes_needs_only_if_they_have_changed(
    table: ConsumersTable, dynamodb: "DynamoDBClient", clock: Clock
) -> None:
    def refuse() -> None:
        message = "no need was to be written"
        raise AssertionError(message)

    first = table.record_scanned("orders", "users==1.x", "arn:aws:x:::y")
    watched = _table(Intercepted(dynamodb, "batch_write_item", refuse), clock)
    again = watched.record_scanned("orders", "users==1.x", "arn:aws:x:::y")
    changed = table.record_scanned("orders", "users==2.x", "arn:aws:x:::y")

    assert (first, again, changed) == (True, False, True)
    assert _needs(table, "users") == ["orders users==2.x"]


def test_declaration_replaces_what_a_scan_has_found(table: ConsumersTable) -> None:
    table.record_scanned("orders", "users==1.x", "arn:aws:x:::y")

    declared = _declare(table, "users==2.x")

    assert table.get("orders") == declared
    assert _needs(table, "users") == ["orders users==2.x"]


def test_consumers_are_listed_by_name_page_by_page(table: ConsumersTable) -> None:
    for name in ("b2", "a", "b1", "b3", "c"):
        _declare(table, "users", name)

    first = table.page("b", limit=2, after=None)
    rest = table.page("b", limit=2, after=first.last)

    assert [each.name for each in first.items] == ["b1", "b2"]
    assert [each.name for each in rest.items] == ["b3"]
    assert rest.last is None


def test_needs_of_a_service_are_listed_page_by_page(table: ConsumersTable) -> None:
    for name in ("b", "a", "c"):
        _declare(table, "users==1.x,old:users,billing", name)

    seen, after = [], None
    while True:
        page = table.needs_page("users", limit=2, after=after)
        seen += [(consumer.name, need.key) for consumer, need in page.items]
        after = page.last
        if after is None:
            break

    assert seen == [(name, key) for name in "abc" for key in ("old", "users")]


def test_needs_of_many_consumers_are_all_found(table: ConsumersTable) -> None:
    for number in range(130):
        _declare(table, "users==1.x", f"orders-{number}")

    assert len(_needs(table, "users")) == 130


def test_items_that_dynamodb_leaves_unprocessed_are_written_again(
    dynamodb: "DynamoDBClient", clock: Clock
) -> None:
    class ReluctantConsumersTable(Intercepted):
        """A table that writes one item of each batch."""

        def __getattr__(self, name: str) -> Any:
            call = getattr(dynamodb, name)
            if name != "batch_write_item":
                return call

            def reluctant(RequestItems: dict[str, list[Any]]) -> Any:  # noqa: N803  # boto3's
                requests = RequestItems[tables.CONSUMERS]
                call(RequestItems={tables.CONSUMERS: requests[:1]})
                rest = requests[1:]
                return {"UnprocessedItems": {tables.CONSUMERS: rest} if rest else {}}

            return reluctant

    table = _table(ReluctantConsumersTable(dynamodb, "", None), clock)

    _declare(table, "a,b,c,users")

    assert _needs(table, "users") == ["orders users"]


def test_table_that_writes_no_item_is_throttled(dynamodb: "DynamoDBClient", clock: Clock) -> None:
    class FullConsumersTable(Intercepted):
        """A table that writes nothing."""

        def __getattr__(self, name: str) -> Any:
            if name != "batch_write_item":
                return getattr(dynamodb, name)
            return lambda RequestItems: {"UnprocessedItems": RequestItems}  # noqa: N803  # boto3's

    with pytest.raises(ThrottledError):
        _declare(_table(FullConsumersTable(dynamodb, "", None), clock), "users")


def test_error_that_means_a_bug_passes_unchanged(dynamodb: "DynamoDBClient", clock: Clock) -> None:
    table = _table(dynamodb, clock)

    with pytest.raises(ClientError):
        table.needs_page("", limit=2, after=None)
