"""Workers that stop before each DynamoDB call, and transactions that are applied in part."""

import threading
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from registry_tables import versions_layout as layout
from testing import tables
from testing.killing import KilledError

Key = tuple[str, str, str]


class Worker:
    """A piece of work that stops before each of its DynamoDB calls, until it is continued."""

    def __init__(self, client: Any, work: Callable[[Any], object]) -> None:
        """Start the work, with this worker as its client; wait until its first call."""
        self._client = client
        self._work = work
        self._may_go = threading.Semaphore(0)
        self._has_stopped = threading.Semaphore(0)
        self._is_killed = False
        self.is_done = False
        self.result: object = None
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._has_stopped.acquire()

    def step(self) -> None:
        """Make one call, and run until the next one."""
        if not self.is_done:
            self._may_go.release()
            self._has_stopped.acquire()

    def finish(self) -> None:
        """Run to the end of the work; raise its error."""
        while not self.is_done:
            self.step()
        self._thread.join()
        if self.error is not None:
            raise self.error

    def kill(self) -> None:
        """End the work before its next call."""
        self._is_killed = True
        self.finish()

    def _run(self) -> None:
        try:
            self.result = self._work(self)
        except KilledError:
            pass
        except BaseException as error:  # noqa: BLE001  # raised where the test waits for it
            self.error = error
        self.is_done = True
        self._has_stopped.release()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(**arguments: Any) -> Any:
            self._has_stopped.release()
            self._may_go.acquire()
            if self._is_killed:
                raise KilledError
            return getattr(self._client, name)(**arguments)

        return call


class HalfDone:
    """DynamoDB while a transaction is applied: some of its items are new, others still old.

    Plain reads return each item as it is, new or old. Transactions that touch an item that is
    still old are refused. See "Isolation levels for DynamoDB transactions" in the DynamoDB
    Developer Guide.
    """

    def __init__(self, client: Any) -> None:
        """Set the client of the tables."""
        self._client = client
        self._hidden: dict[Key, dict[str, Any] | None] = {}

    def hide(self, before: dict[Key, dict[str, Any] | None]) -> None:
        """Make some items of a transaction old again; *before* has their former contents."""
        for key, item in before.items():
            self._hidden[key] = self._read(key)
            self._write(key, item)

    def complete(self) -> None:
        """Apply the transaction to the items that are still old."""
        for key, item in self._hidden.items():
            self._write(key, item)
        self._hidden.clear()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(**arguments: Any) -> Any:
            if self._hidden.keys() & set(keys_in(arguments.get("TransactItems", []))):
                raise ClientError(
                    {
                        "Error": {"Code": "TransactionCanceledException"},
                        "CancellationReasons": [{"Code": "TransactionConflict", "Message": ""}],
                    },
                    name,
                )
            return getattr(self._client, name)(**arguments)

        return call

    def _read(self, key: Key) -> dict[str, Any] | None:
        item = self._client.get_item(TableName=key[0], Key=_to_item_key(key), ConsistentRead=True)
        found: dict[str, Any] | None = item.get("Item")
        return found

    def _write(self, key: Key, item: dict[str, Any] | None) -> None:
        if item is None:
            self._client.delete_item(TableName=key[0], Key=_to_item_key(key))
        else:
            self._client.put_item(TableName=key[0], Item=item)


def keys_in(actions: list[dict[str, Any]]) -> list[Key]:
    """Return the keys in the versions table that a transaction touches."""
    found = []
    for action in actions:
        (details,) = action.values()
        if details["TableName"] == tables.VERSIONS:
            key = details.get("Key") or details["Item"]
            found.append((tables.VERSIONS, key[layout.SERVICE]["S"], key[layout.ENTRY]["S"]))
    return found


def _to_item_key(key: Key) -> dict[str, Any]:
    return {layout.SERVICE: {"S": key[1]}, layout.ENTRY: {"S": key[2]}}
