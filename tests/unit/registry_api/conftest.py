"""Both tables on moto, for the one adapter that has any; the operations on a table in memory."""

import pytest

from registry_api.operations import Registry
from tests.functional.conftest import dynamodb
from tests.unit.registry_api.memory_store import MemoryVersionStore, registry_on

__all__ = ["dynamodb"]


@pytest.fixture
def store() -> MemoryVersionStore:
    """Give an empty table."""
    return MemoryVersionStore()


@pytest.fixture
def registry(store: MemoryVersionStore) -> Registry:
    """Give the operations on that table."""
    return registry_on(store)
