"""Both tables on moto."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from testing.aws import aws, renew_tables

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@pytest.fixture(scope="module")
def one_dynamodb() -> Iterator["DynamoDBClient"]:
    """Return a module's client, since creating one takes longer than most tests."""
    with aws() as client:
        yield client


@pytest.fixture
def dynamodb(one_dynamodb: "DynamoDBClient") -> "DynamoDBClient":
    """Return a client of both tables, which are empty."""
    renew_tables()
    return one_dynamodb
