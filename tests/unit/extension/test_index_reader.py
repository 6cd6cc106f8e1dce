"""Answers of the table that nobody expects."""

import pytest

from tests.fuzz.targets import batch


@pytest.mark.parametrize("items", [b"0 ", b"1.5", b"true", b'"x"', b"[0]", b"[[]]"])
def test_items_that_are_no_list_of_items_are_a_malformed_answer(items: bytes) -> None:
    """Any other exception would be a bug of ours in the log, instead of another try."""
    data = b'{"Responses": {"index": ' + items + b"}}"

    verdict = batch(data + b" " * (len(data) % 2))

    assert verdict == "again"
