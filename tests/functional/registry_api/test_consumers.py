"""Consumers: declared, read, removed, and their effect on guard and dry run."""

import random
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from bench.meter import Usage, metered
from registry_tables.consumers_table import ConsumersTable
from registry_tables.versions_table import VersionsTable
from testing import tables
from testing.stream_world import no_sleep
from tests.functional.registry_api.gateway import Call, Publish, arn_of
from tests.unit.registry_api import valid
from tests.unit.registry_api.memory_store import registry_on

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ORDERS = "/consumers/orders"
FUNCTION = "/consumers/123456789012:eu-west-1:orders"


@pytest.fixture
def declare(call: Call) -> Callable[..., None]:
    """Declare a consumer."""

    def _declare(needed: str, consumer: str = "orders", **members: Any) -> None:
        response = call("PUT", f"/consumers/{consumer}", {"needed": needed, **members})
        assert response.status == 200, response

    return _declare


def test_response_to_a_declaration_has_what_the_needs_resolve_to(
    call: Call, publish: Publish, indexed: Callable[[], None]
) -> None:
    publish("1.4.2")
    indexed()

    response = call("PUT", ORDERS, {"needed": "users==1.x,billing"})

    assert response.status == 200
    assert response.document == call("POST", "/resolve", {"needed": "users==1.x,billing"}).document
    assert response.document["resolved"] is False
    assert response.document["services"]["users"]["version"] == "1.4.2"


def test_declared_consumer_is_read_with_all_that_was_declared(call: Call) -> None:
    arn = "arn:aws:lambda:eu-west-1:123456789012:function:orders"
    call("PUT", FUNCTION, {"needed": "users==1.x", "arn": arn, "owner": "team-orders"})

    response = call("GET", FUNCTION)

    assert response.status == 200
    assert response.document.pop("seen_at").endswith("Z")
    assert response.document == {
        "consumer": "123456789012:eu-west-1:orders",
        "needed": "users==1.x",
        "arn": arn,
        "owner": "team-orders",
        "source": "declared",
    }


def test_colon_in_a_path_may_be_encoded(call: Call, declare: Callable[..., None]) -> None:
    declare("users", "123456789012%3Aeu-west-1%3aorders")

    assert call("GET", FUNCTION).status == 200


def test_next_declaration_replaces_the_needs(call: Call, publish: Publish) -> None:
    publish("1.4.2")
    call("PUT", ORDERS, {"needed": "users==1.x"})
    call("PUT", ORDERS, {"needed": "billing"})

    assert call("GET", ORDERS).document["needed"] == "billing"
    assert call("GET", "/services/users/consumers").document["consumers"] == []


@pytest.mark.parametrize(
    ("document", "pointer"),
    [
        ({"needed": "users=1.2"}, "/needed"),
        ({"needed": ",".join(f"s{number}" for number in range(1_001))}, "/needed"),
        ({"needed": "users", "arn": "orders"}, "/arn"),
        ({"needed": "users", "owner": ""}, "/owner"),
        ({"needed": "users", "own": "team"}, "/own"),
        ({}, "/needed"),
    ],
)
def test_malformed_declaration_changes_nothing(
    call: Call, declare: Callable[..., None], document: dict[str, str], pointer: str
) -> None:
    declare("users")

    response = call("PUT", ORDERS, document)

    assert response.status == 422
    assert pointer in response.pointers()
    assert call("GET", ORDERS).document["needed"] == "users"


def test_every_fault_of_the_needs_is_named(call: Call) -> None:
    response = call("PUT", ORDERS, {"needed": "users=1.2,billing<2"})

    assert response.pointers() == ["/needed", "/needed"]


def test_thousand_needs_are_declared(call: Call, declare: Callable[..., None]) -> None:
    needed = ",".join(f"s{number}" for number in range(1_000))

    declare(needed)

    assert call("GET", ORDERS).document["needed"] == needed


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize("name", ["-orders", "a" * 257, "or ders", "or%20ders", "orders%0A"])
def test_malformed_name_is_not_found(call: Call, method: str, name: str) -> None:
    document = {"needed": "users"} if method == "PUT" else None

    assert call(method, f"/consumers/{name}", document).status == 404


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
@pytest.mark.parametrize("query", [{"dry_run": "true"}, {"force": "true"}, {"x": "1"}])
def test_writes_of_consumers_have_no_query_parameters(
    call: Call, declare: Callable[..., None], method: str, query: dict[str, str]
) -> None:
    """There is no dry run of them, so the parameter is refused instead of ignored."""
    declare("users")
    document = {"needed": "billing"} if method == "PUT" else None

    response = call(method, ORDERS, document, query=query)

    assert response.status == 422
    assert call("GET", ORDERS).document["needed"] == "users"


def test_removed_consumer_is_gone(
    call: Call, publish: Publish, declare: Callable[..., None]
) -> None:
    publish("1.4.2")
    declare("users==1.x")

    assert call("DELETE", ORDERS).status == 204
    assert call("GET", ORDERS).status == 404
    assert call("DELETE", ORDERS).status == 404
    assert call("GET", "/services/users/consumers").document["consumers"] == []


def test_consumers_are_listed_by_name_page_by_page(
    call: Call, declare: Callable[..., None]
) -> None:
    for name in ("b:2", "a", "b:1", "b:3"):
        declare("users", name)

    first = call("GET", "/consumers", query={"prefix": "b:", "limit": "2"}).document
    rest = call(
        "GET", "/consumers", query={"prefix": "b:", "limit": "2", "cursor": first["cursor"]}
    ).document

    assert [each["consumer"] for each in first["consumers"]] == ["b:1", "b:2"]
    assert [each["consumer"] for each in rest["consumers"]] == ["b:3"]
    assert rest["cursor"] is None


def test_cursor_of_another_list_is_refused(call: Call, declare: Callable[..., None]) -> None:
    for name in ("a1", "a2"):
        declare("users", name)
    cursor = call("GET", "/consumers", query={"limit": "1"}).document["cursor"]

    response = call("GET", "/consumers", query={"prefix": "a", "cursor": cursor})

    assert (response.status, response.pointers()) == (422, ["/cursor"])


def test_consumers_of_a_service_are_listed_with_what_they_get(
    call: Call, publish: Publish, declare: Callable[..., None], indexed: Callable[[], None]
) -> None:
    publish("1.4.2", "2.0.0")
    indexed()
    arn = "arn:aws:lambda:eu-west-1:123456789012:function:orders"
    declare("users==1.x,old:users~=1.5", arn=arn)
    declare("users,billing", "invoices")

    first = call("GET", "/services/users/consumers", query={"limit": "1"}).document
    found, cursor = first["consumers"], first["cursor"]
    while cursor is not None:
        query = {"limit": "1", "cursor": cursor}
        page = call("GET", "/services/users/consumers", query=query).document
        found, cursor = found + page["consumers"], page["cursor"]

    for each in found:
        assert each.pop("seen_at").endswith("Z")
        assert each.pop("source") == "declared"
    assert found == [
        {"consumer": "invoices", "key": "users", "requested": "latest", "version": "2.0.0"},
        {"consumer": "orders", "arn": arn, "key": "old", "requested": "~=1.5", "version": None},
        {
            "consumer": "orders",
            "arn": arn,
            "key": "users",
            "requested": "1.x",
            "version": "1.4.2",
        },
    ]


def test_consumers_of_an_unknown_service_are_not_found(
    call: Call, declare: Callable[..., None]
) -> None:
    declare("users")

    assert call("GET", "/services/users/consumers").status == 404


def test_yank_that_removes_a_consumers_answer_is_refused(
    call: Call, publish: Publish, declare: Callable[..., None]
) -> None:
    """`latest` and `1.x` have an answer afterwards; the consumer's series has none."""
    publish("1.4.2", "1.5.0")
    declare("users==1.4.x")
    declare("users==1.x", "other")
    yank = ("PATCH", "/services/users/versions/1.4.2", {"status": "yanked"})

    refused = call(*yank, query={})
    forced = call(*yank, query={"force": "true"})

    assert refused.status == 409
    assert refused.document["selectors"] == []
    assert refused.document["consumers"] == [
        {"consumer": "orders", "need": "users==1.4.x", "from": "1.4.2", "to": None}
    ]
    assert refused.document["consumers_total"] == 1
    assert "force=true" in refused.document["detail"]
    assert forced.status == 200


@pytest.mark.parametrize(
    ("need", "moves"),
    [
        ("users", ("1.4.2", "1.5.0")),
        ("users==1.x", ("1.4.2", "1.5.0")),
        ("users~=1.4", ("1.4.2", "1.5.0")),
        ("users~=1.5", (None, "1.5.0")),
        ("users>=1.5", (None, "1.5.0")),
        ("users==1.5.0", (None, "1.5.0")),
        ("users==1.5.x", (None, "1.5.0")),
        ("users==1.4.x", None),
        ("users==1.4.2", None),
        ("users~=1.4.1", None),
        ("users>=2", None),
        ("users@beta", (None, "1.5.0")),
        ("old:users@latest", ("1.4.2", "1.5.0")),
    ],
)
def test_dry_run_lists_each_consumers_new_version(
    call: Call,
    publish: Publish,
    declare: Callable[..., None],
    indexed: Callable[[], None],
    need: str,
    moves: tuple[str | None, str | None] | None,
) -> None:
    """The consumer's need then resolves to the version that the dry run has shown."""
    publish("1.4.2")
    declare(need)
    document = {"arn": arn_of("1.5.0"), "channel": "beta"}

    response = call("PUT", "/services/users/versions/1.5.0", document, query={"dry_run": "true"})

    assert response.status == 200
    if moves is None:
        assert response.document["consumers"] == []
    else:
        ((each,), total) = response.document["consumers"], response.document["consumers_total"]
        assert total == 1
        assert (each["consumer"], each["from"], each["to"]) == ("orders", *moves)
        call("PUT", "/services/users/versions/1.5.0", document)
        indexed()
        members = call("POST", "/resolve", {"needed": need}).document["services"]
        (member,) = members.values()
        assert member["version"] == moves[1]


def test_no_more_than_a_hundred_consumers_are_listed_and_all_are_counted(
    call: Call, publish: Publish, declare: Callable[..., None]
) -> None:
    publish("1.4.2")
    for number in range(120):
        declare("users==1.x", f"orders-{number:03d}")

    response = call(
        "PUT",
        "/services/users/versions/1.5.0",
        {"arn": arn_of("1.5.0")},
        query={"dry_run": "true"},
    )

    assert [each["consumer"] for each in response.document["consumers"]] == [
        f"orders-{number:03d}" for number in range(100)
    ]
    assert response.document["consumers_total"] == 120


def test_publish_reads_no_consumers_and_a_dry_run_those_that_it_moves(
    publish: Publish, dynamodb: "DynamoDBClient", declare: Callable[..., None]
) -> None:
    """`make bench BENCH=impact` has the figures at 10,000 consumers."""
    publish("1.4.2")
    table = ConsumersTable(
        dynamodb,
        tables.CONSUMERS,
        now_s=time.time,
        timestamp=str,
        sleep=no_sleep,
        random=random.random,
    )
    store = VersionsTable(dynamodb, tables.VERSIONS)
    registry = registry_on(store, consumers=table)

    def usage(version: str, *, is_dry: bool = False) -> Usage:
        new = valid.publication(version)
        with metered(dynamodb) as used:
            if is_dry:
                registry.dry_run(lambda to: to.publish(new, "somebody"))
            else:
                registry.publish(new, "somebody")
        return used

    without = usage("1.5.0").calls
    dry_without = usage("1.6.0", is_dry=True)
    declare("users==1.x", "moves")
    declare("users==1.4.x", "stays")
    for number in range(20):
        declare("billing", f"other-{number}")

    assert usage("1.6.0").calls == without
    dry_run = usage("1.7.0", is_dry=True)
    # Both needs, and the head item of the consumer that moves.
    assert dry_run.items - dry_without.items == 3
    assert (dry_run.calls - dry_without.calls).total() == 1


def test_damaged_items_of_a_consumer_affect_only_that_consumer(
    call: Call, publish: Publish, dynamodb: "DynamoDBClient", declare: Callable[..., None]
) -> None:
    """Guard, dry run and lists work without these items."""
    publish("1.4.2", "1.5.0")
    declare("users==1.4.x")
    declare("users==1.4.x", "damaged")
    for item in dynamodb.scan(TableName=tables.CONSUMERS)["Items"]:
        if item["consumer"]["S"] == "damaged":
            parts = item.keys() & {"need", "generation", "source"}
            damage: dict[str, Any] = {name: {"S": "="} for name in parts}
            dynamodb.put_item(TableName=tables.CONSUMERS, Item={**item, **damage})
    yank = ("PATCH", "/services/users/versions/1.4.2", {"status": "yanked"})

    refused = call(*yank, query={})

    assert [each["consumer"] for each in refused.document["consumers"]] == ["orders"]
    for path in ("/consumers", "/services/users/consumers"):
        listed = call("GET", path)
        assert [each["consumer"] for each in listed.document["consumers"]] == ["orders"]
    assert call("GET", "/consumers/damaged").status == 503
    assert call("GET", ORDERS).status == 200


def test_registry_works_without_the_consumers_table(
    call: Call, publish: Publish, dynamodb: "DynamoDBClient", declare: Callable[..., None]
) -> None:
    """If consumers can't be read, the guard looks at selectors only, and nothing else fails."""
    publish("1.4.2", "1.5.0")
    declare("users==1.4.x")
    dynamodb.delete_table(TableName=tables.CONSUMERS)
    yank = ("PATCH", "/services/users/versions/1.4.2", {"status": "yanked"})

    assert call(*yank, query={"dry_run": "true"}).document["consumers"] == []
    assert call(*yank, query={}).status == 200
    assert call("GET", ORDERS).status == 503
