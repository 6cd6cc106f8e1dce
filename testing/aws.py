"""moto's AWS, and the environment that the template gives the functions."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from moto import mock_aws

from testing import tables

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ENVIRONMENT = {
    "AWS_REGION": "eu-west-1",
    "AWS_DEFAULT_REGION": "eu-west-1",
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_SESSION_TOKEN": "testing",
    "VERSIONS_TABLE": tables.VERSIONS,
    "INDEX_TABLE": tables.INDEX,
    "CONSUMERS_TABLE": tables.CONSUMERS,
    "INDEX_COPIES": "1",
    "POWERTOOLS_METRICS_NAMESPACE": "ServiceDiscovery",
    "POWERTOOLS_SERVICE_NAME": "tests",
    "STACK_NAME": "staging",
}


@contextmanager
def aws() -> Iterator["DynamoDBClient"]:
    """Return a client of both tables in moto's AWS."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB"):
            patch.delenv(name, raising=False)
        with mock_aws():
            yield tables.make_tables()
