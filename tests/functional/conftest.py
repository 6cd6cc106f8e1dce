"""Both tables on moto."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from testing import tables
from testing.aws import aws

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
    tables.renew_tables(one_dynamodb)
    return one_dynamodb
