"""Both tables on moto, made from the very template that deploys them."""

from typing import TYPE_CHECKING, Any

import boto3
from samcli.yamlhelper import yaml_parse

from tests.conftest import ROOT

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

VERSIONS = "Versions"
INDEX = "ServiceIndex"
_KEPT = (
    "AttributeDefinitions",
    "BillingMode",
    "GlobalSecondaryIndexes",
    "KeySchema",
    "LocalSecondaryIndexes",
)


def template() -> dict[str, Any]:
    """Read the template."""
    document: dict[str, Any] = yaml_parse((ROOT / "infra/template.yaml").read_text("utf-8"))
    return document


def make_tables() -> "DynamoDBClient":
    """Make both tables and a client of theirs."""
    client = boto3.client("dynamodb", region_name="eu-west-1")
    resources = template()["Resources"]
    for name, resource in ((VERSIONS, "VersionsTable"), (INDEX, "IndexTable")):
        properties = resources[resource]["Properties"]
        client.create_table(
            TableName=name, **{key: properties[key] for key in _KEPT if key in properties}
        )
    return client
