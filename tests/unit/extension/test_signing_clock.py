"""The clock that requests are signed with."""

import datetime as dt
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extension.signing_clock import SigningClock, parse_http_date

_NOW = 1_790_000_000


@given(st.datetimes(dt.datetime(1970, 1, 1), dt.datetime(2200, 1, 1), timezones=st.just(dt.UTC)))  # noqa: DTZ001  # hypothesis wants naive bounds
def test_date_of_a_response_is_parsed(moment: dt.datetime) -> None:
    """The result is compared with Python's formatter."""
    assert parse_http_date(format_datetime(moment, usegmt=True)) == int(moment.timestamp())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "Thu, 26 Nov 2026 13:48:47 UTC",
        "Thu, 26 Not 2026 13:48:47 GMT",
        "Thu, 26 ovD 2026 13:48:47 GMT",
        "Thu, xx Nov 2026 13:48:47 GMT",
        "Thu, 26 Nov 2026 13:48 GMT",
        "Thu, 26 Nov 2026 13:48:4७ GMT",
        "Thu,  Nov 2026 13:48:47 GMT",
        "Thursday, 26-Nov-26 13:48:47 GMT",
    ],
)
def test_text_of_another_form_is_no_date(text: str) -> None:
    assert parse_http_date(text) is None


def _date(seconds: int) -> str:
    return format_datetime(dt.datetime.fromtimestamp(seconds, dt.UTC), usegmt=True)


def test_wrong_clock_is_corrected_once() -> None:
    """If the server refuses the same time again, the clock is not the reason."""
    clock = SigningClock(lambda: _NOW)

    assert clock.correct(_date(_NOW + 3_600))
    assert not clock.correct(_date(_NOW + 3_601))
    assert clock.timestamp() == dt.datetime.fromtimestamp(_NOW + 3_601, dt.UTC).strftime(
        "%Y%m%dT%H%M%SZ"
    )


def test_small_difference_of_clocks_is_ignored() -> None:
    clock = SigningClock(lambda: _NOW)

    assert not clock.correct(_date(_NOW + 20))
    assert clock.timestamp().endswith(dt.datetime.fromtimestamp(_NOW, dt.UTC).strftime("%H%M%SZ"))


def test_correction_ends_when_the_clock_is_right() -> None:
    clock = SigningClock(lambda: _NOW)
    clock.correct(_date(_NOW - 86_400))

    assert clock.correct(_date(_NOW))
    assert clock.timestamp().endswith(dt.datetime.fromtimestamp(_NOW, dt.UTC).strftime("%H%M%SZ"))
