"""Parses JSON strictly, with the same result under MicroPython and CPython.

Portable: runs under MicroPython and CPython. MicroPython's `json` accepts a document that is
truncated after its last value, and turns an escaped surrogate pair into two characters that are not
valid in UTF-8.
"""

import json

_REPLACEMENT = "\ufffd"
# The documents that are read here stay far below these limits. MicroPython would need minutes to
# parse a number of a million digits.
_LONGEST_WORD = 400
_MOST_BRACKETS = 400
# How many bytes of a document are checked at a time.
_PART = 16_384


def _has_long_word(piece: bytes) -> bool:
    """Return whether a number or a run of brackets is too long."""
    if piece.count(b"{") + piece.count(b"[") > _MOST_BRACKETS:
        return True
    for word in piece.replace(b",", b" ").split():
        if len(word) > _LONGEST_WORD:
            return True
    return False


def _is_too_deep(pieces: "list[bytes]", depth: int) -> bool:
    for piece in pieces:
        depth += piece.count(b"{") - piece.count(b"}") + piece.count(b"[") - piece.count(b"]")
        if depth > _MOST_BRACKETS:
            return True
    return False


def _is_whole(data: bytes) -> bool:
    """Return whether every string and every bracket is closed.

    It works on bytes, since MicroPython would look up each piece of a string among its interned
    strings. It works part by part, since the pieces of a large document take several times its
    size.

    Raises:
        ValueError: It is nested too deeply, or has too long a number.
    """
    objects = lists = at = 0
    is_in_text = False
    while at < len(data):
        # A part ends after a quotation mark, so that it does not end within an escape sequence.
        end = data.find(b'"', at + _PART) + 1 or len(data)
        pieces = data[at:end].replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')
        outside = pieces[1::2] if is_in_text else pieces[::2]
        is_in_text = is_in_text != (len(pieces) % 2 == 0)
        at = end
        together = b"".join(outside)
        opened, listed = together.count(b"{"), together.count(b"[")
        is_beyond = objects + lists + opened + listed > _MOST_BRACKETS and _is_too_deep(
            outside, objects + lists
        )
        for piece in outside:
            is_beyond = is_beyond or (len(piece) > _LONGEST_WORD and _has_long_word(piece))
        if is_beyond:
            raise ValueError("it is nested too deeply, or has too long a number")
        objects += opened - together.count(b"}")
        lists += listed - together.count(b"]")
    return not is_in_text and not objects and not lists


def _unit(text: str, at: int) -> int:
    """Return the UTF-16 unit that is escaped at *at*; -1 if there is none."""
    if text[at : at + 2] != "\\u":
        return -1
    try:
        return int(text[at + 2 : at + 6], 16)
    except ValueError:
        return -1


def _with_pairs_joined(text: str) -> str:
    """Return *text* with each pair of escaped surrogates replaced by its character."""
    kept = []
    start = at = 0
    while True:
        at = text.find("\\", at)
        if at < 0:
            break
        high = _unit(text, at)
        if not 0xD800 <= high <= 0xDFFF:
            at += 2
            continue
        low = _unit(text, at + 6)
        kept.append(text[start:at])
        if high <= 0xDBFF and 0xDC00 <= low <= 0xDFFF:
            kept.append(chr(0x10000 + ((high - 0xD800) << 10) + low - 0xDC00))
            at += 12
        else:
            kept.append(_REPLACEMENT)
            at += 6
        start = at
    kept.append(text[start:])
    return "".join(kept)


def loads(data: bytes) -> object:
    """Parse a JSON document.

    Raises:
        ValueError: It is not UTF-8, not JSON, or truncated.
    """
    try:
        str(data, "utf-8")
    except UnicodeError:
        raise ValueError("it is not UTF-8")
    # CPython would accept a byte order mark, and detect UTF-16 or UTF-32 from NUL bytes.
    if data[:1] == b"\xef" or b"\0" in data[:4]:
        raise ValueError("it is not JSON")
    if not _is_whole(data):
        raise ValueError("it is not complete")
    if b"\\ud" in data or b"\\uD" in data:
        data = _with_pairs_joined(str(data, "utf-8")).encode("utf-8")
    try:
        return json.loads(data)
    except RuntimeError:  # the base of RecursionError, which MicroPython lacks
        raise ValueError("it is nested too deeply")


def dumps(value: str) -> str:
    """Return a text as JSON.

    Use it for the pieces of a document: in MicroPython, the time of `dumps` grows with the square
    of the length.
    """
    return json.dumps(value)
