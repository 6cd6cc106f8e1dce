"""moto's AWS, and the functions' environment variables from the template."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from moto import mock_aws
from moto.core.serialize import BaseJSONSerializer
from moto.dynamodb.models.dynamo_type import DynamoType

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
def moto() -> Iterator[None]:
    """Replace AWS by moto, and patch moto to take half of the time for DynamoDB.

    For each transaction moto makes deep copies of all items of its tables. They are necessary only
    for updates, which the product does not use. In each response moto tries several names of each
    attribute's type, although the item already has the correct one.
    """
    serialize = BaseJSONSerializer._serialize_type_structure

    def _serialize(self: Any, serialized: Any, value: Any, shape: Any, key: str) -> None:
        if shape.name == "AttributeValue":
            serialized[key] = value
        else:
            serialize(self, serialized, value, shape, key)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DynamoType, "__deepcopy__", lambda self, _memo: self)
        patch.setattr(BaseJSONSerializer, "_serialize_type_structure", _serialize)
        with mock_aws():
            yield


@contextmanager
def aws() -> Iterator["DynamoDBClient"]:
    """Return a client of both tables in moto's AWS."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB"):
            patch.delenv(name, raising=False)
        with moto():
            yield tables.make_tables()
