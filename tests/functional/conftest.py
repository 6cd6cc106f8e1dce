"""Both tables on moto."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from testing.aws import aws

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@pytest.fixture
def dynamodb() -> Iterator["DynamoDBClient"]:
    """Return a client of both tables, which are empty."""
    with aws() as client:
        yield client
