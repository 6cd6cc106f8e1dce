"""Programs and packages that the tests install once, into the cache, for all checkouts."""

import hashlib
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from local.build_cache import cache_folder
from local.processes import one_at_a_time


def installed(packages: tuple[str, ...], install: Callable[[Path], None]) -> Path:
    """Return the folder with these packages.

    Args:
        packages: The packages with their versions, which callers pin. There is no lock file: that
            would name the address of a registry.
        install: Installs them into a folder, which exists and is empty. What it raises is passed
            on, and the next call installs anew.
    """
    name = re.sub(r"[^a-z0-9.-]+", "-", packages[0]).strip("-")
    pins = hashlib.sha256("\n".join((sys.version, *packages)).encode()).hexdigest()[:24]
    folder = cache_folder() / f"tools/{name}-{pins}"
    stamp = folder / "installed"
    # Tests run in several processes: one installs, the others wait for it.
    with one_at_a_time(folder.with_name(f"{folder.name}.lock")):
        if not stamp.exists():
            # An interrupted installation must not be taken for a complete one.
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            install(folder)
            stamp.touch()
    return folder
