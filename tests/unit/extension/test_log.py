"""The log's lines: one for each outcome, with nothing that could break a line."""

import json
import re

from hypothesis import given
from hypothesis import strategies as st

from extension import log
from extension.log import Log

_FACTS = st.dictionaries(
    st.from_regex(r"[a-z_]{1,10}", fullmatch=True).filter(
        lambda name: name not in {"message", "timestamp", "level", "logger", "self"}
    ),
    st.text() | st.integers() | st.booleans(),
    max_size=4,
)


def _lines(facts: dict[str, object], *, as_json: bool, level: int = log.DEBUG) -> list[str]:
    written: list[bytes] = []
    own = Log(written.append, lambda: 1_800_000_000.9, level=level, as_json=as_json)
    own.warn("needs not resolved", **facts)
    return b"".join(written).decode().split("\n")


@given(_FACTS)
def test_json_line_has_each_fact_as_a_field(facts: dict[str, object]) -> None:
    """Lambda's JSON logs and their filters read the fields."""
    line, rest = _lines(facts, as_json=True)

    assert rest == ""
    assert json.loads(line) == facts | {
        "timestamp": "2027-01-15T08:00:00Z",
        "level": "WARN",
        "message": "needs not resolved",
        "logger": "service-discovery",
    }


@given(_FACTS)
def test_plain_line_stays_one_line(facts: dict[str, object]) -> None:
    """A server's error text can't add lines to the log."""
    line, rest = _lines(facts, as_json=False)

    assert rest == ""
    assert re.match(r"2027-01-15T08:00:00Z WARN service-discovery: needs not resolved( |$)", line)
    assert not [c for c in line if ord(c) < 0x20]
    for name in facts:
        assert f" {name}=" in line


def test_lines_below_the_level_are_not_logged() -> None:
    assert _lines({}, as_json=False, level=log.ERROR) == [""]
