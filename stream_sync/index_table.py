"""Reads and writes the index table; this package is its only writer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from registry_model import index_layout
from registry_model import versions_layout as layout
from registry_model.index_layout import Answer
from registry_model.records import ServiceRecord
from stream_sync.aws_errors import translated
from stream_sync.batches import Page, batch_get
from stream_sync.projection import is_as_it_should_be, number_in, what_it_says

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

# A transaction takes 100 actions and 4 MB; one action is the check of the service's revision.
_MAX_WRITES = 99
_MAX_BYTES = 3_500_000
_PAGE = 100
_SCANNED = 500
Item = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One item of the index that is not as it should be.

    Attributes:
        key: The item's key.
        found: The item as it is, or None. Where an item is only known to be there, its key.
        wanted: The item as it should be, or None where it should not be.
    """

    key: dict[str, Any]
    found: Item | None
    wanted: dict[str, Any] | None

    @property
    def revision_found(self) -> int:
        """The revision of the item as it is; 0 where it has none."""
        return number_in(self.found or {}, index_layout.REVISION)

    def is_same_as(self, other: "Difference") -> bool:
        """Tell whether it is still the other one, whenever either was computed."""
        if self.key != other.key or self.found != other.found:
            return False
        return what_it_says(self.wanted or {}) == what_it_says(other.wanted or {})

    def size(self) -> int:
        """Estimate its share of a transaction, in bytes, from above."""
        return len(repr(self.wanted or self.key).encode())


class IndexTable:
    """The index table, and the check that ties each write to the versions table."""

    def __init__(
        self, client: "DynamoDBClient", *, table: str, versions_table: str, copies: int
    ) -> None:
        """Take a low-level client, both tables' names and how many copies each item has."""
        self._client = client
        self._table = table
        self._versions_table = versions_table
        self.copies = copies

    def differences(self, service: str, answers: dict[str, Answer | None]) -> list[Difference]:
        """Compare with what the index has; name the items that are not as they should be.

        The original comes behind its copies: it alone tells how many there are, and a worker that
        is killed in between must leave that to the next one.

        Args:
            answers: What each selector resolves to; None where it has no answer.
        """
        present = self._present(service, sorted(answers))
        differences = []
        for selector, answer in sorted(answers.items()):
            original = present.get((service, selector), {})
            told = min(number_in(original, index_layout.COPIES), index_layout.MAX_COPIES)
            differences += [
                self.surplus(service, selector, copy) for copy in range(self.copies, told)
            ]
            for copy in reversed(range(self.copies)):
                key = index_layout.item_key(service, selector, copy)
                found = present.get((index_layout.partition_key(service, copy), selector))
                wanted = None
                if answer is not None:
                    wanted = index_layout.answer_to_item(service, selector, answer, copy)
                if found is None or wanted is None:
                    is_right = found is wanted
                else:
                    is_right = is_as_it_should_be(found, wanted)
                if not is_right:
                    differences.append(Difference(key=key, found=found, wanted=wanted))
        return differences

    def surplus(self, service: str, selector: str, copy: int) -> Difference:
        """Name an item that is there and should not be."""
        key = index_layout.item_key(service, selector, copy)
        return Difference(key=key, found=key, wanted=None)

    def selectors(self, service: str, copy: int, after: str | None) -> Page[str, str]:
        """Name some selectors under which a service has items, or copies of one number."""
        start: dict[str, Any] = {}
        if after is not None:
            start = {"ExclusiveStartKey": index_layout.item_key(service, after, copy)}
        names = {"#service": index_layout.SERVICE, "#selector": index_layout.SELECTOR}
        with translated():
            answer = self._client.query(
                TableName=self._table,
                ConsistentRead=True,
                KeyConditionExpression="#service = :service",
                ProjectionExpression="#selector",
                ExpressionAttributeNames=names,
                ExpressionAttributeValues={
                    ":service": {"S": index_layout.partition_key(service, copy)}
                },
                Limit=_PAGE,
                **start,
            )
        selectors = tuple(item[index_layout.SELECTOR]["S"] for item in answer["Items"])
        has_more = selectors and "LastEvaluatedKey" in answer
        return Page(items=selectors, last=selectors[-1] if has_more else None)

    def keys(self, after: tuple[str, str] | None) -> Page[tuple[str, str], tuple[str, str]]:
        """Name some keys of the whole index, in no order but one that can be gone on with."""
        start: dict[str, Any] = {}
        if after is not None:
            partition, selector = after
            start = {"ExclusiveStartKey": index_layout.item_key(partition, selector)}
        with translated():
            answer = self._client.scan(
                TableName=self._table,
                ProjectionExpression="#service, #selector",
                ExpressionAttributeNames={
                    "#service": index_layout.SERVICE,
                    "#selector": index_layout.SELECTOR,
                },
                Limit=_SCANNED,
                **start,
            )
        last = answer.get("LastEvaluatedKey")
        return Page(
            items=tuple(index_layout.key_of(item) for item in answer["Items"]),
            last=index_layout.key_of(last) if last else None,
        )

    def apply(
        self, name: str, expected: ServiceRecord | None, differences: Sequence[Difference]
    ) -> None:
        """Make the items as they should be, each transaction only if the service is as it was read.

        Raises:
            MovedError: It is not: compute anew.
            BusyError: A table is asked for more than it gives right now.
        """
        check = self._check(name, expected)
        for chunk in _chunks(differences):
            actions = [check, *(self._action(difference) for difference in chunk)]
            with translated():
                self._client.transact_write_items(TransactItems=actions)

    def _present(self, service: str, selectors: list[str]) -> dict[tuple[str, str], Item]:
        keys = [
            index_layout.item_key(service, selector, copy)
            for selector in selectors
            for copy in range(self.copies)
        ]
        items = batch_get(self._client, self._table, keys)
        return {index_layout.key_of(item): item for item in items}

    def _check(self, name: str, expected: ServiceRecord | None) -> "TransactWriteItemTypeDef":
        if expected is None:
            return {
                "ConditionCheck": {
                    "TableName": self._versions_table,
                    "Key": layout.service_key(name),
                    "ConditionExpression": f"attribute_not_exists({layout.ENTRY})",
                }
            }
        return {
            "ConditionCheck": {
                "TableName": self._versions_table,
                "Key": layout.service_key(name),
                "ConditionExpression": "#revision = :expected",
                "ExpressionAttributeNames": {"#revision": layout.REVISION},
                "ExpressionAttributeValues": {":expected": {"N": str(expected.revision)}},
            }
        }

    def _action(self, difference: Difference) -> "TransactWriteItemTypeDef":
        if difference.wanted is None:
            return {"Delete": {"TableName": self._table, "Key": difference.key}}
        return {"Put": {"TableName": self._table, "Item": difference.wanted}}


def _chunks(differences: Sequence[Difference]) -> list[list[Difference]]:
    """Cut into what one transaction can take, by number and by size."""
    chunks: list[list[Difference]] = []
    size = 0
    for difference in differences:
        if not chunks or len(chunks[-1]) == _MAX_WRITES or size + difference.size() > _MAX_BYTES:
            chunks.append([])
            size = 0
        chunks[-1].append(difference)
        size += difference.size()
    return chunks
