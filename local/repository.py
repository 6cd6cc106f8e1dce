"""What must never be committed: names of package registries' hosts, machines' paths, binaries."""

import re
import subprocess
import sys
from pathlib import Path

from local.processes import ROOT

# Each is parted here so that this file does not hold what it looks for.
_HOSTS = ("pypi" + r"\.org", "python" + "hosted", "npm" + r"js\.(org|com)", "deb" + r"\.debian")
_OPTIONS = ("--index" + "-url", "--extra-index" + "-url")
_MACHINE_PATHS = ("/wo" + "rk/", "/ro" + "ot/", "/ho" + r"me/[a-z]")
_FORBIDDEN = re.compile("|".join([*_HOSTS, *_OPTIONS, *_MACHINE_PATHS]))
_LARGEST = 400_000


def faults() -> list[str]:
    """Name every tracked line and file that must not be there."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    )
    found = []
    for name in listed.stdout.split("\0"):
        path = ROOT / name
        if name and path.is_file() and not path.is_symlink():
            found += _faults_of(name, path)
    return found


def _faults_of(name: str, path: Path) -> list[str]:
    data = path.read_bytes()
    if b"\0" in data:
        return [f"{name}: a binary"]
    if len(data) > _LARGEST:
        return [f"{name}: {len(data):,} bytes; is it source?"]
    lines = data.decode("utf-8", errors="replace").splitlines()
    return [
        f"{name}:{number}: {line.strip()[:100]}"
        for number, line in enumerate(lines, 1)
        if _FORBIDDEN.search(line)
    ]


if __name__ == "__main__":
    for fault in (all_faults := faults()):
        print(fault)
    sys.exit(1 if all_faults else 0)
