"""Check files for what must not be committed: registries' hosts, this machine's paths, binaries.

A pre-commit hook, which `make check` runs on all files: `python .ci/check_files.py FILE ...`.
"""

import re
import sys
from pathlib import Path

# Each is written in two parts, so that this file does not contain what it looks for.
_HOSTS = ("pypi" + r"\.org", "python" + "hosted", "npm" + r"js\.(org|com)", "deb" + r"\.debian")
_OPTIONS = ("--index" + "-url", "--extra-index" + "-url")
_MACHINE_PATHS = ("/wo" + "rk/", "/ro" + "ot/", "/ho" + r"me/[a-z]")
_FORBIDDEN = re.compile("|".join([*_HOSTS, *_OPTIONS, *_MACHINE_PATHS]))
_MAX_BYTES = 400_000


def faults_in(path: Path) -> list[str]:
    """Return what is wrong with a file, one line for each fault."""
    data = path.read_bytes()
    if b"\0" in data:
        return [f"{path}: is a binary file"]
    if len(data) > _MAX_BYTES:
        return [f"{path}: has {len(data):,} bytes; source files have at most {_MAX_BYTES:,}"]
    lines = data.decode("utf-8", errors="replace").splitlines()
    return [
        f"{path}:{number}: must not be committed: {line.strip()[:100]}"
        for number, line in enumerate(lines, 1)
        if _FORBIDDEN.search(line)
    ]


def main(names: list[str]) -> int:
    """Print the faults in the named files; links and folders are skipped."""
    paths = [path for path in map(Path, names) if path.is_file() and not path.is_symlink()]
    faults = [fault for path in paths for fault in faults_in(path)]
    for fault in faults:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
