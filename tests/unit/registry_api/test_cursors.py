"""Cursors: accepted by the list that made them, and refused by every other one."""

import string

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from registry_api.cursors import CursorError, from_cursor, to_cursor

SCOPES = st.sampled_from(
    [
        *("versions/users", "versions/billing", "history/users", "services/", "services/us"),
        *("services/\ud800", "services/\0"),
    ]
)
POSITIONS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@given(SCOPES, POSITIONS)
def test_cursor_is_read_back_in_its_own_list(scope: str, position: str) -> None:
    """A list continues where it stopped."""
    assert from_cursor(scope, to_cursor(scope, position)) == position


@given(SCOPES, POSITIONS)
def test_cursor_needs_no_escaping_in_a_url(scope: str, position: str) -> None:
    """A client that forgets to escape it still gets the next page."""
    assert set(to_cursor(scope, position)) <= set(string.ascii_letters + string.digits + "-_")


@given(SCOPES, SCOPES, POSITIONS)
def test_cursor_of_another_list_is_refused(scope: str, other: str, position: str) -> None:
    """It would return a wrong page without an error."""
    assume(scope != other)

    with pytest.raises(CursorError):
        from_cursor(other, to_cursor(scope, position))


@given(POSITIONS, st.data())
def test_altered_cursor_is_refused(position: str, data: st.DataObject) -> None:
    """Any character may be altered, even the last one, whose low bits are not used."""
    cursor = to_cursor("versions/users", position)
    at = data.draw(st.integers(0, len(cursor) - 1))
    other = data.draw(st.sampled_from(string.ascii_letters + string.digits + "-_="))
    assume(other != cursor[at])

    with pytest.raises(CursorError):
        from_cursor("versions/users", cursor[:at] + other + cursor[at + 1 :])


@given(POSITIONS, st.data())
def test_cut_cursor_is_refused(position: str, data: st.DataObject) -> None:
    """A terminal's line break may truncate a cursor."""
    cursor = to_cursor("versions/users", position)
    end = data.draw(st.integers(0, len(cursor) - 1))

    with pytest.raises(CursorError):
        from_cursor("versions/users", cursor[:end])


@given(st.text(max_size=60))
def test_made_up_cursor_is_refused(text: str) -> None:
    """Any text is a client's error, never a crash."""
    with pytest.raises(CursorError):
        from_cursor("versions/users", text)
