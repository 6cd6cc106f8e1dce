"""Both tables on moto."""

from tests.functional.conftest import dynamodb, one_dynamodb

__all__ = ["dynamodb", "one_dynamodb"]
