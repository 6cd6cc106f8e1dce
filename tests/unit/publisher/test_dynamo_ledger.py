"""The ledger on moto's DynamoDB."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import boto3
import pytest

from publisher.dynamo_ledger import DynamoLedger
from publisher.ledger import LedgerEntry, LedgerError, RequestResult
from testing.aws import moto
from testing.tables import table_properties

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_ENTRY = LedgerEntry(
    resource="stack/users#Published",
    physical_id="users@1.0.0",
    arn="arn:aws:lambda:eu-west-1:123456789012:function:users:1",
    request_id="r-1",
    properties="digest",
    was_absent=True,
    channels_before={"beta": None, "stable": "0.9.0"},
    channels=frozenset({"beta", "stable"}),
)
_RESULT = RequestResult(is_success=True, physical_id="users@1.0.0", reason="", data={"A": "b"})


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator["DynamoDBClient"]:
    """Return DynamoDB with the template's ledger table."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with moto():
        made = boto3.client("dynamodb", region_name="eu-west-1")
        made.create_table(TableName="Ledger", **table_properties("PublisherLedger"))
        yield made


@pytest.fixture
def ledger(client: "DynamoDBClient") -> DynamoLedger:
    """Return an empty ledger."""
    return DynamoLedger(client, "Ledger", clock=lambda: 1_795_593_600.5)


def test_entry_is_read_back_as_it_was_written(ledger: DynamoLedger) -> None:
    ledger.write_entry(_ENTRY)

    assert ledger.entry(_ENTRY.resource, _ENTRY.physical_id) == _ENTRY
    assert ledger.entry(_ENTRY.resource, "users@2.0.0") is None


def test_entries_are_those_of_one_resource(ledger: DynamoLedger) -> None:
    settled = _ENTRY.settled(was_rolled_back=True)
    ledger.write_entry(settled)
    ledger.write_entry(replace(_ENTRY, resource="stack/other#Published"))

    assert ledger.entries(_ENTRY.resource) == [settled]
    ledger.delete_entry(settled)
    assert ledger.entries(_ENTRY.resource) == []


def test_first_result_of_a_request_stands(ledger: DynamoLedger) -> None:
    """A watchdog and a late success must not report different results."""
    other = RequestResult(is_success=False, physical_id="p", reason="time", data={})

    assert ledger.record_result("stack#r-1", _RESULT) == _RESULT
    assert ledger.record_result("stack#r-1", other) == _RESULT
    assert ledger.result("stack#r-1") == _RESULT
    assert ledger.result("stack#r-2") is None


def test_results_expire_and_entries_do_not(ledger: DynamoLedger, client: "DynamoDBClient") -> None:
    """A result is needed for an hour; an entry as long as its version is published."""
    ledger.write_entry(_ENTRY)
    ledger.record_result("stack#r-1", _RESULT)

    expiring = [
        item["expires_at"]["N"]
        for item in client.scan(TableName="Ledger")["Items"]
        if "expires_at" in item
    ]
    assert expiring == [str(1_795_593_600 + 7 * 24 * 3600)]


def test_missing_table_is_a_ledger_error(client: "DynamoDBClient") -> None:
    ledger = DynamoLedger(client, "NoSuchTable", clock=lambda: 0.0)

    with pytest.raises(LedgerError, match="unreachable"):
        ledger.entry("a", "b")
    with pytest.raises(LedgerError):
        ledger.entries("a")
    with pytest.raises(LedgerError):
        ledger.record_result("a", _RESULT)
