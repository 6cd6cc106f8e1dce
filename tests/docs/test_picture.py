"""The demo's picture: made from its output, without external resources."""

import re
import xml.etree.ElementTree as ET

from local.picture import picture
from tests.conftest import ROOT

_OUTPUT = """
1. Start an embedded AWS
   http://127.0.0.1:4566
   done in 1.1 s

4. A pipeline publishes users 1.4.2
   index: users latest = 1.4.2
   done in 0.3 s

Every step did what it should, in 61 s.
"""


def _text(svg: str) -> str:
    return "".join(ET.fromstring(svg).itertext()).replace("\xa0", " ")


def test_picture_has_the_output_without_the_machines_times() -> None:
    text = _text(picture(_OUTPUT))

    assert "$ make demo" in text
    assert "index: users latest = " in text
    assert "Every step did what it should." in text
    assert "done in" not in text


def test_picture_in_the_readme_is_the_scripts_and_loads_nothing() -> None:
    """A page that shows it sends requests to no other host."""
    svg = (ROOT / "docs/images/demo.svg").read_text(encoding="utf-8")

    assert "function:users:2" in _text(svg)
    assert re.findall(r"url\((?!#)|href=|@import", svg) == []
