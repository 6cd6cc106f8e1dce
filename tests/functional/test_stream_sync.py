"""The stream's function: records in, index items out, whatever comes in between."""

import contextlib
import functools
import importlib
import itertools
from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from moto import mock_aws

from registry_api.dynamodb import DynamoVersionStore
from registry_api.operations import Publication, Registry
from registry_model import index_layout
from registry_model import versions_layout as layout
from registry_model.arn import Arn
from registry_model.version import Version
from stream_sync.aws_errors import MovedError
from stream_sync.index_table import IndexTable
from stream_sync.projection import moved
from stream_sync.recompute import Recompute
from stream_sync.versions_reader import VersionsReader
from tests.functional import tables

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ARN = "arn:aws:lambda:eu-west-1:123456789012:function:users:42"
Index = dict[tuple[str, str], dict[str, Any]]
_numbers = itertools.count(1)


def registry_on(client: "DynamoDBClient") -> Registry:
    """Give the real operations on the versions table."""
    store = DynamoVersionStore(client, tables.VERSIONS)
    return Registry(store, now=lambda: "2026-01-01T00:00:00Z", sleep=_no, random=lambda: 0.0)


def _no(_seconds: float) -> None:
    """Do not wait."""


def publish(client: "DynamoDBClient", version: str, **members: Any) -> None:
    """Publish a version of `users`, through the real operations."""
    wanted: dict[str, Any] = {"name": "users", "arn": Arn.parse(ARN), "metadata": {}}
    publication = Publication(version=Version.parse(version), **(wanted | members))
    registry_on(client).publish(publication, "somebody")


def records_of(client: "DynamoDBClient", service: str = "users") -> list[dict[str, Any]]:
    """Give a stream record for each history entry of a service, as DynamoDB would."""
    items = client.query(
        TableName=tables.VERSIONS,
        KeyConditionExpression="service = :s AND begins_with(entry, :e)",
        ExpressionAttributeValues={":s": {"S": service}, ":e": {"S": layout.HISTORY_PREFIX}},
    )["Items"]
    return [
        {
            "eventName": "INSERT",
            "dynamodb": {
                "Keys": {"service": item["service"], "entry": item["entry"]},
                "NewImage": item,
                "SequenceNumber": str(next(_numbers)),
                "ApproximateCreationDateTime": 1_700_000_000.0,
            },
        }
        for item in items
    ]


def index_of(client: "DynamoDBClient") -> Index:
    """Read the whole index, without what may differ though it says the same."""
    items = client.scan(TableName=tables.INDEX, ConsistentRead=True)["Items"]
    return {
        (item["service"]["S"], item["selector"]["S"]): {
            name: value
            for name, value in item.items()
            if name not in {"service", "selector", "revision", "updated_at"}
        }
        for item in items
    }


def selectors_of(client: "DynamoDBClient") -> dict[str, str]:
    """Give the version that each selector of the index answers with."""
    return {selector: item["version"]["S"] for (_, selector), item in index_of(client).items()}


@pytest.fixture
def handle(dynamodb: "DynamoDBClient") -> Callable[[list[dict[str, Any]]], list[str]]:
    """Invoke the handler with records; give the sequence numbers that failed."""
    handler = importlib.reload(importlib.import_module("stream_sync.handler")).handler
    assert dynamodb.list_tables()["TableNames"]
    context = SimpleNamespace(
        function_name="f",
        memory_limit_in_mb=128,
        invoked_function_arn="arn:aws:lambda:eu-west-1:123456789012:function:f",
        aws_request_id="r",
    )

    def _handle(records: list[dict[str, Any]]) -> list[str]:
        answer = handler({"Records": records}, context)
        return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]

    return _handle


Handle = Callable[[list[dict[str, Any]]], list[str]]


def test_publish_moves_every_selector_that_it_should(
    handle: Handle, dynamodb: "DynamoDBClient"
) -> None:
    """One item for each answer, and none of any other kind."""
    for version in ("1.4.2", "1.10.0", "2.0.0-rc.1"):
        publish(dynamodb, version)
    publish(dynamodb, "0.9.0", channel="beta", metadata={"k": "v"})

    assert handle(records_of(dynamodb)) == []

    assert selectors_of(dynamodb) == {
        "latest": "1.10.0",
        "1.x": "1.10.0",
        "1.4.x": "1.4.2",
        "1.10.x": "1.10.0",
        "0.x": "0.9.0",
        "0.9.x": "0.9.0",
        "1.4.2": "1.4.2",
        "1.10.0": "1.10.0",
        "2.0.0-rc.1": "2.0.0-rc.1",
        "0.9.0": "0.9.0",
        "@beta": "0.9.0",
    }


def test_index_item_is_as_the_contract_spells_it(
    handle: Handle, dynamodb: "DynamoDBClient"
) -> None:
    """Anybody may read it with one GetItem."""
    publish(dynamodb, "1.0.0", metadata={"team": "süß"})

    handle(records_of(dynamodb))

    item = dynamodb.get_item(
        TableName=tables.INDEX, Key={"service": {"S": "users"}, "selector": {"S": "1.x"}}
    )["Item"]
    updated_at = item.pop("updated_at")["S"]
    assert len(updated_at) == 20
    assert updated_at.endswith("Z")
    assert item == {
        "service": {"S": "users"},
        "selector": {"S": "1.x"},
        "version": {"S": "1.0.0"},
        "arn": {"S": ARN},
        "status": {"S": "active"},
        "metadata": {"M": {"team": {"S": "süß"}}},
        "revision": {"N": "1"},
    }


def test_unchanged_answers_are_not_written_again(
    handle: Handle, dynamodb: "DynamoDBClient"
) -> None:
    """A write wakes nobody up, but costs; `updated_at` tells a real change."""
    publish(dynamodb, "1.0.0")
    handle(records_of(dynamodb))
    before = dynamodb.scan(TableName=tables.INDEX)["Items"]

    handle(records_of(dynamodb) * 3)

    assert dynamodb.scan(TableName=tables.INDEX)["Items"] == before


def test_service_that_is_gone_loses_its_items(handle: Handle, dynamodb: "DynamoDBClient") -> None:
    """A restored table knows less than the index did."""
    publish(dynamodb, "1.0.0")
    publish(dynamodb, "1.0.0", name="billing")
    records = records_of(dynamodb)
    handle(records + records_of(dynamodb, "billing"))
    for item in dynamodb.scan(TableName=tables.VERSIONS)["Items"]:
        if item["service"]["S"] == "users":
            key = {"service": item["service"], "entry": item["entry"]}
            dynamodb.delete_item(TableName=tables.VERSIONS, Key=key)

    assert handle(records) == []

    assert {service for service, _ in index_of(dynamodb)} == {"billing"}


def test_broken_record_fails_by_itself(handle: Handle, dynamodb: "DynamoDBClient") -> None:
    """One poisoned record must not hold up the others."""
    publish(dynamodb, "1.0.0")
    (good,) = records_of(dynamodb)
    unknown = {**good, "dynamodb": {**good["dynamodb"], "SequenceNumber": "7"}}
    unknown["dynamodb"]["Keys"] = {"service": {"S": "users"}, "entry": {"S": "z#new"}}
    malformed = {
        **good,
        "dynamodb": {
            **good["dynamodb"],
            "SequenceNumber": "8",
            "NewImage": {"version": {"S": "one"}},
        },
    }

    assert handle([unknown, malformed, good]) == ["7", "8"]

    assert selectors_of(dynamodb)["latest"] == "1.0.0"


def test_failing_service_fails_by_itself(
    handle: Handle, dynamodb: "DynamoDBClient", monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its records come again; all others are done."""
    publish(dynamodb, "1.0.0")
    publish(dynamodb, "1.0.0", name="billing")
    reader = importlib.import_module("stream_sync.handler")._stream_handler._recompute.versions
    good = reader.service

    def fail_for_users(name: str) -> object:
        if name == "users":
            raise ClientError({"Error": {"Code": "ValidationException"}}, "GetItem")
        return good(name)

    monkeypatch.setattr(type(reader), "service", lambda _self, name: fail_for_users(name))
    records = records_of(dynamodb)

    failed = handle(records + records_of(dynamodb, "billing"))

    assert failed == [record["dynamodb"]["SequenceNumber"] for record in records]
    assert {service for service, _ in index_of(dynamodb)} == {"billing"}


def test_batch_costs_one_recompute_for_each_service(dynamodb: "DynamoDBClient") -> None:
    """A thousand records on one service are one recompute."""
    for patch in range(5):
        publish(dynamodb, f"1.0.{patch}")
    calls: list[str] = []
    recompute = _recompute(_Watched(dynamodb, calls.append), copies=1)

    recompute.run("users", moved({Version(1, 0, patch) for patch in range(5)}, set()))

    assert calls.count("get_item") == 1
    assert calls.count("query") == 3
    assert calls.count("batch_get_item") == 2
    assert calls.count("transact_write_items") == 1


@pytest.mark.parametrize("copies", [1, 3])
def test_copies_are_written_and_surplus_ones_deleted(
    dynamodb: "DynamoDBClient", copies: int
) -> None:
    """The parameter IndexCopies may go up and down."""
    publish(dynamodb, "1.0.0")
    what = moved({Version(1, 0, 0)}, set())
    _recompute(dynamodb, copies=4 - copies).run("users", what)

    _recompute(dynamodb, copies=copies).run("users", what)

    items = dynamodb.scan(TableName=tables.INDEX)["Items"]
    names = {item["service"]["S"] for item in items}
    assert names == {index_layout.partition_key("users", copy) for copy in range(copies)}
    told = {item["copies"]["N"] for item in items if "copies" in item}
    assert told == ({str(copies)} if copies > 1 else set())


class _Watched:
    """DynamoDB, with something done before each call."""

    def __init__(self, client: "DynamoDBClient", before: Callable[[str], object]) -> None:
        self._client = client
        self._before = before

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(**arguments: Any) -> Any:
            self._before(name)
            return getattr(self._client, name)(**arguments)

        return call


def _recompute(client: Any, *, copies: int) -> Recompute:
    return Recompute(
        versions=VersionsReader(client, tables.VERSIONS),
        index=IndexTable(client, table=tables.INDEX, versions_table=tables.VERSIONS, copies=copies),
        copies=copies,
        now=lambda: "2026-01-01T00:00:00Z",
        sleep=_no,
        random=lambda: 0.0,
    )


class _KilledError(Exception):
    """A worker's end in the middle of its work."""


def _implied(published: dict[str, str | None]) -> dict[str, str]:
    """Say what the index should hold: the contract's sections 2 and 3, straight and slow."""
    versions = [Version.parse(text) for text in published]
    stable = [version for version in versions if version.is_stable]
    found = {text: text for text in published}
    for version in stable:
        for name, fits in (
            ("latest", stable),
            (f"{version.major}.x", [v for v in stable if v.major == version.major]),
            (
                f"{version.major}.{version.minor}.x",
                [v for v in stable if (v.major, v.minor) == (version.major, version.minor)],
            ),
        ):
            found[name] = str(max(fits))
    for text, channel in published.items():
        if channel:
            found["@" + channel] = text
    return found


_VERSIONS = ("0.1.0", "1.0.0", "1.0.1", "1.1.0-rc.1", "1.1.0", "2.0.0")
_STEP = st.one_of(
    st.tuples(st.just("publish"), st.sampled_from(_VERSIONS), st.sampled_from([None, "beta"])),
    st.tuples(st.just("process"), st.integers(0, 9), st.just(None)),
    st.tuples(st.just("kill"), st.integers(1, 7), st.integers(0, 9)),
    st.tuples(st.just("overtake"), st.integers(1, 7), st.integers(0, 9)),
)


class _World:
    """Both tables, what was published, and the workers' ways to come in one another's way."""

    def __init__(self, client: "DynamoDBClient") -> None:
        self.client = client
        self.published: dict[str, str | None] = {}
        self._changes: list[tuple[Version, str | None]] = []
        self._delivered: set[int] = set()

    def publish(self, version: str, channel: str | None) -> None:
        if version in self.published:
            return
        publish(self.client, version, channel=channel)
        if channel:
            moved_away = {text for text, each in self.published.items() if each == channel}
            self.published |= dict.fromkeys(moved_away)
        self.published[version] = channel
        self._changes.append((Version.parse(version), channel))

    def process(self, first: int, at: Any = None) -> None:
        """Process the changes' records from *first* on, and some that came before again.

        Those count as delivered once the worker has ended well: then they never come again by
        themselves.
        """
        taken = set(range(first, len(self._changes))) or set(range(len(self._changes)))
        self._process(taken, at or self.client)

    def drain(self) -> None:
        """Process what no worker has ended well with: all that the stream would still deliver."""
        self._process(set(range(len(self._changes))) - self._delivered, self.client)

    def _process(self, taken: set[int], at: Any) -> None:
        if not taken:
            return
        versions = {self._changes[number][0] for number in taken}
        channels = {channel for number in taken if (channel := self._changes[number][1])}
        _recompute(at, copies=1).run("users", moved(versions, channels))
        self._delivered |= taken

    def process_disturbed(self, first: int, call: int, disturb: Callable[[], None]) -> None:
        """Process records, and do something just before the worker's call number *call*."""
        calls = itertools.count(1)

        def before(_name: str) -> None:
            if next(calls) == call:
                disturb()

        self.process(first, _Watched(self.client, before))

    def overtake(self, first: int) -> None:
        """Publish what is not published yet, and let another worker process everything."""
        left = [version for version in _VERSIONS if version not in self.published]
        if left:
            self.publish(left[-1], None)
        self.process(first)


def _die() -> None:
    raise _KilledError


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=st.lists(_STEP, min_size=1, max_size=10))
@example(steps=[("publish", "1.0.0", None), ("overtake", 7, 0)])
@example(steps=[("publish", "1.0.0", "beta"), ("kill", 7, 0), ("publish", "1.1.0", "beta")])
def test_drained_stream_means_a_right_index(
    steps: list[tuple[str, Any, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Repeated, late, out of order, overtaken, killed: in the end the index is what it should be.

    Between any two calls of a worker another may process the same records, a writer may publish,
    or the worker may die.
    """
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        world = _World(tables.make_tables())
        for kind, one, two in steps:
            if kind == "publish":
                world.publish(one, two)
            elif kind == "process":
                world.process(one)
            elif kind == "overtake":
                world.process_disturbed(two, one, functools.partial(world.overtake, two))
            else:
                with contextlib.suppress(_KilledError):
                    world.process_disturbed(two, one, _die)
        world.drain()

        assert selectors_of(world.client) == _implied(world.published)


def test_overtaken_worker_does_not_write(dynamodb: "DynamoDBClient") -> None:
    """What it read is not true any more; it reads again, and gives up when that never ends."""
    publish(dynamodb, "1.0.0")
    patches = itertools.count(1)

    def publish_before_each_write(name: str) -> None:
        if name == "transact_write_items":
            publish(dynamodb, f"1.0.{next(patches)}")

    recompute = _recompute(_Watched(dynamodb, publish_before_each_write), copies=1)

    with pytest.raises(MovedError):
        recompute.run("users", moved({Version(1, 0, 0)}, set()))

    assert index_of(dynamodb) == {}
