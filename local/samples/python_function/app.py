"""A sample function that reads the services file in module code and in its handler."""

import json
import os
from pathlib import Path
from typing import Any

_FILE = Path(os.environ["SERVICES_FILE"])
_AT_START = json.loads(_FILE.read_text(encoding="utf-8"))


def handler(_event: object, _context: object) -> dict[str, Any]:
    """Return the services file as it was at the start, and as it is now."""
    return {
        "at_start": _AT_START,
        "now": json.loads(_FILE.read_text(encoding="utf-8")),
        "pid": os.getpid(),
    }
