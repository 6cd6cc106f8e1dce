"""The needs that a scan reads from an account's functions."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import boto3
import pytest

from consumer_scan.listing import FoundConsumer, Scope, list_consumers
from testing.aws import moto
from testing.functions import REGION, SECRET, change_needs, create_function

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

SCOPE = Scope(account_id="123456789012", region=REGION)
ARN = "arn:aws:lambda:eu-west-1:123456789012:function"


@pytest.fixture
def functions(monkeypatch: pytest.MonkeyPatch) -> Iterator["LambdaClient"]:
    """Return moto's Lambda, without functions."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "testing")
    with moto():
        yield boto3.client("lambda", region_name=REGION)


def _publish(client: "LambdaClient", name: str) -> str:
    return client.publish_version(FunctionName=name)["Version"]


def test_function_with_needs_is_a_consumer(functions: "LambdaClient") -> None:
    create_function(functions, "orders", "users==1.x")
    create_function(functions, "idle", None)
    create_function(functions, "empty", " , ")

    listing = list_consumers(functions, SCOPE)

    assert listing.functions == 3
    assert listing.consumers == (
        FoundConsumer(
            name="123456789012:eu-west-1:orders", needed="users==1.x", arn=f"{ARN}:orders"
        ),
    )


def test_all_pages_are_read(functions: "LambdaClient") -> None:
    for number in range(120):
        create_function(functions, f"orders-{number}", "users")
    progress: list[int] = []

    listing = list_consumers(functions, SCOPE, progress.append)

    assert len(listing.consumers) == 120
    assert progress[-1] == 120


def test_nothing_but_the_needs_is_kept(functions: "LambdaClient") -> None:
    create_function(functions, "orders", "users==1.x")

    assert SECRET not in repr(list_consumers(functions, SCOPE))


def test_version_and_its_alias_are_consumers_of_their_own_if_their_needs_differ(
    functions: "LambdaClient",
) -> None:
    create_function(functions, "orders", "users==1.x")
    old = _publish(functions, "orders")
    functions.create_alias(FunctionName="orders", Name="live", FunctionVersion=old)
    change_needs(functions, "orders", "users==2.x")
    same = _publish(functions, "orders")
    functions.create_alias(FunctionName="orders", Name="next", FunctionVersion=same)

    found = {
        each.name: (each.needed, each.arn) for each in list_consumers(functions, SCOPE).consumers
    }

    own = "123456789012:eu-west-1:orders"
    assert found == {
        own: ("users==2.x", f"{ARN}:orders"),
        f"{own}:{old}": ("users==1.x", f"{ARN}:orders:{old}"),
        f"{own}:live": ("users==1.x", f"{ARN}:orders:live"),
    }


def test_needs_that_are_only_written_differently_do_not_differ(functions: "LambdaClient") -> None:
    create_function(functions, "orders", "users==1.x,billing")
    _publish(functions, "orders")
    change_needs(functions, "orders", " billing , users == 1.* ")

    listing = list_consumers(functions, SCOPE)

    assert [each.name for each in listing.consumers] == ["123456789012:eu-west-1:orders"]


def test_malformed_needs_do_not_affect_others(functions: "LambdaClient") -> None:
    create_function(functions, "broken", "users=1.2")
    create_function(functions, "greedy", ",".join(f"s{number}" for number in range(1_001)))
    create_function(functions, "orders", "users==1.x")

    listing = list_consumers(functions, SCOPE)

    assert [each.name for each in listing.consumers] == ["123456789012:eu-west-1:orders"]
    assert set(listing.unreadable) == {
        "123456789012:eu-west-1:broken",
        "123456789012:eu-west-1:greedy",
    }
    assert "unknown operator '='" in listing.unreadable["123456789012:eu-west-1:broken"]
    assert "1,000 can be recorded" in listing.unreadable["123456789012:eu-west-1:greedy"]
