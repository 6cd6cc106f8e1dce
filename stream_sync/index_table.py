"""Reads and writes the index table; this function is its only writer."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from registry_model import index_layout
from registry_model import versions_layout as layout
from registry_model.index_layout import Answer
from registry_model.records import ServiceRecord
from stream_sync.aws_errors import BusyError, translated
from stream_sync.projection import is_same_answer

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

_BATCH = 100
# A transaction takes 100 actions and 4 MB; one action is the check of the service's revision.
_MAX_WRITES = 99
_MAX_BYTES = 3_500_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One item to be put, or deleted where it has no answer any more."""

    key: dict[str, Any]
    item: dict[str, Any] | None

    def size(self) -> int:
        """Estimate its share of a transaction, in bytes, from above."""
        return len(repr(self.item or self.key).encode())


class IndexTable:
    """The index table, and the check that ties each write to the versions table."""

    def __init__(
        self, client: "DynamoDBClient", *, table: str, versions_table: str, copies: int
    ) -> None:
        """Take a low-level client, both tables' names and how many copies each item has."""
        self._client = client
        self._table = table
        self._versions_table = versions_table
        self._copies = copies

    def differences(self, service: str, answers: dict[str, Answer | None]) -> list[Write]:
        """Compare with what the index has; name the items that have to change.

        Args:
            answers: What each selector resolves to; None where it has no answer.
        """
        present = self._present(service, sorted(answers))
        writes = []
        for selector, answer in sorted(answers.items()):
            for copy in range(self._copies):
                before = present.get((index_layout.partition_key(service, copy), selector))
                key = index_layout.item_key(service, selector, copy)
                if answer is None and before is not None:
                    writes.append(Write(key=key, item=None))
                elif answer is not None and (before is None or not is_same_answer(before, answer)):
                    item = index_layout.answer_to_item(service, selector, answer, copy)
                    writes.append(Write(key=key, item=item))
            original = present.get((service, selector))
            writes += self._surplus(service, selector, original)
        return writes

    def all_of(self, service: str) -> list[Write]:
        """Name the deletion of every item of a service that is gone."""
        selectors: list[tuple[str, Answer]] = []
        start: dict[str, Any] = {}
        while True:
            with translated():
                answer = self._client.query(
                    TableName=self._table,
                    ConsistentRead=True,
                    KeyConditionExpression="#service = :service",
                    ExpressionAttributeNames={"#service": index_layout.SERVICE},
                    ExpressionAttributeValues={":service": {"S": service}},
                    **start,
                )
            selectors += [
                (item[index_layout.SELECTOR]["S"], index_layout.answer_from_item(item))
                for item in answer["Items"]
            ]
            if "LastEvaluatedKey" not in answer:
                break
            start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}
        return [
            Write(key=index_layout.item_key(service, selector, copy), item=None)
            for selector, answer in selectors
            for copy in range(max(answer.copies, self._copies))
        ]

    def apply(self, name: str, expected: ServiceRecord | None, writes: list[Write]) -> None:
        """Make the changes, each transaction only if the service is still as it was read.

        Raises:
            MovedError: It is not: compute anew.
            BusyError: A table is asked for more than it gives right now.
        """
        check = self._check(name, expected)
        for chunk in _chunks(writes):
            actions = [check, *(self._action(write) for write in chunk)]
            with translated():
                self._client.transact_write_items(TransactItems=actions)

    def _present(self, service: str, selectors: list[str]) -> dict[tuple[str, str], Answer]:
        wanted: list[Any] = [
            index_layout.item_key(service, selector, copy)
            for selector in selectors
            for copy in range(self._copies)
        ]
        found: dict[tuple[str, str], Answer] = {}
        while wanted:
            with translated():
                answer = self._client.batch_get_item(
                    RequestItems={self._table: {"Keys": wanted[:_BATCH], "ConsistentRead": True}}
                )
            for item in answer["Responses"].get(self._table, []):
                found[index_layout.key_of(item)] = index_layout.answer_from_item(item)
            left = answer.get("UnprocessedKeys", {}).get(self._table)
            left_keys = [dict(key) for key in left["Keys"]] if left else []
            if len(left_keys) == len(wanted[:_BATCH]):
                raise BusyError
            wanted = wanted[_BATCH:] + left_keys
        return found

    def _surplus(self, service: str, selector: str, original: Answer | None) -> list[Write]:
        """Name copies from a time when there were more of them."""
        if original is None:
            return []
        return [
            Write(key=index_layout.item_key(service, selector, copy), item=None)
            for copy in range(self._copies, original.copies)
        ]

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

    def _action(self, write: Write) -> "TransactWriteItemTypeDef":
        if write.item is None:
            return {"Delete": {"TableName": self._table, "Key": write.key}}
        return {"Put": {"TableName": self._table, "Item": write.item}}


def _chunks(writes: list[Write]) -> list[list[Write]]:
    """Part *writes* into transactions, by number and by size."""
    chunks: list[list[Write]] = []
    size = 0
    for write in writes:
        if not chunks or len(chunks[-1]) == _MAX_WRITES or size + write.size() > _MAX_BYTES:
            chunks.append([])
            size = 0
        chunks[-1].append(write)
        size += write.size()
    return chunks
