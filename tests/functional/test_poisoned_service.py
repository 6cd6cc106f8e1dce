"""How long other records wait if every concurrent batch has a record that always fails.

The test has a model of Lambda's event source mapping, as it is documented: up to ten batches of a
shard are processed at a time (ParallelizationFactor), and the records of an item stay in order.
After a partial failure, the batch is retried from the lowest sequence number that failed. After
MaximumRetryAttempts retries it is given up. The records after it wait until then.
"""

import importlib
import itertools
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from samcli.yamlhelper import yaml_parse

from registry_model.version import Version
from registry_tables import versions_layout as layout
from registry_tables.records import Action, HistoryEvent, ServiceRecord
from stream_sync.projection import AffectedAnswers
from stream_sync.recompute import RecomputeResult
from testing.stream_world import no_limit, record_of
from tests.conftest import ROOT

_BATCH = 5


class Lane:
    """One of the concurrent batches, and the records that wait for it."""

    def __init__(self, retries: int) -> None:
        self.pending: list[dict[str, Any]] = []
        self.given_up: list[dict[str, Any]] = []
        self._batch: list[dict[str, Any]] = []
        self._attempts = 0
        self._retries = retries

    def invoke(self, process: Callable[[list[dict[str, Any]]], list[str]]) -> None:
        """Invoke the function once."""
        if not self._batch:
            self._batch, self.pending = self.pending[:_BATCH], self.pending[_BATCH:]
            self._attempts = 0
        if not self._batch:
            return
        failed = process(self._batch)
        self._attempts += 1
        numbers = [each["dynamodb"]["SequenceNumber"] for each in self._batch]
        lowest = min((numbers.index(number) for number in failed), default=len(numbers))
        self._batch = self._batch[lowest:]
        if self._batch and self._attempts > self._retries:
            self.given_up += self._batch
            self._batch = []

    @property
    def is_drained(self) -> bool:
        """Whether nothing is left to process."""
        return not self._batch and not self.pending


class PoisonedRecompute:
    """A recompute that always fails for `users`, and records the versions of other services."""

    def __init__(self) -> None:
        self.done: set[str] = set()

    def run(self, service: str, affected: AffectedAnswers, _remaining_s: object) -> RecomputeResult:
        """Fail for `users`; otherwise, record the versions."""
        if service == "users":
            raise KeyError(layout.CHANNELS)
        self.done |= {str(version) for version in affected.versions}
        record = ServiceRecord(name=service, revision=1, created_at="then", updated_at="now")
        return RecomputeResult(service=record, differences=[])


@pytest.mark.usefixtures("dynamodb")
def test_other_records_wait_only_until_the_poisoned_record_is_given_up() -> None:
    """That takes 21 attempts; records in the same batch do not wait (docs/operations.md)."""
    template = yaml_parse((ROOT / "infra/template.yaml").read_text("utf-8"))
    mapping = template["Resources"]["StreamSyncFunction"]["Properties"]["Events"]["Changes"]
    retries = mapping["Properties"]["MaximumRetryAttempts"]
    lanes = [Lane(retries) for _ in range(mapping["Properties"]["ParallelizationFactor"])]
    poison, others = _one_for_each(lanes), [_record("billing", number) for number in range(150)]
    for record in [*poison, *others]:
        lanes[_lane(record, lanes)].pending.append(record)
    beside = {_version(each) for lane in lanes for each in lane.pending[1:_BATCH]}
    longest_queue = max(len(lane.pending) for lane in lanes)
    recompute = PoisonedRecompute()
    module = importlib.import_module("stream_sync.handler")
    handler = module.StreamHandler(recompute, None, lambda: 0.0)

    rounds = 0
    while not all(lane.is_drained for lane in lanes):
        for lane in lanes:
            lane.invoke(lambda batch: handler.process(batch, no_limit))
        rounds += 1
        if rounds == 1:
            assert beside <= recompute.done

    assert recompute.done == {_version(each) for each in others}
    given_up = [each for lane in lanes for each in lane.given_up]
    assert all(each in given_up for each in poison)
    waiting = -(-(longest_queue - _BATCH) // _BATCH)
    assert waiting > 0
    assert rounds == 1 + retries + waiting


def _one_for_each(lanes: list[Lane]) -> list[dict[str, Any]]:
    """Return one record of `users` for each lane."""
    found: dict[int, dict[str, Any]] = {}
    for number in itertools.count():
        if len(found) == len(lanes):
            return list(found.values())
        record = _record("users", number)
        found.setdefault(_lane(record, lanes), record)
    raise AssertionError


def _record(service: str, number: int) -> dict[str, Any]:
    event = HistoryEvent(
        name=service,
        revision=number + 1,
        at="now",
        by="somebody",
        action=Action.PUBLISH,
        version=Version(1, 0, number),
    )
    return record_of(layout.event_to_item(event))


def _lane(record: dict[str, Any], lanes: list[Lane]) -> int:
    keys = record["dynamodb"]["Keys"]
    return zlib.crc32(f"{keys['service']['S']} {keys['entry']['S']}".encode()) % len(lanes)


def _version(record: dict[str, Any]) -> str:
    return str(record["dynamodb"]["NewImage"]["version"]["S"])
