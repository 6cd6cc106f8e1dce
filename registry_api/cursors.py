"""Cursors: positions in a list, opaque to clients and valid only for that list.

The checksum is not a secret: a forged cursor only starts at another position of a list that the
client may read anyway. It detects truncated, altered and mixed-up cursors, which would return
wrong pages.
"""

import base64
import binascii
import hashlib

_CHECK_BYTES = 8


class CursorError(ValueError):
    """A cursor was altered, or issued for another list."""

    def __init__(self) -> None:
        super().__init__("it was altered, or issued for another list; begin without a cursor")


def _check(scope: str, position: bytes) -> bytes:
    # A scope holds text from a URL, which may have lone surrogates.
    scope_bytes = scope.encode("utf-8", "surrogatepass")
    return hashlib.sha256(scope_bytes + b"\0" + position).digest()[:_CHECK_BYTES]


def to_cursor(scope: str, position: str) -> str:
    """Return the cursor of a position in the list that *scope* identifies."""
    raw = position.encode()
    return base64.urlsafe_b64encode(_check(scope, raw) + raw).decode().rstrip("=")


def from_cursor(scope: str, cursor: str) -> str:
    """Return the position of a cursor of the list that *scope* identifies.

    Raises:
        CursorError: The cursor was altered, or issued for another list.
    """
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        position = raw[_CHECK_BYTES:].decode()
    except (binascii.Error, ValueError) as error:
        raise CursorError from error
    if to_cursor(scope, position) != cursor:
        raise CursorError
    return position
