"""A sample function: reads the services file, as module code at its start and in its handler."""

import json
import os
from pathlib import Path
from typing import Any

_FILE = Path(os.environ["SERVICES_FILE"])
_AT_START = json.loads(_FILE.read_text(encoding="utf-8"))


def handler(_event: object, _context: object) -> dict[str, Any]:
    """Tell what the file said at the start, and what it says now."""
    return {
        "at_start": _AT_START,
        "now": json.loads(_FILE.read_text(encoding="utf-8")),
        "pid": os.getpid(),
    }
