"""Cursors: where a list goes on, opaque to clients and bound to that list.

The check is no secret: whoever forges a cursor can only begin elsewhere in a list that he may read
anyway. It is there so that a cut, altered or mixed-up cursor is refused, and never a wrong page.
"""

import base64
import binascii
import hashlib

_CHECK_BYTES = 8


class CursorError(ValueError):
    """A cursor was altered, or issued for another list."""

    def __init__(self) -> None:
        """Say what a cursor is good for."""
        super().__init__("it was altered, or issued for another list; begin without a cursor")


def _check(scope: str, position: bytes) -> bytes:
    # A scope has what a client wrote into a URL: any text, lone surrogates included.
    scope_bytes = scope.encode("utf-8", "surrogatepass")
    return hashlib.sha256(scope_bytes + b"\0" + position).digest()[:_CHECK_BYTES]


def to_cursor(scope: str, position: str) -> str:
    """Spell the *position* in the list that *scope* names."""
    raw = position.encode()
    return base64.urlsafe_b64encode(_check(scope, raw) + raw).decode().rstrip("=")


def from_cursor(scope: str, cursor: str) -> str:
    """Read the position in the list that *scope* names.

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
