"""The time that requests are signed with: the wall clock's, corrected by a server's.

Portable: runs under MicroPython and CPython. Source of the date's format: RFC 9110, section 5.6.7.
"""

import time

from registry_model.text import DIGITS, first_not_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_MONTHS = "JanFebMarAprMayJunJulAugSepOctNovDec"
# A smaller difference of the clocks is ignored, since a signature is valid for five minutes.
_LEAST_SKEW_S = 60


class SigningClock:
    """The wall clock, corrected once a server has reported that it is wrong."""

    def __init__(self, wall: "Callable[[], float]") -> None:
        """Set the wall clock; no correction is known yet."""
        self._wall = wall
        self._correction_s = 0

    def timestamp(self) -> str:
        """Return the time to sign with: `YYYYMMDDTHHMMSSZ`."""
        seconds = time.gmtime(int(self._wall()) + self._correction_s)
        date = f"{seconds[0]:04d}{seconds[1]:02d}{seconds[2]:02d}"
        return f"{date}T{seconds[3]:02d}{seconds[4]:02d}{seconds[5]:02d}Z"

    def correct(self, date: str) -> bool:
        """Set the clock from the server's `Date` header; return whether that changed the time."""
        server_s = parse_http_date(date)
        if server_s is None:
            return False
        correction_s = server_s - int(self._wall())
        if abs(correction_s) < _LEAST_SKEW_S:
            correction_s = 0
        has_moved = abs(correction_s - self._correction_s) >= _LEAST_SKEW_S
        self._correction_s = correction_s
        return has_moved


def parse_http_date(text: str) -> "int | None":
    """Return the seconds since 1970 of a date such as `Thu, 26 Nov 2026 13:48:47 GMT`, or None."""
    parts = text.split(" ")
    if len(parts) != 6 or parts[5] != "GMT" or len(parts[2]) != 3:
        return None
    month = _MONTHS.find(parts[2])
    clock = parts[4].split(":")
    digits = parts[1] + parts[3] + "".join(clock)
    if month < 0 or month % 3 or len(clock) != 3 or first_not_in(digits, DIGITS):
        return None
    if len(digits) > 12 or "" in clock or not parts[1] or len(parts[3]) != 4:
        return None
    days = _days_since_1970(int(parts[3]), month // 3 + 1, int(parts[1]))
    return days * 86_400 + int(clock[0]) * 3_600 + int(clock[1]) * 60 + int(clock[2])


def _days_since_1970(year: int, month: int, day: int) -> int:
    # Not `time.mktime`, which uses the function's time zone. Years begin in March here, so that a
    # leap day is the last day of its year.
    if month < 3:
        year, month = year - 1, month + 12
    leap_days = year // 4 - year // 100 + year // 400
    return 365 * year + leap_days + (153 * (month - 3) + 2) // 5 + day - 719_469
