"""Texts in messages stay visible and on one line."""

import json

import pytest

from registry_model.text import escape_invisible, first_not_in, printable, quote


def test_quoted_text_stays_on_one_line() -> None:
    """A client's text must not be able to forge a log line."""
    assert quote("a\nb\x7f") == "'a\\x0ab\\x7f'"
    assert quote("x" * 81) == "'" + "x" * 80 + "'..."


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\r\nb", "a\\x0d\\x0ab"),
        ("no\xadbreak\x85", "no\\xadbreak\\x85"),
        ("\u200bzero\u2028\ufeff", "\\u200bzero\\u2028\\ufeff"),
        ("\u202eright to left", "\\u202eright to left"),
        ("\U000e0041", "\\ue0041"),
        ("Größe 😀 ", "Größe 😀 "),
    ],
)
def test_invisible_characters_are_escaped(text: str, shown: str) -> None:
    """A hidden character would mislead the log's reader."""
    assert printable(text) == shown


def test_first_character_that_is_not_allowed_is_found() -> None:
    assert first_not_in("12a4", "0123456789") == "a"
    assert first_not_in("1234", "0123456789") == ""


@pytest.mark.parametrize("text", ["a\u202eb\u200b", "\x85 \x7f", "\U000e0041 😀", "plain"])
def test_json_with_escaped_characters_is_the_same_document(text: str) -> None:
    escaped = escape_invisible(json.dumps(text, ensure_ascii=False))

    assert json.loads(escaped) == text
    assert escaped.isprintable()
