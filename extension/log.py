"""The extension's log: one line on stderr for each outcome, JSON or plain text.

Portable: runs under MicroPython and CPython.
"""

import time

from registry_model import strict_json
from registry_model.text import escape_invisible, first_not_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

DEBUG = 10
INFO = 20
WARN = 30
ERROR = 40
LEVELS = {"DEBUG": DEBUG, "INFO": INFO, "WARN": WARN, "ERROR": ERROR}
_NAMES = {DEBUG: "DEBUG", INFO: "INFO", WARN: "WARN", ERROR: "ERROR"}
_SOURCE = "service-discovery"
# Text with only these characters is not quoted: printable ASCII without blank, `"` and `=`.
_PLAIN = (
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'()*+,-./:;<>?@[\\]^_`{|}~"
)


def timestamp(seconds: float) -> str:
    """Return a time since 1970 as ISO 8601, UTC, to the second."""
    parts = time.gmtime(int(seconds))
    date = f"{parts[0]:04d}-{parts[1]:02d}-{parts[2]:02d}"
    return date + f"T{parts[3]:02d}:{parts[4]:02d}:{parts[5]:02d}Z"


def _as_json(value: object) -> str:
    if value is True or value is False:
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    return escape_invisible(strict_json.dumps(str(value)))


def _as_text(value: object) -> str:
    text = str(value)
    if text and not first_not_in(text, _PLAIN):
        return text
    # Line feeds are escaped, so that the text stays on its line.
    return escape_invisible(strict_json.dumps(text))


class Log:
    """Writes lines at or above a level."""

    def __init__(
        self,
        write: "Callable[[bytes], object]",
        clock: "Callable[[], float]",
        *,
        level: int = WARN,
        as_json: bool = False,
    ) -> None:
        """Set the output, the wall clock, the lowest level and the format."""
        self._write = write
        self._clock = clock
        self._level = level
        self._as_json = as_json

    def debug(self, message: str, **facts: object) -> None:
        """Write a line at DEBUG: one step of the extension's work."""
        self._line(DEBUG, message, facts)

    def info(self, message: str, **facts: object) -> None:
        """Write a line at INFO: an expected outcome."""
        self._line(INFO, message, facts)

    def warn(self, message: str, **facts: object) -> None:
        """Write a line at WARN: a fault after which the function continues."""
        self._line(WARN, message, facts)

    def error(self, message: str, **facts: object) -> None:
        """Write a line at ERROR: a fault that somebody has to correct."""
        self._line(ERROR, message, facts)

    def _line(self, level: int, message: str, facts: "dict[str, object]") -> None:
        if level < self._level:
            return
        now = timestamp(self._clock())
        names = sorted(facts)
        if self._as_json:
            fields = [("timestamp", now), ("level", _NAMES[level]), ("message", message)]
            fields += [("logger", _SOURCE)]
            pairs = [f'"{name}": {_as_json(value)}' for name, value in fields]
            pairs += [f'"{name}": {_as_json(facts[name])}' for name in names]
            line = "{" + ", ".join(pairs) + "}"
        else:
            words = [now, _NAMES[level], _SOURCE + ":", message]
            words += [f"{name}={_as_text(facts[name])}" for name in names]
            line = " ".join(words)
        self._write((line + "\n").encode("utf-8"))
