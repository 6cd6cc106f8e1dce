"""Small text functions: find a character that is not allowed, quote a text for a message.

Portable: runs under MicroPython and CPython.
"""

DIGITS = "0123456789"
_LONGEST_QUOTE = 80
# Ranges of control and format characters, line separators, surrogates and tags. They are invisible,
# or they break or reorder the line (from Unicode's categories Cc, Cf, Cs, Zl and Zp).
_INVISIBLE = (
    (0x00, 0x1F),
    (0x7F, 0x9F),
    (0xAD, 0xAD),
    (0x61C, 0x61C),
    (0x180E, 0x180E),
    (0x200B, 0x200F),
    (0x2028, 0x202E),
    (0x2060, 0x206F),
    (0xD800, 0xDFFF),
    (0xFEFF, 0xFEFF),
    (0xFFF9, 0xFFFB),
    (0xE0000, 0xE0FFF),
)


def first_not_in(text: str, allowed: str) -> str:
    """Return the first character of *text* that is not in *allowed*; empty if there is none.

    There is no loop over characters: MicroPython would look up each among its interned strings.
    """
    return text.lstrip(allowed)[:1]


def printable(text: str) -> str:
    """Return *text* on one line, with each invisible character escaped."""
    return "".join(
        [
            (f"\\x{ord(c):02x}" if ord(c) < 0x100 else f"\\u{ord(c):04x}")
            if _is_invisible(c)
            else c
            for c in text
        ]
    )


def escape_invisible(json: str) -> str:
    """Return a JSON text with each invisible character escaped."""
    return "".join([_json_escape(ord(c)) if _is_invisible(c) else c for c in json])


def _json_escape(code: int) -> str:
    if code < 0x10000:
        return f"\\u{code:04x}"
    code -= 0x10000
    return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"


def _is_invisible(character: str) -> bool:
    code = ord(character)
    if 0x20 <= code < 0x7F:
        return False
    for low, high in _INVISIBLE:
        if low <= code <= high:
            return True
    return False


def quote(text: str) -> str:
    """Return *text* in quotes for a message: printable, and shortened to fit in a log line."""
    return "'" + printable(text[:_LONGEST_QUOTE]) + ("'" if len(text) <= _LONGEST_QUOTE else "'...")
