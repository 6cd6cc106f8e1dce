"""Errors of the tables: every route maps, counts and logs them, and none becomes a 500."""

import io
import json
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ReadTimeoutError,
)

from registry_api.routes import Routes
from testing import tables
from testing.aws import renew_tables
from tests.functional.registry_api.gateway import (
    ARN,
    OTHER_ARN,
    PROBLEM,
    Call,
    GatewayResponse,
    Publish,
    publication,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

# Every route that reads or writes a table, with a request that would succeed.
WRITES: list[tuple[Any, ...]] = [
    ("POST", "/services", publication(version="3.0.0", channel="beta")),
    ("POST", "/services", publication(version="1.0.0", channel="beta")),
    ("PATCH", "/services/users/versions/1.0.0", {"status": "yanked"}),
    ("PATCH", "/services/users/versions/2.0.0", {"status": "yanked"}),
    ("PATCH", "/services/users/versions/1.1.0", {"status": "active"}),
    ("DELETE", "/services/users/versions/1.0.0"),
    ("DELETE", "/services/users/versions/2.0.0"),
    ("PUT", "/services/users/channels/beta", {"version": "1.0.0"}),
    ("DELETE", "/services/users/channels/old"),
]
READS: list[tuple[Any, ...]] = [
    ("GET", "/services"),
    ("GET", "/services/users"),
    ("GET", "/services/users/versions"),
    ("GET", "/services/users/versions/1.0.0"),
    ("GET", "/services/users/history"),
]
RESOLVES: list[tuple[Any, ...]] = [
    ("GET", "/services/users/resolve"),
    ("POST", "/resolve", {"needed": "users"}),
]
ROUTES = WRITES + READS + RESOLVES


def named(route: tuple[Any, ...]) -> str:
    """Return a test's id."""
    return " ".join(str(part) for part in route)[:70]


@pytest.fixture
def ready(call: Call, publish: Publish, indexed: Callable[[], None]) -> Call:
    """Return the API on which each of these requests succeeds."""
    publish("1.0.0", arn=ARN)
    publish("1.1.0", "2.0.0")
    publish("1.2.0", channel="old")
    call("PATCH", "/services/users/versions/1.1.0", {"status": "yanked"})
    indexed()
    return call


def client_error(code: str, *reasons: str, status: int = 400) -> ClientError:
    """Return the exception that botocore raises for an error code."""
    metadata: Any = {"HTTPStatusCode": status, "RequestId": "r", "RetryAttempts": 0}
    return ClientError(
        {
            "Error": {"Code": code, "Message": "said so"},
            "ResponseMetadata": metadata,
            "CancellationReasons": [{"Code": reason} for reason in reasons],
        },
        "Operation",
    )


CANCELLED = "TransactionCanceledException"
TROUBLES: dict[str, Exception] = {
    "throttled": client_error("ThrottlingException"),
    "throughput": client_error("ProvisionedThroughputExceededException"),
    "account limit": client_error("RequestLimitExceeded"),
    "table gone": client_error("ResourceNotFoundException"),
    "server error": client_error("InternalServerError", status=500),
    "unavailable": client_error("503", status=503),
    "unknown 5xx": client_error("SomethingNewException", status=502),
    "no route": EndpointConnectionError(endpoint_url="https://x"),
    "connect timeout": ConnectTimeoutError(endpoint_url="https://x"),
    "read timeout": ReadTimeoutError(endpoint_url="https://x"),
}
LOST_RACES: dict[str, Exception] = {
    "condition": client_error(CANCELLED, "ConditionalCheckFailed", "None", "None"),
    "conflict": client_error(CANCELLED, "None", "TransactionConflict", "None"),
    "busy item": client_error("TransactionConflictException"),
    "both": client_error(CANCELLED, "ThrottlingError", "TransactionConflict"),
}
THROTTLED_WRITES: dict[str, Exception] = {
    "in progress": client_error("TransactionInProgressException"),
    "throttled": client_error(CANCELLED, "None", "ThrottlingError", "None"),
    "throughput": client_error(CANCELLED, "ProvisionedThroughputExceeded", "None"),
}


OPERATIONS = ("get_item", "batch_get_item", "query", "transact_write_items")


class Trouble:
    """Lets calls to DynamoDB fail.

    Attributes:
        pauses: How long the operations waited; they do not really wait.
    """

    def __init__(self, routes: Routes, patch: pytest.MonkeyPatch) -> None:
        self.pauses: list[float] = []
        self._clients = [routes._registry._store._client, routes._resolver._index._client]  # type: ignore[attr-defined]  # not in the Protocols
        self._patch = patch
        patch.setattr(routes._registry, "_sleep", self.pauses.append)

    def make(self, error: Exception, *operations: str) -> None:
        """Let these operations fail; all of them if none is named."""

        def fail(*_args: object, **_kwargs: object) -> None:
            raise error

        for client in self._clients:
            for name in operations or OPERATIONS:
                self._patch.setattr(client, name, fail)


@pytest.fixture
def trouble(routes: Routes) -> Iterator[Trouble]:
    """Return an object that lets DynamoDB fail until the test ends."""
    with pytest.MonkeyPatch.context() as patch:
        yield Trouble(routes, patch)


def asks_to_try_again(response: GatewayResponse) -> bool:
    """Return whether a response tells the client to try again."""
    assert response.status in {429, 503}, response
    assert response.headers["Content-Type"] == PROBLEM
    assert int(response.headers["Retry-After"]) >= 1
    assert response.document["status"] == response.status
    assert "again" in response.document["detail"]
    return True


def contents(client: "DynamoDBClient") -> list[Any]:
    """Read the whole versions table."""
    items = client.scan(TableName=tables.VERSIONS)["Items"]
    return sorted(items, key=lambda item: item["entry"]["S"])


@pytest.mark.parametrize("what", TROUBLES)
def test_dynamodb_error_is_never_a_500(
    ready: Call, trouble: Trouble, dynamodb: "DynamoDBClient", what: str
) -> None:
    """For each of DynamoDB's errors every route says when to try again, and changes nothing."""
    before = contents(dynamodb)
    trouble.make(TROUBLES[what])

    for route in ROUTES:
        assert asks_to_try_again(ready(*route)), route
    assert contents(dynamodb) == before


def test_write_whose_every_attempt_fails_changes_nothing(
    ready: Call, routes: Routes, dynamodb: "DynamoDBClient"
) -> None:
    """A write that is throttled, or loses the race at each attempt, is a 429 or 503."""
    before = contents(dynamodb)
    lost = LOST_RACES["conflict"]

    for route in WRITES:
        for error in (TROUBLES["throttled"], *THROTTLED_WRITES.values(), lost):
            with pytest.MonkeyPatch.context() as patch:
                trouble = Trouble(routes, patch)
                trouble.make(error, "transact_write_items")
                assert asks_to_try_again(ready(*route)), (route, error)
                assert bool(trouble.pauses) == (error is lost)
                assert sum(trouble.pauses) < 10
    assert contents(dynamodb) == before


def test_refusal_at_the_size_limit_names_the_limit(ready: Call, trouble: Trouble) -> None:
    """Trying again would never help; the refusal says what to do."""
    error = client_error(CANCELLED, "None", "None", "ItemCollectionSizeLimitExceeded")
    trouble.make(error, "transact_write_items")

    response = ready("POST", "/services", publication(version="3.0.0"))

    assert response.status == 409
    assert "10 GB" in response.document["detail"]
    assert trouble.pauses == []


@pytest.mark.parametrize("route", WRITES, ids=named)
def test_write_that_lost_a_race_is_tried_again(
    ready: Call, routes: Routes, route: tuple[Any, ...]
) -> None:
    """The client does not see DynamoDB's conflicts."""
    client = routes._registry._store._client  # type: ignore[attr-defined]  # not in the Protocol
    real = client.transact_write_items
    errors = iter(LOST_RACES.values())

    def fail_at_first(**arguments: Any) -> Any:
        for error in errors:
            raise error
        return real(**arguments)

    with pytest.MonkeyPatch.context() as patch:
        trouble = Trouble(routes, patch)
        patch.setattr(client, "transact_write_items", fail_at_first)
        response = ready(*route)

    assert response.status in {200, 201, 204}
    assert len(trouble.pauses) == len(LOST_RACES)
    assert ready("GET", "/services/users").document["revision"] == 6


def test_requests_of_these_tests_succeed_without_a_fault(ready: Call) -> None:
    """Otherwise the other tests of this module would prove nothing."""
    for route in READS + RESOLVES + WRITES[:1] + WRITES[2:3] + WRITES[-1:]:
        assert ready(*route).status in {200, 201, 204}, route


def test_missing_table_is_a_503(ready: Call, dynamodb: "DynamoDBClient") -> None:
    """During a restore the registry must not say that there is no such service."""
    for name in (tables.VERSIONS, tables.INDEX):
        dynamodb.delete_table(TableName=name)

    for route in ROUTES:
        response = ready(*route)
        assert response.status == 503
        assert asks_to_try_again(response)


@pytest.mark.parametrize("route", RESOLVES, ids=named)
def test_resolve_reads_the_index_only(
    ready: Call, dynamodb: "DynamoDBClient", route: tuple[Any, ...]
) -> None:
    """Functions read only the index too. A publish does not need the index."""
    dynamodb.delete_table(TableName=tables.VERSIONS)
    assert ready(*route).status == 200

    renew_tables()
    dynamodb.delete_table(TableName=tables.INDEX)

    assert ready(*route).status == 503
    assert ready("POST", "/services", publication()).status == 201


@pytest.mark.parametrize("route", RESOLVES, ids=named)
def test_batch_without_results_is_throttled(
    ready: Call, routes: Routes, route: tuple[Any, ...]
) -> None:
    """Unprocessed keys are not absent ones: `missing` would stop a deploy."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            routes._resolver._index._client,  # type: ignore[attr-defined]  # not in the Protocol
            "batch_get_item",
            lambda **asked: {"Responses": {}, "UnprocessedKeys": asked["RequestItems"]},
        )

        assert asks_to_try_again(ready(*route))


@pytest.mark.parametrize(
    "error",
    [client_error("ValidationException"), client_error(CANCELLED, "ValidationError"), KeyError()],
    ids=str,
)
def test_bug_is_a_500_without_internal_details(
    ready: Call, trouble: Trouble, error: Exception
) -> None:
    """The status tells clients not to repeat the request."""
    trouble.make(error)

    response = ready("POST", "/services", publication(version="3.0.0"))

    assert (response.status, response.document["status"]) == (500, 500)
    assert response.headers["Content-Type"] == PROBLEM
    assert "Retry-After" not in response.headers
    assert "said so" not in json.dumps(response.document)


def test_missing_credentials_count_as_unreachable(ready: Call, trouble: Trouble) -> None:
    """Botocore's own exceptions are mapped too."""
    trouble.make(NoCredentialsError())

    assert asks_to_try_again(ready("GET", "/services"))


@pytest.fixture
def log(ready: Call) -> Iterator[io.StringIO]:
    """Return the stream that the function logs to: one JSON document a line."""
    import registry_api.handler as module  # noqa: PLC0415  # its import reads the environment

    assert ready("GET", "/").status == 404
    stream = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module.logger.registered_handler, "stream", stream)
        yield stream


def lines(text: str) -> list[dict[str, Any]]:
    """Parse JSON documents, one a line."""
    return [json.loads(line) for line in text.splitlines()]


def test_request_leaves_one_log_line_with_its_id(ready: Call, log: io.StringIO) -> None:
    """The id that API Gateway gave the client finds the line."""
    ready("POST", "/services", publication())

    (line,) = lines(log.getvalue())
    assert line["message"] == "request served"
    assert line["correlation_id"] == "request-1"
    assert (line["method"], line["path"], line["status"]) == ("POST", "/services", 201)
    assert line["level"] == "INFO"


def test_bug_is_logged_with_its_traceback_and_kept_from_the_client(
    ready: Call, log: io.StringIO, trouble: Trouble
) -> None:
    """The request's id finds the traceback."""
    trouble.make(KeyError("inside"), "get_item")

    response = ready("GET", "/services/users")

    assert response.status == 500
    assert "inside" not in json.dumps(response.document)
    failed, answered = lines(log.getvalue())
    assert (failed["level"], failed["message"]) == ("ERROR", "request failed")
    assert "KeyError" in failed["exception"]
    assert failed["correlation_id"] == "request-1"
    assert answered["status"] == 500


def test_publishes_conflicts_and_refusals_are_counted(
    call: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    """An operator can put them on a dashboard; a repeated publish is not counted."""
    call("POST", "/services", publication())
    call("POST", "/services", publication())
    call("POST", "/services", publication(arn=OTHER_ARN))
    call("POST", "/services", publication(arn="none"))
    call("PUT", "/services/users/channels/beta", {"version": "9.9.9"})
    call("GET", "/services", query={"limit": "0"})

    documents = [line for line in lines(capsys.readouterr().out) if "_aws" in line]
    assert {(each["stack"], each["level"]) for each in documents} == {("staging", "FATAL")}
    assert all(datetime.fromisoformat(each["timestamp"]) for each in documents)
    counted = [
        (metric["Name"], document[metric["Name"]])
        for document in documents
        for metric in document["_aws"]["CloudWatchMetrics"][0]["Metrics"]
    ]
    assert counted == [
        ("Publishes", [1.0]),
        ("Conflicts", [1.0]),
        ("RejectedRequests", [1.0]),
        ("Conflicts", [1.0]),
        ("RejectedRequests", [1.0]),
    ]
