"""The tables for tests, created from the template that deploys them."""

from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from samcli.yamlhelper import yaml_parse

from local.processes import ROOT

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

VERSIONS = "Versions"
INDEX = "ServiceIndex"
CONSUMERS = "Consumers"
_TABLES = (
    (VERSIONS, "VersionsTable"),
    (INDEX, "IndexTable"),
    (CONSUMERS, "ConsumersTable"),
)
_KEPT = (
    "AttributeDefinitions",
    "BillingMode",
    "GlobalSecondaryIndexes",
    "KeySchema",
    "LocalSecondaryIndexes",
)


@cache
def _resources() -> dict[str, Any]:
    # Once for all tests: parsing the template takes longer than most of them.
    document: dict[str, Any] = yaml_parse((ROOT / "infra/template.yaml").read_text("utf-8"))
    resources: dict[str, Any] = document["Resources"]
    return resources


def make_tables() -> "DynamoDBClient":
    """Create the tables and return a client."""
    client = boto3.client("dynamodb", region_name="eu-west-1")
    renew_tables(client)
    return client


def renew_tables(client: "DynamoDBClient") -> None:
    """Delete all tables, and create empty ones."""
    for name in client.list_tables()["TableNames"]:
        client.delete_table(TableName=name)
    for name, resource in _TABLES:
        client.create_table(TableName=name, **table_properties(resource))


def make_versions_table(client: "DynamoDBClient", name: str) -> None:
    """Create another table with the versions table's keys and indexes."""
    client.create_table(TableName=name, **table_properties("VersionsTable"))


def table_properties(resource: str) -> dict[str, Any]:
    """Return the parameters of `create_table` for a table of the template, except the name."""
    properties = _resources()[resource]["Properties"]
    return {key: properties[key] for key in _KEPT if key in properties}
