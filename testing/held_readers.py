"""Finds out whether a process is held by a lease on the file that it opens."""

from contextlib import suppress
from pathlib import Path

from local.processes import descendants


def is_held(pid: int) -> bool:
    """Return whether a thread of the process, or of one below it, waits for a lease's end."""
    for each in (pid, *descendants(pid)):
        with suppress(OSError):
            for wait_channel in Path(f"/proc/{each}/task").glob("*/wchan"):
                if "break_lease" in wait_channel.read_text(encoding="ascii"):
                    return True
    return False
