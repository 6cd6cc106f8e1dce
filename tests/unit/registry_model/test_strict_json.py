"""Strict JSON, compared with CPython's parser. The vectors test MicroPython."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_model import strict_json

_TEXTS = st.text(max_size=8) | st.sampled_from(
    ['"', "\\", '\\"', "{", "]", "\\ud83d", "😀", "\\\\"]
)
_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | _TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3),
    max_leaves=8,
)
_DOCUMENTS = st.dictionaries(_TEXTS, _VALUES, max_size=4)


@given(value=_VALUES, is_ascii=st.booleans())
def test_whole_document_is_read_as_cpython_reads_it(value: object, *, is_ascii: bool) -> None:
    """Documents of other tools are parsed correctly, with escapes or without."""
    text = json.dumps(value, ensure_ascii=is_ascii)

    assert strict_json.loads(text.encode()) == value


@given(value=_DOCUMENTS, is_ascii=st.booleans())
def test_document_cut_at_any_byte_is_an_error(value: object, *, is_ascii: bool) -> None:
    """In a shorter document, services would be missing."""
    data = json.dumps(value, ensure_ascii=is_ascii).encode()

    for end in range(len(data)):
        with pytest.raises(ValueError, match=r"\w"):
            strict_json.loads(data[:end])


@given(_TEXTS)
def test_encoded_text_is_parsed_back(text: str) -> None:
    """Documents are joined from such pieces."""
    assert json.loads(strict_json.dumps(text)) == text


@pytest.mark.parametrize(
    "data",
    [
        b"\xff{}",
        b'{"a": "\xc3"}',
        b"[" * 100_000 + b"]" * 100_000,
        b"{}{}",
        b"{} x",
        b"\xef\xbb\xbf{}",
    ],
    ids=["not UTF-8", "cut character", "deep", "two", "text behind", "mark before"],
)
def test_malformed_json_is_a_value_error(data: bytes) -> None:
    """Hostile data must not raise any other error."""
    with pytest.raises(ValueError, match=r"\w"):
        strict_json.loads(data)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('"\\ud83d\\ude00"', "😀"),
        ('"\\uD83D\\uDE00!"', "😀!"),
        ('"\\ud83d"', "\ufffd"),
        ('"\\ude00\\ud83d"', "\ufffd\ufffd"),
        ('"\\ud83dx\\ude00"', "\ufffdx\ufffd"),
        ('"\\\\ud83d\\\\ude00"', "\\ud83d\\ude00"),
    ],
)
def test_escaped_surrogates_become_valid_text(text: str, expected: str) -> None:
    """A lone surrogate can't be written to a UTF-8 file."""
    assert strict_json.loads(text.encode()) == expected


@pytest.mark.parametrize("end", ['"', "\\", '\\"', "{[", '"}]'])
def test_large_document_is_whole_or_not_wherever_its_parts_end(end: str) -> None:
    """It is checked in parts, and a part may end within a string or an escape."""
    for length in range(16_384 - 20, 16_384 + 4):
        value = {"long": "x" * length + end * 3, "list": [1]}
        data = json.dumps(value).encode()

        assert strict_json.loads(data) == value
        for cut in (1, 2, 5, 12, 18):
            with pytest.raises(ValueError, match="not"):
                strict_json.loads(data[:-cut])
