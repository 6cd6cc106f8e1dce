"""Unit tests: `python -m pytest` in the folder above, without AWS."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "users"))

from app import handler


def test_returns_the_user_that_was_asked_for():
    assert handler({"id": "7"}, None) == {"id": "7", "name": "Ada"}
