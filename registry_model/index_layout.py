"""The index table: the DynamoDB item of an answer, and its key.

Portable: runs under MicroPython and CPython. The table is a public read model: one `GetItem`
resolves a service. So renaming an attribute needs a migration. Items are in DynamoDB's JSON,
`{"version": {"S": "1.4.2"}}`, as in boto3's low-level client and in the HTTP API.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    Item = Mapping[str, Any]

SERVICE = "service"
SELECTOR = "selector"
VERSION = "version"
ARN = "arn"
STATUS = "status"
REASON = "reason"
METADATA = "metadata"
REVISION = "revision"
UPDATED_AT = "updated_at"
COPIES = "copies"

# The maximum of the template's parameter IndexCopies.
MAX_COPIES = 50
_LONGEST_NUMBER = 39

ACTIVE = "active"
YANKED = "yanked"


class IndexItemError(ValueError):
    """An index item is malformed; the message names the attribute."""


class Answer:
    """The result of resolving a service's selector.

    Attributes:
        version: The resolved version's text.
        arn: Its ARN.
        status: `active` or `yanked`.
        reason: Why it was yanked, or None.
        metadata: The publisher's metadata.
        revision: A revision of the service at which this was the answer.
        updated_at: When the item last changed: ISO 8601, UTC.
        copies: How many copies of the item there are, itself included.
    """

    __slots__ = (
        "arn",
        "copies",
        "metadata",
        "reason",
        "revision",
        "status",
        "updated_at",
        "version",
    )

    def __init__(
        self,
        *,
        version: str,
        arn: str,
        status: str,
        revision: int,
        updated_at: str,
        reason: "str | None" = None,
        metadata: "dict[str, str] | None" = None,
        copies: int = 1,
    ) -> None:
        """Set the parts."""
        self.version = version
        self.arn = arn
        self.status = status
        self.revision = revision
        self.updated_at = updated_at
        self.reason = reason
        self.metadata = metadata or {}
        self.copies = copies


def partition_key(service: str, copy: int = 0) -> str:
    """Return the partition key of the original (copy 0) or of a copy (1 or more)."""
    return f"#{copy}#{service}" if copy else service


def service_of(partition: str) -> "tuple[str, int]":
    """Parse a partition key; return the service and the copy's number, 0 for the original."""
    for copy in range(1, MAX_COPIES):
        prefix = partition_key("", copy)
        if partition.startswith(prefix) and partition != prefix:
            return partition[len(prefix) :], copy
    return partition, 0


def item_key(service: str, selector: str, copy: int = 0) -> "dict[str, dict[str, str]]":
    """Return the key of an index item."""
    return {SERVICE: {"S": partition_key(service, copy)}, SELECTOR: {"S": selector}}


def _text(item: "Item", name: str) -> str:
    value = _optional_text(item, name)
    if value is None:
        raise IndexItemError(f"the index item has no string in {name!r}")
    return value


def _optional_text(item: "Item", name: str) -> "str | None":
    attribute = item.get(name)
    if attribute is None:
        return None
    value = attribute.get("S") if isinstance(attribute, dict) else None
    if not isinstance(value, str):
        raise IndexItemError(f"the index item's {name!r} is not a string")
    return value


def _number(item: "Item", name: str, default: "int | None") -> int:
    attribute = item.get(name)
    if attribute is None and default is not None:
        return default
    value = attribute.get("N") if isinstance(attribute, dict) else None
    # DynamoDB's numbers have at most 38 digits; a longer text is not parsed, to save time.
    if isinstance(value, str) and len(value) <= _LONGEST_NUMBER:
        try:
            return int(value)
        except ValueError:
            pass
    raise IndexItemError(f"the index item's {name!r} is not a whole number")


def _metadata(item: "Item") -> "dict[str, str]":
    attribute = item.get(METADATA)
    if attribute is None:
        return {}
    entries = attribute.get("M") if isinstance(attribute, dict) else None
    if not isinstance(entries, dict):
        raise IndexItemError(f"the index item's {METADATA!r} is not a map")
    for name in entries:
        # MicroPython's parser accepts numbers as names.
        if not isinstance(name, str):
            raise IndexItemError(f"the index item's {METADATA!r} has a name that is not a string")
    return {name: _text(entries, name) for name in entries}


def key_of(item: "Item") -> "tuple[str, str]":
    """Parse an item's own key: its partition key and its selector.

    Raises:
        IndexItemError: The item has no key.
    """
    return _text(item, SERVICE), _text(item, SELECTOR)


def answer_from_item(item: "Item") -> Answer:
    """Parse an index item.

    Raises:
        IndexItemError: An attribute is missing or of another type.
    """
    status = _text(item, STATUS)
    if status not in (ACTIVE, YANKED):
        raise IndexItemError(f"the index item's {STATUS!r} is {status!r}")
    return Answer(
        version=_text(item, VERSION),
        arn=_text(item, ARN),
        status=status,
        reason=_optional_text(item, REASON),
        metadata=_metadata(item),
        revision=_number(item, REVISION, None),
        updated_at=_text(item, UPDATED_AT),
        copies=_number(item, COPIES, 1),
    )


def answer_to_item(service: str, selector: str, answer: Answer, copy: int = 0) -> "dict[str, Any]":
    """Return the index item for *answer*; *copy* is 0 for the original, or a copy's number."""
    item: "dict[str, Any]" = {
        SERVICE: {"S": partition_key(service, copy)},
        SELECTOR: {"S": selector},
        VERSION: {"S": answer.version},
        ARN: {"S": answer.arn},
        STATUS: {"S": answer.status},
        REVISION: {"N": str(answer.revision)},
        UPDATED_AT: {"S": answer.updated_at},
    }
    if answer.reason is not None:
        item[REASON] = {"S": answer.reason}
    if answer.metadata:
        item[METADATA] = {"M": {name: {"S": text} for name, text in answer.metadata.items()}}
    if answer.copies > 1:
        item[COPIES] = {"N": str(answer.copies)}
    return item
