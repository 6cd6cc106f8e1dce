"""Both tables on AWS as moto has it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from testing.aws import aws

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@pytest.fixture
def dynamodb() -> Iterator["DynamoDBClient"]:
    """Give both tables, empty."""
    with aws() as client:
        yield client
