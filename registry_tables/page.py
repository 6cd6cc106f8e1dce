"""Pages of a list."""

from dataclasses import dataclass
from typing import Generic, TypeVar

_Item = TypeVar("_Item")
_Position = TypeVar("_Position")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[_Item, _Position]):
    """Some entries of a list, in its order.

    Attributes:
        last: The position to continue after; None if the list ends here.
    """

    items: tuple[_Item, ...]
    last: _Position | None
