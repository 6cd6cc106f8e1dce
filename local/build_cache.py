"""Caches the last build of the app, so that an unchanged checkout is not built again."""

import hashlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from local.processes import ROOT, one_at_a_time

# Tests, documentation and results are not inputs of a build; every other file is.
_IGNORED = {"__pycache__", "bench", "build", "docs", "examples", "node_modules", "testing", "tests"}


def cache_folder() -> Path:
    """Return the folder for the downloads and builds of the local stack and the tests."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "service-discovery"


def _sources(folder: Path) -> Iterator[Path]:
    """Return the files of the checkout that a build may read, sorted."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name in _IGNORED or path.name.endswith(".egg-info"):
            continue
        if path.is_dir() and not path.is_symlink():
            yield from _sources(path)
        elif path.is_file():
            yield path


def _digest(checkout: Path) -> str:
    """Return a digest of all inputs of a build, except the choice of layers."""
    digest = hashlib.sha256(sys.version.encode())
    for path in _sources(checkout):
        digest.update(f"{path.relative_to(checkout)}\0{path.stat().st_mode}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def copy_or_build(
    into: Path, layers: str, build: Callable[[], None], *, checkout: Path = ROOT
) -> None:
    """Copy the last build if it was made from the same files; otherwise build, and cache it.

    Args:
        into: The folder of the build, which does not exist yet.
        layers: The architectures that the build has layers for; all if empty.
        build: Builds into that folder.
        checkout: The folder of the sources.
    """
    folder = cache_folder()
    with one_at_a_time(folder / "build.lock"):
        digest = _digest(checkout)
        # A build with all layers is also good for one architecture.
        for name in ("build-all", f"build-{layers or 'all'}"):
            kept, digest_file = folder / name, folder / f"{name}.sha256"
            if digest_file.is_file() and digest_file.read_text(encoding="ascii") == digest:
                shutil.copytree(kept, into)
                return
        build()
        digest_file.unlink(missing_ok=True)
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(into, kept)
        digest_file.write_text(digest, encoding="ascii")
