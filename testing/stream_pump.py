"""Faulty pumps: they deliver a table's real stream records to the stream's function.

Lambda promises at-least-once delivery, in order for each item. The pumps repeat records, shuffle
them, and kill the function between any two of its calls; then its whole batch is delivered again.
"""

import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

from registry_tables import versions_layout as layout
from testing import tables
from testing.killing import KilledError
from testing.stream_world import handler_on, no_limit

if TYPE_CHECKING:
    from testing.dynamodb_local import Database

_MAX_BATCH = 100
_POLL_S = 0.05
_EMPTY_READS = 10
_MAX_REPEATS = 5
# The share of workers that are killed, and how many calls they make before at most.
_DEATHS = 0.2
_MOST_CALLS = 12


class _KillingClient:
    """A DynamoDB client that kills its worker after some calls."""

    def __init__(self, client: Any, calls: int) -> None:
        self._client = client
        self._calls = calls

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(**arguments: Any) -> Any:
            self._calls -= 1
            if self._calls < 0:
                raise KilledError
            return getattr(self._client, name)(**arguments)

        return call


def passes_filter(record: dict[str, Any]) -> bool:
    """Return whether a record matches the template's filter criteria."""
    entry = record["dynamodb"]["Keys"][layout.ENTRY]["S"]
    if record["eventName"] == "REMOVE":
        return bool(entry == layout.SERVICE_ENTRY)
    return bool(entry.startswith(layout.HISTORY_PREFIX))


class StreamReader:
    """Reads every record of the versions table's stream, once."""

    def __init__(self, database: "Database") -> None:
        """Begin at the stream's start, as the event source mapping does."""
        table = database.client().describe_table(TableName=tables.VERSIONS)["Table"]
        self._arn = table["LatestStreamArn"]
        self._streams = database.streams()
        self._iterators: dict[str, str | None] = {}

    def read(self) -> list[dict[str, Any]]:
        """Return the new records that pass the filter, in the format of Lambda's events."""
        found = []
        for shard in self._streams.describe_stream(StreamArn=self._arn)["StreamDescription"][
            "Shards"
        ]:
            name = shard["ShardId"]
            if name not in self._iterators:
                self._iterators[name] = self._streams.get_shard_iterator(
                    StreamArn=self._arn, ShardId=name, ShardIteratorType="TRIM_HORIZON"
                )["ShardIterator"]
            iterator = self._iterators[name]
            if iterator is not None:
                response = self._streams.get_records(ShardIterator=iterator)
                self._iterators[name] = response.get("NextShardIterator")
                found += response["Records"]
        for record in found:
            change = record["dynamodb"]
            change["ApproximateCreationDateTime"] = change[
                "ApproximateCreationDateTime"
            ].timestamp()
        return [record for record in found if passes_filter(record)]


@dataclass(frozen=True, slots=True, kw_only=True)
class PumpResult:
    """The result of a pump.

    Attributes:
        records: How many records it got; each record goes to one pump.
        deaths: How often its worker was killed between two calls.
        repeats: How many processed records it delivered again.
    """

    records: int
    deaths: int
    repeats: int


class StreamPump:
    """One of several pumps on a stream: each record goes to one, and any pump may repeat it."""

    def __init__(self, database: "Database", *, number: int, pumps: int, seed: int) -> None:
        """Read the stream from its start."""
        self._reader = StreamReader(database)
        self._client = database.client()
        self._number = number
        self._pumps = pumps
        self._random = Random(seed + number)
        self._seen: list[dict[str, Any]] = []
        self._pending: list[dict[str, Any]] = []
        self._given = self._deaths = self._repeats = 0

    def run(self, may_end: Callable[[], bool]) -> PumpResult:
        """Pump until the writers have ended and the stream is drained."""
        empty = 0
        # A shard may return its last records late, so one empty read is not the end.
        while not may_end() or self._pending or empty < _EMPTY_READS:
            was_ending = may_end()
            records = self._reader.read()
            self._seen += records
            given = [each for each in records if _share(each) % self._pumps == self._number]
            self._given += len(given)
            self._pending += given
            empty = empty + 1 if was_ending and not records else 0
            if self._pending:
                self._deliver()
            else:
                time.sleep(_POLL_S)
        return PumpResult(records=self._given, deaths=self._deaths, repeats=self._repeats)

    def _deliver(self) -> None:
        """Deliver a batch of pending records, of any size and order, with some old records."""
        self._random.shuffle(self._pending)
        size = self._random.randint(1, _MAX_BATCH)
        batch = self._pending[:size]
        count = min(len(self._seen), self._random.randint(0, _MAX_REPEATS))
        repeated = self._random.sample(self._seen, count)
        failed = self._process(batch + repeated)
        self._repeats += count
        self._pending = self._pending[size:] + [
            record for record in batch if record["dynamodb"]["SequenceNumber"] in failed
        ]

    def _process(self, batch: list[dict[str, Any]]) -> set[str]:
        """Process a batch; return the sequence numbers that have to be delivered again."""
        worker: Any = self._client
        if not self._deaths:
            # Kill the first worker, so that a worker is killed even in a short run.
            worker = _KillingClient(worker, 0)
        elif self._random.random() < _DEATHS:
            worker = _KillingClient(worker, self._random.randint(0, _MOST_CALLS))
        try:
            return set(handler_on(worker).process(batch, no_limit))
        except KilledError:
            self._deaths += 1
            return {record["dynamodb"]["SequenceNumber"] for record in batch}


def _share(record: dict[str, Any]) -> int:
    return zlib.crc32(record["dynamodb"]["SequenceNumber"].encode())
