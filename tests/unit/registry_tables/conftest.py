"""Both tables on moto."""

from tests.functional.conftest import dynamodb

__all__ = ["dynamodb"]
