"""Reads and writes the consumers table."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from registry_model.needs import Need, parse_needs
from registry_tables import consumers_layout as layout
from registry_tables.calls import (
    MALFORMED,
    MAX_ATTEMPTS,
    batch_get,
    batch_write,
    mapped_errors,
    readable,
)
from registry_tables.consumers_layout import Consumer, ConsumerNeed, Source
from registry_tables.errors import DamagedItemError, DynamoError, RaceLostError
from registry_tables.page import Page

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import WriteRequestTypeDef

_Result = TypeVar("_Result")

_READS = 100
# Head items are read by several threads. For a service with 10,000 consumers, one thread would
# need most of a request's time.
READ_THREADS = 8
_FIRST_PAUSE_S = 0.05


class DeclaredError(DynamoError):
    """A pipeline has declared the consumer, so a scan does not replace its needs."""

    def __init__(self, name: str) -> None:
        """Write the message for a consumer of this name."""
        super().__init__(f"consumer {name!r} is declared by a pipeline")


class ConsumersTable:
    """The consumers table in DynamoDB.

    Raises:
        ThrottledError, UnreachableError: From every method.
    """

    def __init__(
        self,
        client: "DynamoDBClient",
        table: str,
        *,
        now_s: Callable[[], float],
        timestamp: Callable[[], str],
        sleep: Callable[[float], None],
        random: Callable[[], float],
    ) -> None:
        """Use a low-level client on the table of this name.

        Args:
            now_s: The wall clock, in seconds since 1970.
            timestamp: The same moment in ISO 8601, UTC.
            sleep: Waits for a number of seconds.
            random: Returns numbers from 0 up to 1.
        """
        self._client = client
        self._table = table
        self._now_s = now_s
        self._timestamp = timestamp
        self._sleep = sleep
        self._random = random

    def declare(self, name: str, needed: str, *, arn: str | None, owner: str | None) -> Consumer:
        """Replace all needs of a consumer, or none if it fails; return its record.

        Args:
            needed: The needs as text; well-formed.

        Raises:
            RaceLostError: Every attempt lost a race with another declaration.
        """
        return self._retried(lambda: self._declare(name, needed, arn=arn, owner=owner))

    def record_scanned(self, name: str, needed: str, arn: str) -> bool:
        """Record what a scan has found; return whether that changes the record.

        Raises:
            DeclaredError: A pipeline has declared the consumer.
            RaceLostError: Every attempt lost a race with another change.
        """
        return self._retried(lambda: self._record_scanned(name, needed, arn))

    def get(self, name: str) -> Consumer | None:
        """Read a consumer; None if there is none."""
        with mapped_errors():
            response = self._client.get_item(
                TableName=self._table, Key=layout.head_key(name), ConsistentRead=True
            )
        if "Item" not in response:
            return None
        try:
            return layout.consumer_from_item(response["Item"])
        except MALFORMED as error:
            raise DamagedItemError(name, layout.HEAD_ENTRY, error) from error

    def forget(self, consumer: Consumer) -> None:
        """Remove a consumer and its needs, unless it has changed since it was read."""
        try:
            with mapped_errors():
                self._client.delete_item(
                    TableName=self._table,
                    Key=layout.head_key(consumer.name),
                    ConditionExpression="#generation = :read AND #source = :source",
                    ExpressionAttributeNames={
                        "#generation": layout.GENERATION,
                        "#source": layout.SOURCE,
                    },
                    ExpressionAttributeValues={
                        ":read": {"S": consumer.generation},
                        ":source": {"S": str(consumer.source)},
                    },
                )
        except RaceLostError:
            return
        # Only this generation: another one may belong to a newer declaration.
        self._remove_needs(
            consumer.name,
            first=layout.need_entry(consumer.generation, ""),
            last=layout.end_of_needs(consumer.generation),
        )

    def page(self, prefix: str, *, limit: int, after: str | None) -> Page[Consumer, str]:
        """Read up to *limit* consumers whose names begin with *prefix*, by name.

        The index of names is updated a moment after the table.
        """
        condition = "#listing = :all"
        names = {"#listing": layout.LISTING}
        values = {":all": {"S": layout.ALL_CONSUMERS}}
        if prefix:
            condition += " AND begins_with(#consumer, :prefix)"
            names["#consumer"] = layout.CONSUMER
            values[":prefix"] = {"S": prefix}
        start: dict[str, Any] = {}
        if after is not None:
            start = {"ExclusiveStartKey": layout.listing_key(after)}
        with mapped_errors():
            response = self._client.query(
                TableName=self._table,
                IndexName=layout.CONSUMERS_INDEX,
                KeyConditionExpression=condition,
                ExpressionAttributeNames=names,
                ExpressionAttributeValues=values,
                Limit=limit,
                **start,
            )
        consumers = tuple(readable(layout.consumer_from_item, response["Items"]))
        last = response.get("LastEvaluatedKey")
        return Page(items=consumers, last=last[layout.CONSUMER]["S"] if last else None)

    def needs_page(
        self, service: str, *, limit: int, after: str | None
    ) -> Page[tuple[Consumer, Need], str]:
        """Read up to *limit* needs of a service with their consumers, by consumer.

        The page may be shorter: needs of a replaced declaration are left out.

        Args:
            after: The position to continue after, or None.
        """
        needs, last = self._query_needs(service, limit=limit, after=after)
        consumers = self._consumers({need.consumer for need in needs})
        valid = [
            (consumers[need.consumer], need.need)
            for need in needs
            if need.consumer in consumers and consumers[need.consumer].generation == need.generation
        ]
        return Page(items=tuple(valid), last=last)

    def needs_of_service(self, service: str) -> Iterator[ConsumerNeed]:
        """Read all needs of a service, including those that are no longer valid."""
        after: str | None = None
        while True:
            needs, after = self._query_needs(service, limit=None, after=after)
            yield from needs
            if after is None:
                return

    def valid_needs(self, needs: Sequence[ConsumerNeed]) -> list[ConsumerNeed]:
        """Return those of *needs* that belong to their consumer's present declaration."""
        names = sorted({need.consumer for need in needs})
        batches = [names[start : start + _READS] for start in range(0, len(names), _READS)]
        generations: dict[str, str] = {}
        if len(batches) == 1:
            generations = self._generations(batches[0])
        elif batches:
            with ThreadPoolExecutor(max_workers=READ_THREADS) as pool:
                for found in pool.map(self._generations, batches):
                    generations |= found
        return [need for need in needs if generations.get(need.consumer) == need.generation]

    def _declare(self, name: str, needed: str, *, arn: str | None, owner: str | None) -> Consumer:
        before = self.get(name)
        consumer = Consumer(
            name=name,
            needed=needed,
            source=Source.DECLARED,
            seen_at=self._timestamp(),
            generation=self._next_generation(before),
            arn=arn,
            owner=owner,
        )
        self._replace_needs(before, consumer)
        return consumer

    def _record_scanned(self, name: str, needed: str, arn: str) -> bool:
        before = self.get(name)
        if before is not None and before.source is Source.DECLARED:
            raise DeclaredError(name)
        consumer = Consumer(
            name=name,
            needed=needed,
            source=Source.SCAN,
            seen_at=self._timestamp(),
            generation=self._next_generation(before),
            arn=arn,
        )
        if before is not None and (before.needed, before.arn) == (needed, arn):
            # Its needs are recorded already: only the time changes.
            self._put_head(before, replace(consumer, generation=before.generation))
            return False
        self._replace_needs(before, consumer)
        return True

    def _next_generation(self, before: Consumer | None) -> str:
        return layout.new_generation(
            int(self._now_s() * 1000), before.generation if before else None, self._random()
        )

    def _replace_needs(self, before: Consumer | None, consumer: Consumer) -> None:
        """Write the needs of a new generation, then make them valid.

        The generations up to the replaced one are removed afterwards. A later one may belong to
        another writer that has not finished.
        """
        items = [
            layout.need_to_item(
                ConsumerNeed(consumer=consumer.name, generation=consumer.generation, need=need)
            )
            for need in parse_needs(consumer.needed)
        ]
        self._write([{"PutRequest": {"Item": item}} for item in items])
        self._put_head(before, consumer)
        if before is not None:
            self._remove_needs(
                consumer.name,
                first=layout.NEED_PREFIX,
                last=layout.end_of_needs(before.generation),
            )

    def _put_head(self, before: Consumer | None, consumer: Consumer) -> None:
        condition: dict[str, Any] = {
            "ConditionExpression": "attribute_not_exists(#consumer)",
            "ExpressionAttributeNames": {"#consumer": layout.CONSUMER},
        }
        if before is not None:
            condition = {
                "ConditionExpression": "#generation = :read",
                "ExpressionAttributeNames": {"#generation": layout.GENERATION},
                "ExpressionAttributeValues": {":read": {"S": before.generation}},
            }
        with mapped_errors():
            self._client.put_item(
                TableName=self._table, Item=layout.consumer_to_item(consumer), **condition
            )

    def _remove_needs(self, name: str, *, first: str, last: str) -> None:
        """Remove the needs of a consumer whose sort keys are from *first* to *last*."""
        condition = "#consumer = :consumer AND #entry BETWEEN :first AND :last"
        start: dict[str, Any] = {}
        while True:
            with mapped_errors():
                response = self._client.query(
                    TableName=self._table,
                    ConsistentRead=True,
                    KeyConditionExpression=condition,
                    ProjectionExpression="#consumer, #entry",
                    ExpressionAttributeNames={
                        "#consumer": layout.CONSUMER,
                        "#entry": layout.ENTRY,
                    },
                    ExpressionAttributeValues={
                        ":consumer": {"S": name},
                        ":first": {"S": first},
                        ":last": {"S": last},
                    },
                    **start,
                )
            self._write([{"DeleteRequest": {"Key": item}} for item in response["Items"]])
            if "LastEvaluatedKey" not in response:
                return
            start = {"ExclusiveStartKey": response["LastEvaluatedKey"]}

    def _query_needs(
        self, service: str, *, limit: int | None, after: str | None
    ) -> tuple[list[ConsumerNeed], str | None]:
        """Read a page of a service's needs, and the position of its last one if there are more."""
        options: dict[str, Any] = {}
        if limit is not None:
            options["Limit"] = limit
        if after is not None:
            options["ExclusiveStartKey"] = layout.position_key(service, after)
        with mapped_errors():
            response = self._client.query(
                TableName=self._table,
                IndexName=layout.NEEDS_INDEX,
                KeyConditionExpression="#service = :service",
                ProjectionExpression="#position, #need",
                ExpressionAttributeNames={
                    "#service": layout.SERVICE,
                    "#position": layout.POSITION,
                    "#need": layout.NEED,
                },
                ExpressionAttributeValues={":service": {"S": service}},
                **options,
            )
        needs = list(readable(partial(layout.need_from_item, service), response["Items"]))
        last = response.get("LastEvaluatedKey")
        return needs, last[layout.POSITION]["S"] if last else None

    def _consumers(self, names: Iterable[str]) -> dict[str, Consumer]:
        keys = map(layout.head_key, sorted(names))
        items = batch_get(self._client, self._table, keys, consistent=True)
        return {each.name: each for each in readable(layout.consumer_from_item, items)}

    def _generations(self, names: Sequence[str]) -> dict[str, str]:
        keys = map(layout.head_key, names)
        items = batch_get(
            self._client,
            self._table,
            keys,
            consistent=True,
            attributes=(layout.CONSUMER, layout.GENERATION),
        )
        return dict(readable(layout.generation_in, items))

    def _write(self, requests: "list[WriteRequestTypeDef]") -> None:
        batch_write(self._client, self._table, requests, pause=self._pause)

    def _retried(self, attempt: Callable[[], _Result]) -> _Result:
        for tried in range(MAX_ATTEMPTS - 1):
            try:
                return attempt()
            except RaceLostError:
                self._pause(tried + 1)
        return attempt()

    def _pause(self, attempt: int) -> None:
        self._sleep(_FIRST_PAUSE_S * 2 ** min(attempt - 1, 5) * self._random())
