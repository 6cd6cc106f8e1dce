"""Both tables on moto for the DynamoDB adapter; the operations on a table in memory."""

import pytest

from registry_api.operations import Registry
from tests.functional.conftest import dynamodb, one_dynamodb
from tests.unit.registry_api.memory_store import MemoryVersionStore, registry_on

__all__ = ["dynamodb", "one_dynamodb"]


@pytest.fixture
def store() -> MemoryVersionStore:
    """Return an empty table."""
    return MemoryVersionStore()


@pytest.fixture
def registry(store: MemoryVersionStore) -> Registry:
    """Return the operations on that table."""
    return registry_on(store)
