"""DynamoDB Local for the tests of this folder, which are skipped if Java or npm is missing."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from testing import dynamodb_local, engine_run
from testing.aws import ENVIRONMENT

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@pytest.fixture(scope="session")
def engine(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dynamodb_local.DynamoDbLocal]:
    """Run DynamoDB Local."""
    try:
        with dynamodb_local.dynamodb_local(tmp_path_factory.mktemp("dynamodb-local")) as running:
            yield running
    except dynamodb_local.MissingProgramError as error:
        pytest.skip(str(error))


@pytest.fixture
def database(
    engine: dynamodb_local.DynamoDbLocal, monkeypatch: pytest.MonkeyPatch
) -> dynamodb_local.Database:
    """Return a database with both tables, and the environment that the functions read."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    database = engine.database()
    engine_run.create_tables(database)
    return database


@pytest.fixture
def client(database: dynamodb_local.Database) -> "DynamoDBClient":
    """Return a client of both tables."""
    return database.client()
