"""Finds out whether a file is leased, and whether a process is held by its lease."""

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


def is_leased(path: Path) -> bool:
    """Return whether the kernel lists a lease on the file (proc(5), /proc/locks)."""
    inode = f":{path.stat().st_ino} "
    locks = Path("/proc/locks").read_text(encoding="ascii").splitlines()
    return any("LEASE" in line and inode in line for line in locks)
