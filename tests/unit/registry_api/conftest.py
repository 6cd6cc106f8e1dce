"""Both tables on moto, for the one adapter that has any."""

from tests.functional.conftest import dynamodb

__all__ = ["dynamodb"]
