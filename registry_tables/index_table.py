"""The index table in DynamoDB."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from registry_model import index_layout
from registry_model.index_layout import Answer
from registry_model.version import Version, VersionError
from registry_tables.calls import Item, batch_get, mapped_errors
from registry_tables.errors import DamagedAnswerError
from registry_tables.index_items import Difference, is_current, number_in
from registry_tables.page import Page
from registry_tables.records import ServiceRecord
from registry_tables.versions_table import VersionsTable

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

# TransactWriteItems takes 100 actions and 4 MB; one action checks the service's revision.
_MAX_WRITES = 99
_MAX_BYTES = 3_500_000
_QUERY_PAGE = 100
_SCAN_PAGE = 500


class IndexTable:
    """Reads the index table.

    Raises:
        ThrottledError, UnreachableError: From every method.
    """

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        """Use a low-level client on the table of this name."""
        self._client = client
        self._table = table

    def answers(self, wanted: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Answer]:
        """Read the existing answers of pairs of service and selector.

        A call reads a hundred items with eventual consistency, as in the extension.

        Raises:
            DamagedAnswerError: An item is malformed.
        """
        keys = [index_layout.item_key(*pair) for pair in set(wanted)]
        items = batch_get(self._client, self._table, keys, consistent=False)
        return dict(map(_key_and_answer, items))

    def selectors(self, service: str, copy: int, after: str | None) -> Page[str, str]:
        """Read a page of the selectors of a service's items, or of its copies with one number."""
        start: dict[str, Any] = {}
        if after is not None:
            start = {"ExclusiveStartKey": index_layout.item_key(service, after, copy)}
        names = {"#service": index_layout.SERVICE, "#selector": index_layout.SELECTOR}
        with mapped_errors():
            response = self._client.query(
                TableName=self._table,
                ConsistentRead=True,
                KeyConditionExpression="#service = :service",
                ProjectionExpression="#selector",
                ExpressionAttributeNames=names,
                ExpressionAttributeValues={
                    ":service": {"S": index_layout.partition_key(service, copy)}
                },
                Limit=_QUERY_PAGE,
                **start,
            )
        selectors = tuple(item[index_layout.SELECTOR]["S"] for item in response["Items"])
        has_more = selectors and "LastEvaluatedKey" in response
        return Page(items=selectors, last=selectors[-1] if has_more else None)

    def keys(self, after: tuple[str, str] | None) -> Page[tuple[str, str], tuple[str, str]]:
        """Read a page of the whole table's keys, in DynamoDB's order."""
        start: dict[str, Any] = {}
        if after is not None:
            partition, selector = after
            start = {"ExclusiveStartKey": index_layout.item_key(partition, selector)}
        with mapped_errors():
            response = self._client.scan(
                TableName=self._table,
                ProjectionExpression="#service, #selector",
                ExpressionAttributeNames={
                    "#service": index_layout.SERVICE,
                    "#selector": index_layout.SELECTOR,
                },
                Limit=_SCAN_PAGE,
                **start,
            )
        last = response.get("LastEvaluatedKey")
        return Page(
            items=tuple(index_layout.key_of(item) for item in response["Items"]),
            last=index_layout.key_of(last) if last else None,
        )


class IndexWriter(IndexTable):
    """Brings the index table up to date with the versions table.

    Attributes:
        copies: How many copies each item has, itself included.
    """

    def __init__(
        self, client: "DynamoDBClient", table: str, *, versions: VersionsTable, copies: int
    ) -> None:
        """Use a low-level client, and the versions table for the condition of each write."""
        super().__init__(client, table)
        self._versions = versions
        self.copies = copies

    def differences(self, service: str, answers: dict[str, Answer | None]) -> list[Difference]:
        """Compare the table with the correct answers; return the items that differ.

        The original comes after its copies, since only its item has the number of copies: if a
        worker is killed in between, the next one still finds the previous number.

        Args:
            answers: What each selector resolves to; None if it has no answer.
        """
        present = self._present(service, sorted(answers))
        differences = []
        for selector, answer in sorted(answers.items()):
            original = present.get((service, selector), {})
            recorded = min(number_in(original, index_layout.COPIES), index_layout.MAX_COPIES)
            differences += [
                self.surplus(service, selector, copy) for copy in range(self.copies, recorded)
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
                    is_right = is_current(found, wanted)
                if not is_right:
                    differences.append(Difference(key=key, found=found, wanted=wanted))
        return differences

    def surplus(self, service: str, selector: str, copy: int) -> Difference:
        """Return the difference of an item that should not exist."""
        key = index_layout.item_key(service, selector, copy)
        return Difference(key=key, found=key, wanted=None)

    def apply(
        self, name: str, expected: ServiceRecord | None, differences: Sequence[Difference]
    ) -> None:
        """Write the correct items; each transaction fails if the service has changed.

        Args:
            expected: The service as it was read; None if it did not exist.

        Raises:
            RaceLostError: The service has changed since it was read: recompute.
        """
        check = self._versions.unchanged_service(name, expected)
        for chunk in _chunks(differences):
            actions = [check, *(self._action(difference) for difference in chunk)]
            with mapped_errors():
                self._client.transact_write_items(TransactItems=actions)

    def _present(self, service: str, selectors: list[str]) -> dict[tuple[str, str], Item]:
        keys = [
            index_layout.item_key(service, selector, copy)
            for selector in selectors
            for copy in range(self.copies)
        ]
        items = batch_get(self._client, self._table, keys, consistent=True)
        return {index_layout.key_of(item): item for item in items}

    def _action(self, difference: Difference) -> "TransactWriteItemTypeDef":
        if difference.wanted is None:
            return {"Delete": {"TableName": self._table, "Key": difference.key}}
        return {"Put": {"TableName": self._table, "Item": difference.wanted}}


def _key_and_answer(item: Item) -> tuple[tuple[str, str], Answer]:
    key = index_layout.key_of(item)
    try:
        answer = index_layout.answer_from_item(item)
        Version.parse(answer.version)
    except (index_layout.IndexItemError, VersionError) as error:
        raise DamagedAnswerError(*key, error) from error
    return key, answer


def _chunks(differences: Sequence[Difference]) -> list[list[Difference]]:
    """Split by number and size into parts that fit into a transaction."""
    chunks: list[list[Difference]] = []
    size = 0
    for difference in differences:
        if not chunks or len(chunks[-1]) == _MAX_WRITES or size + difference.size() > _MAX_BYTES:
            chunks.append([])
            size = 0
        chunks[-1].append(difference)
        size += difference.size()
    return chunks
