"""The index is correct once the stream is drained, in any order, with any workers killed."""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from registry_api.refusals import RegistryError
from registry_api.values import Publication
from registry_model import index_layout
from registry_model.version import Version
from registry_tables import versions_layout as layout
from registry_tables.arn import Arn
from stream_sync.payloads import RebuildAction, RebuildRequest
from testing import tables
from testing.aws import renew_tables
from testing.stream_world import (
    ARN,
    FORCED,
    Index,
    expected_index,
    handler_on,
    index_of,
    items_of,
    no_limit,
    rebuild_with,
    recompute_on,
    record_of,
    registry_on,
)
from tests.functional.stream_workers import HalfDone, Key, Worker, keys_in

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_VERSIONS = ("1.0.0", "1.0.1", "1.1.0-rc.1", "1.1.0", "2.0.0")
_CHANNELS = ("latest", "beta")
_SERVICE = "users"

versions = st.sampled_from(_VERSIONS)
channels = st.sampled_from(_CHANNELS)
# A bit mask of the items of a change that are not applied yet.
halves = st.sampled_from([0, 0, 4, 4, 1, 2, 3, 5, 6])
numbers = st.integers(0, 11)


class ConvergenceWorld:
    """Both tables, the stream between them, and all workers."""

    def __init__(self, client: "DynamoDBClient", *, copies: int = 1) -> None:
        """Create empty tables."""
        self.client = client
        self.copies = copies
        self.dynamodb = HalfDone(client)
        self.records: list[dict[str, Any]] = []
        self.workers: list[Worker] = []
        self._delivered: set[str] = set()
        self._taken: dict[Worker, list[dict[str, Any]]] = {}
        self._half = 0
        self._expected_at: dict[int, Index] = {}
        self._highest_seen: dict[tuple[str, str], int] = {}

    def change(self, half: int, operation: Callable[[Any], object]) -> None:
        """Complete the previous change, then make one of which some items are not applied yet."""
        self.dynamodb.complete()
        self._half = half
        try:
            operation(registry_on(self))
        except RegistryError:
            return
        finally:
            self._half = 0
            self._see_records()

    def complete_change(self) -> None:
        """Apply the rest of the last change."""
        self.dynamodb.complete()
        self._see_records()

    def start(self, positions: list[int]) -> Worker:
        """Start a worker with some records, in any order, some of them repeated."""
        taken = [
            self.records[position % len(self.records)] for position in positions if self.records
        ]
        worker = Worker(self.dynamodb, lambda client: self._process(client, taken))
        self._taken[worker] = taken
        self.workers.append(worker)
        return worker

    def start_rebuild(self) -> Worker:
        """Start a rebuild as one more worker."""
        worker = Worker(self.dynamodb, self._rebuild)
        self._taken[worker] = []
        self.workers.append(worker)
        return worker

    def finish_worker(self, worker: Worker) -> None:
        """Mark the records of an ended worker as delivered, unless it reported them as failed."""
        if worker.is_done and worker in self._taken:
            taken = self._taken.pop(worker)
            self.workers.remove(worker)
            numbers = {record["dynamodb"]["SequenceNumber"] for record in taken}
            failed = worker.result
            self._delivered |= numbers - set(failed) if isinstance(failed, list) else set()

    def drain(self) -> None:
        """Deliver the remaining records, until all of them are processed.

        Workers that have stopped in between continue at the end.
        """
        self.complete_change()
        left = [
            record
            for record in self.records
            if record["dynamodb"]["SequenceNumber"] not in self._delivered
        ]
        assert self._process(self.client, left) == []
        for worker in list(self.workers):
            worker.finish()

    def check(self) -> None:
        """Check that the index matches the versions table, now and at each item's revision."""
        index = index_of(self.client)
        assert index == expected_index(self.client, copies=self.copies)
        for item in items_of(self.client, tables.INDEX):
            key = item["service"]["S"], item["selector"]["S"]
            then = self._expected_at[int(item["revision"]["N"])]
            assert then.get(key) == index[key], f"{key} was not correct at its revision"

    def check_revisions(self) -> None:
        """Check that no item's revision went down."""
        for item in items_of(self.client, tables.INDEX):
            key = item["service"]["S"], item["selector"]["S"]
            revision = int(item[index_layout.REVISION]["N"])
            assert revision >= self._highest_seen.get(key, 0), f"{key} went back"
            self._highest_seen[key] = revision

    def transact_write_items(self, **arguments: Any) -> Any:
        """Write a change's items; revert some of them, as if they were not applied yet."""
        keys = keys_in(arguments["TransactItems"])
        before = self._read(keys)
        answer = self.client.transact_write_items(**arguments)
        after = self._read(keys)
        (service,) = (item for key, item in after.items() if key[2] == layout.SERVICE_ENTRY)
        assert service is not None
        revision = int(service[layout.REVISION]["N"])
        self._expected_at[revision] = expected_index(self.client, copies=self.copies)
        late = [key for position, key in enumerate(keys) if self._half & (1 << position)]
        self.dynamodb.hide({key: before[key] for key in late if before[key] != after[key]})
        return answer

    def __getattr__(self, name: str) -> Any:
        # A publisher waits for its own change before the next one: its reads see the whole change.
        return getattr(self.client, name)

    def _read(self, keys: list[Key]) -> dict[Key, dict[str, Any] | None]:
        items = {
            (tables.VERSIONS, item["service"]["S"], item["entry"]["S"]): item
            for item in items_of(self.client, tables.VERSIONS)
        }
        return {key: items.get(key) for key in keys}

    def _see_records(self) -> None:
        """Add a stream record for each history entry that is new."""
        seen = {record["dynamodb"]["Keys"]["entry"]["S"] for record in self.records}
        for item in items_of(self.client, tables.VERSIONS):
            entry = item["entry"]["S"]
            if entry.startswith(layout.HISTORY_PREFIX) and entry not in seen:
                self.records.append(record_of(item))

    def _process(self, client: Any, records: list[dict[str, Any]]) -> list[str]:
        failed: list[str] = handler_on(client, copies=self.copies).process(records, no_limit)
        return failed

    def _rebuild(self, client: Any) -> None:
        rebuild = rebuild_with(recompute_on(client, copies=self.copies))
        rebuild.run(RebuildRequest(action=RebuildAction.REBUILD), no_limit)


def _publication(version: str, arn: str, channel: str | None) -> Publication:
    return Publication(
        name=_SERVICE,
        version=Version.parse(version),
        arn=Arn.parse(f"{ARN[:-2]}{arn}"),
        metadata={},
        channel=channel,
    )


class Convergence(RuleBasedStateMachine):
    """Publishers, workers and rebuilds, interleaved at every call."""

    client: "DynamoDBClient"
    world: ConvergenceWorld

    @initialize(copies=st.sampled_from([1, 1, 2]))
    def begin(self, copies: int) -> None:
        """Create the tables; each item has some copies."""
        renew_tables()
        self.world = ConvergenceWorld(self.client, copies=copies)

    @rule(version=versions, arn=st.sampled_from("12"), channel=st.none() | channels, half=halves)
    def publish(self, version: str, arn: str, channel: str | None, half: int) -> None:
        """Publish, perhaps a version that had another ARN before."""
        wanted = _publication(version, arn, channel)
        self.world.change(half, lambda registry: registry.publish(wanted, "p"))

    @rule(version=versions, half=halves)
    def yank(self, version: str, half: int) -> None:
        """Yank a version."""
        self.world.change(
            half,
            lambda registry: registry.yank(_SERVICE, Version.parse(version), "bad", "p", FORCED),
        )

    @rule(version=versions, half=halves)
    def activate(self, version: str, half: int) -> None:
        """Activate a yanked version."""
        self.world.change(
            half, lambda registry: registry.activate(_SERVICE, Version.parse(version), "p")
        )

    @rule(version=versions, half=halves)
    def delete(self, version: str, half: int) -> None:
        """Delete a version."""
        self.world.change(
            half, lambda registry: registry.delete(_SERVICE, Version.parse(version), "p", FORCED)
        )

    @rule(channel=channels, version=versions, half=halves)
    def set_channel(self, channel: str, version: str, half: int) -> None:
        """Set a channel; `latest` is pinned."""
        self.world.change(
            half,
            lambda registry: registry.set_channel(_SERVICE, channel, Version.parse(version), "p"),
        )

    @rule(channel=channels, half=halves)
    def delete_channel(self, channel: str, half: int) -> None:
        """Delete a channel."""
        self.world.change(half, lambda registry: registry.delete_channel(_SERVICE, channel, "p"))

    @rule()
    def complete_change(self) -> None:
        """Apply the rest of the last change."""
        self.world.complete_change()

    @rule(positions=st.lists(numbers, min_size=1, max_size=3))
    def start_worker(self, positions: list[int]) -> None:
        """Deliver some records, old ones among them, to another worker."""
        if len(self.world.workers) < 4:
            self.world.start(positions)

    @rule(count=st.integers(1, 2))
    def deliver_the_newest(self, count: int) -> None:
        """Deliver the newest records at once, as the stream usually does."""
        last = len(self.world.records) - 1
        worker = self.world.start(list(range(last, last - count, -1)))
        worker.finish()
        self.world.finish_worker(worker)

    @rule()
    def start_rebuild(self) -> None:
        """Start a rebuild of all services as one more worker."""
        if len(self.world.workers) < 4:
            self.world.start_rebuild()

    @rule(number=numbers, calls=st.integers(1, 5))
    def step(self, number: int, calls: int) -> None:
        """Let one worker make some calls."""
        if self.world.workers:
            worker = self.world.workers[number % len(self.world.workers)]
            for _ in range(calls):
                worker.step()
            self.world.finish_worker(worker)

    @rule(number=numbers)
    def kill(self, number: int) -> None:
        """Kill a worker between two calls."""
        if self.world.workers:
            worker = self.world.workers[number % len(self.world.workers)]
            worker.kill()
            self.world.finish_worker(worker)

    @invariant()
    def no_revision_goes_down(self) -> None:
        """Compare all items after each step."""
        if hasattr(self, "world"):
            self.world.check_revisions()

    def teardown(self) -> None:
        """Drain the stream, and check the index."""
        try:
            if hasattr(self, "world"):
                self.world.drain()
                self.world.check_revisions()
                self.world.check()
        finally:
            for worker in getattr(getattr(self, "world", None), "workers", []):
                worker.kill()


@pytest.fixture(autouse=True, scope="module")
def _client(one_dynamodb: "DynamoDBClient") -> None:
    Convergence.client = one_dynamodb


TestDrainedStreamMeansARightIndex = Convergence.TestCase
TestDrainedStreamMeansARightIndex.settings = settings(
    max_examples=int(os.environ.get("CONVERGENCE_EXAMPLES", "40")),
    stateful_step_count=30,
    deadline=None,
)


# Shortened sequences that the state machine above found in code that was broken on purpose.


@pytest.fixture
def world(dynamodb: "DynamoDBClient") -> ConvergenceWorld:
    """Return empty tables without workers."""
    return ConvergenceWorld(dynamodb)


def _publish(world: ConvergenceWorld, version: str, *, arn: str = "1", half: int = 0) -> None:
    wanted = _publication(version, arn, None)
    world.change(half, lambda registry: registry.publish(wanted, "p"))


def _delete(world: ConvergenceWorld, version: str) -> None:
    world.change(0, lambda registry: registry.delete(_SERVICE, Version.parse(version), "p", FORCED))


@pytest.mark.parametrize("calls", range(1, 5))
def test_republished_version_does_not_keep_its_former_arn(
    world: ConvergenceWorld, calls: int
) -> None:
    """A worker stops after it has read the former version, and continues after all others."""
    _publish(world, "1.0.0")
    worker = world.start([0])
    for _ in range(calls):
        worker.step()
    _delete(world, "1.0.0")
    _publish(world, "1.0.0", arn="2")

    world.drain()

    world.check()


@pytest.mark.parametrize("calls", range(1, 5))
def test_deleted_version_does_not_come_back(world: ConvergenceWorld, calls: int) -> None:
    """A condition on the index item would not help: a deleted item has nothing to compare with."""
    _publish(world, "1.0.0")
    worker = world.start([0])
    for _ in range(calls):
        worker.step()
    _delete(world, "1.0.0")

    world.drain()

    world.check()
    assert index_of(world.client) == {}


@pytest.mark.parametrize("half", [2, 4, 6])
@pytest.mark.parametrize("calls", range(2, 8))
def test_worker_that_starts_in_the_middle_of_a_change_leaves_no_old_answer(
    world: ConvergenceWorld, half: int, calls: int
) -> None:
    """The worker has an older record, reads the new revision, and continues after the change."""
    _publish(world, "2.0.0")
    _publish(world, "1.0.0")
    _publish(world, "1.1.0", half=half)
    worker = world.start([1])
    for _ in range(calls):
        worker.step()

    world.drain()

    world.check()


@pytest.mark.parametrize("half", range(1, 7))
def test_record_that_arrives_before_its_whole_change_is_not_lost(
    world: ConvergenceWorld, half: int
) -> None:
    """No other record may follow, so nothing else would correct the index."""
    _publish(world, "1.0.0")
    _publish(world, "1.1.0", half=half)
    worker = world.start([0, 1])
    worker.finish()
    world.finish_worker(worker)

    world.drain()

    world.check()
