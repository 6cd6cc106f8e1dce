"""Compares items of the index table, without parsing them.

Even an item that is damaged, or has attributes of a later product version, must be compared.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from registry_model import index_layout

Item = Mapping[str, Any]

# The attributes of the time of writing; all others are the item's content.
_WRITE_ATTRIBUTES = frozenset({index_layout.REVISION, index_layout.UPDATED_AT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A wrong item of the index.

    Attributes:
        key: The item's key.
        found: The present item, or None; only its key if the rest was not read.
        wanted: The correct item, or None if there should be none.
    """

    key: dict[str, Any]
    found: Item | None
    wanted: dict[str, Any] | None

    @property
    def revision_found(self) -> int:
        """The present item's revision; 0 if it has none."""
        return number_in(self.found or {}, index_layout.REVISION)

    def is_same_as(self, other: "Difference") -> bool:
        """Return whether both describe the same fault, even if computed at different times."""
        if self.key != other.key or self.found != other.found:
            return False
        return content_of(self.wanted or {}) == content_of(other.wanted or {})

    def size(self) -> int:
        """Return an upper bound of its share of a transaction, in bytes."""
        return len(repr(self.wanted or self.key).encode())


def number_in(item: Item, name: str) -> int:
    """Return a number of an index item; 0 if it is absent or malformed."""
    try:
        return int(item[name]["N"])
    except (LookupError, TypeError, ValueError):
        return 0


def is_current(found: Item, wanted: Item) -> bool:
    """Return whether an index item has the wanted content.

    Its revision may be lower. If it is higher than the service's, the versions table was restored,
    and the next change would look older than this item.
    """
    if number_in(found, index_layout.REVISION) > number_in(wanted, index_layout.REVISION):
        return False
    return content_of(found) == content_of(wanted)


def content_of(item: Item) -> dict[str, Any]:
    """Return an index item's attributes without those of the time of writing."""
    return {name: value for name, value in item.items() if name not in _WRITE_ATTRIBUTES}
