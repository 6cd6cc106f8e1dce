"""Reads and writes a table's items without parsing them, for a restore."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from registry_tables import versions_layout as layout
from registry_tables.calls import Item, batch_get, batch_write, mapped_errors
from registry_tables.page import Page

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import WriteRequestTypeDef

Key = tuple[str, str]
_FIRST_PAUSE_S = 0.05


def key_of(item: Item) -> Key:
    """Return an item's key: its service and its entry."""
    return item[layout.SERVICE]["S"], item[layout.ENTRY]["S"]


def _key_attributes(key: Key) -> dict[str, Any]:
    service, entry = key
    return {layout.SERVICE: {"S": service}, layout.ENTRY: {"S": entry}}


class ItemTable:
    """A table with the same key as the versions table.

    Raises:
        ThrottledError, UnreachableError: From every method.
    """

    def __init__(
        self, client: "DynamoDBClient", table: str, *, sleep: Callable[[float], None]
    ) -> None:
        """Use a low-level client on the table of this name or ARN."""
        self._client = client
        self._table = table
        self._sleep = sleep

    def exists(self) -> bool:
        """Return whether there is such a table."""
        with mapped_errors():
            try:
                self._client.describe_table(TableName=self._table)
            except self._client.exceptions.ResourceNotFoundException:
                return False
        return True

    def arn(self) -> str:
        """Return the table's ARN, which has its account and Region."""
        return str(self._describe()["TableArn"])

    def key_attributes(self) -> list[str]:
        """Return the names of the key's attributes, the partition key first."""
        schema = sorted(self._describe()["KeySchema"], key=lambda each: each["KeyType"])
        return [each["AttributeName"] for each in schema]

    def page(self, after: Key | None, *, limit: int) -> Page[Item, Key]:
        """Read a page of all items, in DynamoDB's order."""
        start: dict[str, Any] = {}
        if after is not None:
            start = {"ExclusiveStartKey": _key_attributes(after)}
        with mapped_errors():
            response = self._client.scan(
                TableName=self._table, ConsistentRead=True, Limit=limit, **start
            )
        last = response.get("LastEvaluatedKey")
        return Page(items=tuple(response["Items"]), last=key_of(last) if last else None)

    def read(self, keys: Iterable[Key]) -> dict[Key, Item]:
        """Read those items of these keys that exist."""
        wanted = map(_key_attributes, keys)
        items = batch_get(self._client, self._table, wanted, consistent=True)
        return {key_of(item): item for item in items}

    def write(self, items: Iterable[Item], *, deletions: Iterable[Key] = ()) -> None:
        """Put and delete items one by one, without conditions."""
        requests: list[WriteRequestTypeDef] = [{"PutRequest": {"Item": item}} for item in items]
        requests += [{"DeleteRequest": {"Key": _key_attributes(key)}} for key in deletions]
        batch_write(self._client, self._table, requests, pause=self._pause)

    def _pause(self, refusals: int) -> None:
        self._sleep(_FIRST_PAUSE_S * 2 ** (refusals - 1))

    def _describe(self) -> Any:  # noqa: ANN401  # boto3's own
        with mapped_errors():
            return self._client.describe_table(TableName=self._table)["Table"]
