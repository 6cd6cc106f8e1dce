"""Installs programs and packages for tests into the cache, once for all checkouts."""

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
        packages: The packages with their versions, which callers pin. There is no lock file, since
            it would contain the address of a registry.
        install: Installs them into an empty folder. If it raises an exception, the next call
            installs again.
    """
    name = re.sub(r"[^a-z0-9.-]+", "-", packages[0]).strip("-")
    pins = hashlib.sha256("\n".join((sys.version, *packages)).encode()).hexdigest()[:24]
    folder = cache_folder() / f"tools/{name}-{pins}"
    stamp = folder / "installed"
    # Tests run in several processes: one of them installs, the others wait.
    with one_at_a_time(folder.with_name(f"{folder.name}.lock")):
        if not stamp.exists():
            # An interrupted installation may have left files.
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            install(folder)
            stamp.touch()
    return folder
