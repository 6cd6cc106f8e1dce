"""The store on DynamoDB: error codes, partial responses, costs."""

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError

from registry_api.operations import Registry
from registry_api.refusals import ConflictError
from registry_model import index_layout
from registry_model.version import Version
from registry_tables import versions_layout as layout
from registry_tables.errors import RaceLostError, ThrottledError, UnreachableError
from registry_tables.index_table import IndexTable
from registry_tables.series import Series
from registry_tables.versions_table import VersionsTable
from testing import tables
from tests.unit.registry_api import valid

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

VERSION = Version.parse("1.0.0")


class Client:
    """A DynamoDB client that counts its calls, and may have scripted responses.

    Attributes:
        calls: How often each operation was called.
        scanned: How many items the queries went through.
    """

    def __init__(
        self, real: "DynamoDBClient | None" = None, /, **instead: Callable[..., Any]
    ) -> None:
        self.calls: Counter[str] = Counter()
        self.scanned = 0
        self._instead = instead
        self._real = real

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(**arguments: Any) -> Any:
            self.calls[name] += 1
            operation = self._instead.get(name) or getattr(self._real, name)
            answer = operation(**arguments)
            self.scanned += (answer or {}).get("ScannedCount", 0)
            return answer

        return call


def store_on(client: Client) -> VersionsTable:
    """Return a store on a test's client."""
    return VersionsTable(client, tables.VERSIONS)  # type: ignore[arg-type]  # has what it needs


def raising(error: Exception) -> Callable[..., Any]:
    """Return a call that raises an error."""

    def _raise(**_arguments: Any) -> None:
        raise error

    return _raise


def client_error(code: str, *reasons: str, status: int = 400) -> ClientError:
    """Return the exception that botocore raises for an error code."""
    return ClientError(
        {
            "Error": {"Code": code, "Message": "said so"},
            "CancellationReasons": [{"Code": reason} for reason in reasons],
            "ResponseMetadata": {
                "HTTPStatusCode": status,
                "RequestId": "r",
                "HostId": "",
                "HTTPHeaders": {},
                "RetryAttempts": 0,
            },
        },
        "Operation",
    )


CANCELLED = "TransactionCanceledException"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (client_error(CANCELLED, "ConditionalCheckFailed", "None"), RaceLostError),
        (client_error(CANCELLED, "None", "TransactionConflict"), RaceLostError),
        (client_error(CANCELLED, "ThrottlingError", "TransactionConflict"), RaceLostError),
        (client_error("TransactionConflictException"), RaceLostError),
        (client_error("TransactionInProgressException"), ThrottledError),
        (client_error(CANCELLED, "None", "ThrottlingError"), ThrottledError),
        (client_error(CANCELLED, "ProvisionedThroughputExceeded"), ThrottledError),
        (client_error("ProvisionedThroughputExceededException"), ThrottledError),
        (client_error("ThrottlingException"), ThrottledError),
        (client_error("RequestLimitExceeded"), ThrottledError),
        (client_error("ResourceNotFoundException"), UnreachableError),
        (client_error("InternalServerError", status=500), UnreachableError),
        (client_error("503", status=503), UnreachableError),
        (EndpointConnectionError(endpoint_url="https://x"), UnreachableError),
        (ReadTimeoutError(endpoint_url="https://x"), UnreachableError),
        (client_error("ValidationException"), ClientError),
        (client_error(CANCELLED, "ValidationError"), ClientError),
        (client_error("AccessDeniedException"), ClientError),
    ],
    ids=str,
)
def test_each_error_code_has_its_exception(error: Exception, expected: type[Exception]) -> None:
    """The error means to decide again, to try again later, or that there is a bug."""
    store = store_on(Client(transact_write_items=raising(error)))

    with pytest.raises(expected):
        store.commit(valid.change())


@pytest.mark.parametrize(
    ("operation", "read"),
    [
        ("batch_get_item", lambda store: store.read("users", VERSION)),
        ("get_item", lambda store: store.service("users")),
        ("get_item", lambda store: store.version("users", VERSION)),
        ("transact_get_items", lambda store: store.check_last_change(valid.service())),
        ("query", lambda store: store.highest_stable("users", Series(), below=VERSION)),
        ("query", lambda store: store.service_names("", limit=1, after=None)),
        ("batch_get_item", lambda store: store.services(["users"])),
        ("batch_get_item", lambda store: store.records([("users", VERSION)])),
        ("query", lambda store: store.versions("users", limit=1, after=None)),
        ("query", lambda store: store.history("users", limit=1, before=None)),
    ],
)
def test_every_read_maps_its_errors(
    operation: str, read: Callable[[VersionsTable], object]
) -> None:
    """Without the mapping, a busy table would be a 500."""
    store = store_on(Client(**{operation: raising(client_error("ThrottlingException"))}))

    with pytest.raises(ThrottledError):
        read(store)


@pytest.mark.parametrize("half_done", [layout.history_entry(1), layout.version_entry(VERSION)])
def test_change_that_is_half_done_is_seen(dynamodb: "DynamoDBClient", half_done: str) -> None:
    """The service's new revision may be visible before the version that came with it."""
    store = VersionsTable(dynamodb, tables.VERSIONS)
    change = valid.change("1.0.0")
    store.commit(change)
    store.check_last_change(change.service)

    def read(**arguments: Any) -> Any:
        (action,) = arguments["TransactItems"]
        if action["Get"]["Key"][layout.ENTRY]["S"] == half_done:
            raise client_error(CANCELLED, "TransactionConflict")
        return dynamodb.transact_get_items(**arguments)

    with pytest.raises(RaceLostError):
        store_on(Client(transact_get_items=read)).check_last_change(change.service)


@pytest.mark.parametrize(
    "read",
    [
        lambda store: store.read("users", VERSION),
        lambda store: store.service("users"),
        lambda store: store.version("users", VERSION),
        lambda store: store.highest_stable("users", Series(), below=VERSION),
        lambda store: store.services(["users"]),
        lambda store: store.records([("users", VERSION)]),
        lambda store: store.versions("users", limit=1, after=None),
        lambda store: store.history("users", limit=1, before=None),
    ],
)
def test_every_read_is_strongly_consistent(
    dynamodb: "DynamoDBClient", read: Callable[[VersionsTable], object]
) -> None:
    """A pipeline that publishes and then reads must find its version."""
    seen: list[bool] = []

    def watched(name: str) -> Callable[..., Any]:
        def call(**arguments: Any) -> Any:
            inner = arguments.get("RequestItems", {tables.VERSIONS: arguments})[tables.VERSIONS]
            seen.append(inner.get("ConsistentRead", False))
            return getattr(dynamodb, name)(**arguments)

        return call

    operations = ("batch_get_item", "get_item", "query")
    store = store_on(Client(**{name: watched(name) for name in operations}))
    VersionsTable(dynamodb, tables.VERSIONS).commit(valid.change())

    read(store)

    assert seen
    assert all(seen)


def test_keys_that_a_batch_left_out_are_asked_for_again(dynamodb: "DynamoDBClient") -> None:
    """DynamoDB may return only a part of a batch; a version that is not in it is not absent."""

    def answer_one(**arguments: Any) -> Any:
        keys = arguments["RequestItems"][tables.VERSIONS]["Keys"]
        wanted: Any = {tables.VERSIONS: {"Keys": keys[:1], "ConsistentRead": True}}
        left = {tables.VERSIONS: {"Keys": keys[1:], "ConsistentRead": True}} if keys[1:] else {}
        return {**dynamodb.batch_get_item(RequestItems=wanted), "UnprocessedKeys": left}

    store = store_on(Client(dynamodb, batch_get_item=answer_one))
    store.commit(valid.change())

    service, record = store.read("users", VERSION)

    assert service is not None
    assert record is not None


def test_batch_without_results_is_throttled() -> None:
    """Without a limit the requests would outlast the gateway's timeout."""
    client = Client(
        batch_get_item=lambda **arguments: {
            "Responses": {},
            "UnprocessedKeys": arguments["RequestItems"],
        }
    )

    with pytest.raises(ThrottledError):
        store_on(client).read("users", VERSION)

    assert client.calls["batch_get_item"] == 1


def torn(dynamodb: "DynamoDBClient", act: Callable[[Registry], object]) -> Registry:
    """Return operations during whose first read another change is made.

    A batch of reads is not isolated: this one returns the version before the change, and the
    service after it.
    """
    rivals = iter([_registry(VersionsTable(dynamodb, tables.VERSIONS))])

    def batch_get_item(**arguments: Any) -> Any:
        early = dynamodb.batch_get_item(**arguments)
        for rival in rivals:
            act(rival)
        late = dynamodb.batch_get_item(**arguments)
        items = [
            *(i for i in early["Responses"][tables.VERSIONS] if "version" in i),
            *(i for i in late["Responses"][tables.VERSIONS] if "version" not in i),
        ]
        return {"Responses": {tables.VERSIONS: items}, "UnprocessedKeys": {}}

    return _registry(store_on(Client(dynamodb, batch_get_item=batch_get_item)))


def test_torn_read_does_not_overwrite_a_published_version(dynamodb: "DynamoDBClient") -> None:
    """Consumers that pinned the version would get another function."""
    real = _registry(VersionsTable(dynamodb, tables.VERSIONS))
    real.publish(valid.publication("0.9.0"), "first")
    registry = torn(dynamodb, lambda rival: rival.publish(valid.publication("1.0.0"), "rival"))

    with pytest.raises(ConflictError) as refused:
        registry.publish(valid.publication("1.0.0", arn=valid.OTHER_ARN), "late")

    assert refused.value.current == real.version("users", VERSION)
    assert refused.value.current is not None
    assert refused.value.current.published_by == "rival"


@pytest.mark.parametrize(
    "point",
    [
        lambda registry: registry.set_channel("users", "beta", VERSION, "late"),
        lambda registry: registry.publish(valid.publication("1.0.0", channel="beta"), "late"),
    ],
)
def test_torn_read_points_no_channel_at_a_yanked_version(
    dynamodb: "DynamoDBClient", point: Callable[[Registry], object]
) -> None:
    """All consumers of the channel would get it."""
    real = _registry(VersionsTable(dynamodb, tables.VERSIONS))
    real.publish(valid.publication("1.0.0"), "first")
    registry = torn(
        dynamodb, lambda rival: rival.yank("users", VERSION, "broken", "rival", valid.FORCED)
    )

    with pytest.raises(ConflictError, match="yanked"):
        point(registry)

    assert real.service("users").service.channels == {}


def test_torn_read_does_not_undo_another_yank(dynamodb: "DynamoDBClient") -> None:
    """A change applies to the present version; the other client's reason stays."""
    real = _registry(VersionsTable(dynamodb, tables.VERSIONS))
    real.publish(valid.publication("1.0.0"), "first")
    registry = torn(
        dynamodb, lambda rival: rival.yank("users", VERSION, "broken", "rival", valid.FORCED)
    )

    record = registry.yank("users", VERSION, None, "late", valid.FORCED)

    assert (record.reason, record.revision) == ("broken", 2)


def rolls_back_and_forth(registry: Registry) -> None:
    """Make every kind of change of a service, and leave its versions as they are."""
    highest = Version.parse("8.0.0")
    registry.publish(valid.publication("8.0.0"), "somebody")
    registry.yank("users", highest, None, "operator", valid.FORCED)
    registry.activate("users", highest, "operator")
    registry.set_channel("users", "latest", VERSION, "operator")
    registry.delete_channel("users", "latest", "operator")
    registry.delete("users", highest, "operator", valid.FORCED)


def looks_around(registry: Registry) -> None:
    """Make every kind of read of a service."""
    registry.service("users")
    registry.services("", limit=5, after=None)
    registry.versions("users", limit=5, after=None)
    registry.version("users", VERSION)
    registry.history("users", limit=5, before=None)


def test_no_operation_costs_more_with_more_versions(dynamodb: "DynamoDBClient") -> None:
    """A service with many releases, mostly pre-releases, stays fast."""
    real = VersionsTable(dynamodb, tables.VERSIONS)
    bills = []

    for number in range(30):
        _registry(real).publish(valid.publication(f"1.0.{number}"), "somebody")
        _registry(real).publish(valid.publication(f"2.0.0-rc.{number}"), "somebody")
        if number in {5, 29}:
            client = Client(dynamodb)
            rolls_back_and_forth(_registry(store_on(client)))
            changes = dict(client.calls), client.scanned
            client = Client(dynamodb)
            looks_around(_registry(store_on(client)))
            bills.append((changes, (dict(client.calls), client.scanned)))

    assert bills[0] == bills[1]
    changes, looks = bills[0]
    # Each change reads, then writes; one that removes the highest version also checks that the last
    # change is whole, its event and its version if it has one, and reads the next highest version.
    calls = {"batch_get_item": 5, "get_item": 1, "transact_write_items": 6, "query": 2}
    calls |= {"transact_get_items": 3}
    assert changes == (calls, 2)
    # One service is on the page of services, and five entries are on each of the others.
    assert looks == ({"get_item": 5, "query": 3, "batch_get_item": 2}, 1 + 5 + 5)


def test_answers_are_read_as_the_extension_reads_them(dynamodb: "DynamoDBClient") -> None:
    """A hundred keys a call, each once, and eventually consistent."""
    answer = valid.answer()
    dynamodb.put_item(
        TableName=tables.INDEX, Item=index_layout.answer_to_item("users", "1.x", answer)
    )
    seen: list[Any] = []

    def watched(**arguments: Any) -> Any:
        seen.append(arguments["RequestItems"][tables.INDEX])
        return dynamodb.batch_get_item(**arguments)

    index = index_on(Client(batch_get_item=watched))
    absent = [(f"s{number}", "latest") for number in range(200)]

    found = index.answers([*absent, ("users", "1.x"), ("users", "1.x"), ("users", "latest")])

    assert list(found) == [("users", "1.x")]
    assert found["users", "1.x"].version == answer.version
    assert [len(batch["Keys"]) for batch in seen] == [100, 100, 2]
    assert not any(batch["ConsistentRead"] for batch in seen)


def test_no_needs_send_no_request() -> None:
    """DynamoDB refuses a batch without keys."""
    assert index_on(Client()).answers([]) == {}


def test_errors_of_the_index_are_mapped() -> None:
    """If the index cannot be read, a dry run with `missing` would stop every deployment."""
    error = client_error("ResourceNotFoundException")

    with pytest.raises(UnreachableError):
        index_on(Client(batch_get_item=raising(error))).answers([("users", "latest")])


def index_on(client: Client) -> IndexTable:
    """Return an index on a test's client."""
    return IndexTable(client, tables.INDEX)  # type: ignore[arg-type]  # has what it needs


def _registry(store: VersionsTable) -> Registry:
    return Registry(store, now=lambda: valid.NOW, sleep=lambda _: None, random=lambda: 0.0)
