"""Counts an operation's calls and capacity units in DynamoDB.

Source: Amazon DynamoDB Developer Guide, "DynamoDB read and write operations". A read unit is 4 KB,
a write unit 1 KB. Both are rounded up for each item, and for a Query once for the sum. Eventually
consistent reads cost half, transactional writes double. The size of an item is that of its names
and values. The cost of secondary indexes is not counted: it is the same for each version.
"""

import math
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from botocore.model import OperationModel
    from mypy_boto3_dynamodb import DynamoDBClient

_READ_UNIT = 4_096
_WRITE_UNIT = 1_024


@dataclass(slots=True)
class Usage:
    """The calls and units that were used.

    Attributes:
        calls: How often each operation was called.
        items: How many items were read.
        read_units: In units of 4 KB, strongly consistent.
        write_units: In units of 1 KB, as a transaction counts them.
    """

    calls: Counter[str] = field(default_factory=Counter)
    items: int = 0
    read_units: float = 0
    write_units: float = 0


@contextmanager
def metered(client: "DynamoDBClient") -> Iterator[Usage]:
    """Count what is used through *client*."""
    usage = Usage()
    lock = threading.Lock()

    # Each request has its own context, so several threads may use the client.
    def before(params: dict[str, Any], context: dict[str, Any], **_: object) -> None:
        context["metered"] = params

    def after(
        parsed: dict[str, Any], model: "OperationModel", context: dict[str, Any], **_: object
    ) -> None:
        with lock:
            _count(usage, model.name, context["metered"], parsed)

    events = client.meta.events
    events.register("provide-client-params.dynamodb", before)
    events.register("after-call.dynamodb", after)
    try:
        yield usage
    finally:
        events.unregister("provide-client-params.dynamodb", before)
        events.unregister("after-call.dynamodb", after)


def _count(usage: Usage, name: str, params: dict[str, Any], response: dict[str, Any]) -> None:
    usage.calls[name] += 1
    if name == "GetItem":
        found = [response["Item"]] if "Item" in response else []
        _count_reads(usage, found, missing=1 - len(found), consistent=_is_consistent(params))
    elif name == "BatchGetItem":
        for table, request in params["RequestItems"].items():
            found = response["Responses"].get(table, [])
            missing = len(request["Keys"]) - len(found)
            _count_reads(usage, found, missing=missing, consistent=_is_consistent(request))
    elif name == "TransactGetItems":
        found = [each["Item"] for each in response["Responses"] if "Item" in each]
        missing = len(params["TransactItems"]) - len(found)
        before = usage.read_units
        _count_reads(usage, found, missing=missing, consistent=True)
        usage.read_units += usage.read_units - before
    elif name in {"Query", "Scan"}:
        size = sum(map(item_size, response["Items"]))
        usage.items += len(response["Items"])
        units = max(1, math.ceil(size / _READ_UNIT))
        usage.read_units += units if _is_consistent(params) else units / 2
    elif name == "TransactWriteItems":
        for action in params["TransactItems"]:
            ((_, what),) = action.items()
            size = item_size(what["Item"]) if "Item" in what else 1
            usage.write_units += 2 * max(1, math.ceil(size / _WRITE_UNIT))
    else:
        message = f"the cost of {name} is not known"
        raise NotImplementedError(message)


def _is_consistent(request: Mapping[str, Any]) -> bool:
    return bool(request.get("ConsistentRead", False))


def _count_reads(usage: Usage, found: list[Any], *, missing: int, consistent: bool) -> None:
    units = sum(max(1, math.ceil(item_size(item) / _READ_UNIT)) for item in found) + missing
    usage.items += len(found)
    usage.read_units += units if consistent else units / 2


def item_size(item: Mapping[str, Any]) -> int:
    """Return the size of an item in bytes, as DynamoDB counts texts, numbers and maps of them."""
    return sum(len(name.encode()) + _value_size(value) for name, value in item.items())


def _value_size(value: Mapping[str, Any]) -> int:
    ((kind, content),) = value.items()
    if kind == "M":
        return 3 + sum(1 + len(name.encode()) + _value_size(each) for name, each in content.items())
    if kind == "N":
        return len(str(content)) // 2 + 2
    return len(str(content).encode())
