"""moto's AWS, and the functions' environment variables."""

import copy
import pickle
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from botocore import useragent
from moto import mock_aws
from moto.core import responses
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.core.serialize import BaseJSONSerializer
from moto.core.utils import method_names_from_class
from moto.dynamodb.models import DynamoDBBackend, dynamodb_backends
from moto.dynamodb.models.dynamo_type import DynamoType, Item
from moto.dynamodb.models.table import Table

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


_method_names = cache(method_names_from_class)
_sanitize = cache(useragent.sanitize_user_agent_string_component)


def _copy_item(item: Item, _memo: object) -> Item:
    """Return a copy of an item that shares the attributes' values."""
    copied = Item(item.hash_key, item.range_key, {})
    dict.update(copied.attrs, item.attrs)
    return copied


def _copy_table(table: Table, _memo: object) -> Table:
    """Return a copy of a table that shares the items: a put or a deletion changes none of them."""
    copied = copy.copy(table)
    copied.items = defaultdict(dict)
    for hash_key, items in table.items.items():
        copied.items[hash_key] = items.copy()
    return copied


@contextmanager
def moto() -> Iterator[None]:
    """Replace AWS by moto, and patch moto and botocore to take a fraction of the time for DynamoDB.

    For each transaction moto makes deep copies of all items of its tables. The copies are necessary
    only for updates, which the product does not use. In each response moto tries several names of
    each attribute's type, although the item already has the correct one. For each request moto
    lists the methods of a class, and botocore replaces invalid characters in the same user agent.
    """
    serialize = BaseJSONSerializer._serialize_type_structure

    def _serialize(self: Any, serialized: Any, value: Any, shape: Any, key: str) -> None:
        if shape.name == "AttributeValue":
            serialized[key] = value
        else:
            serialize(self, serialized, value, shape, key)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DynamoType, "__deepcopy__", lambda self, _memo: self)
        patch.setattr(Item, "__deepcopy__", _copy_item)
        patch.setattr(Table, "__deepcopy__", _copy_table, raising=False)
        patch.setattr(BaseJSONSerializer, "_serialize_type_structure", _serialize)
        patch.setattr(responses, "method_names_from_class", _method_names)
        patch.setattr(useragent, "sanitize_user_agent_string_component", _sanitize)
        with mock_aws():
            yield


@contextmanager
def aws() -> Iterator["DynamoDBClient"]:
    """Create the tables in moto's AWS and return a client."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB"):
            patch.delenv(name, raising=False)
        with moto():
            yield tables.make_tables()


def _backend() -> DynamoDBBackend:
    return dynamodb_backends[DEFAULT_ACCOUNT_ID][ENVIRONMENT["AWS_REGION"]]


@cache
def _empty_tables() -> bytes:
    """Create our tables and return what moto stores of them, pickled."""
    tables.make_tables()
    return pickle.dumps(_backend().tables)


def renew_tables() -> None:
    """Delete all of moto's tables and create ours again, empty.

    This is faster than `tables.renew_tables`, which takes longer than most tests.
    """
    _backend().tables = pickle.loads(_empty_tables())
