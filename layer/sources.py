"""Finds the layer's sources: in a folder, with apt, or on the upstream project's release page.

A file is used only if it has the pinned SHA-256.
"""

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import tomllib
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

FOLDER_VARIABLE = "SERVICE_DISCOVERY_SOURCES"
_PINS = Path(__file__).with_name("sources.toml")
_DOWNLOAD_TIMEOUT_S = 60


class SourceError(Exception):
    """A pinned source file was not found; the message names it, and says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """One pinned file.

    Attributes:
        debian: The source package and the suite with the file, or None.
        url: The file's address on the upstream release page, or None.
    """

    name: str
    sha256: str
    debian: tuple[str, str] | None
    url: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of the layer: its version, its licence (SPDX), and the files that have its source."""

    name: str
    version: str
    license: str
    files: tuple[SourceFile, ...]


def pinned_parts() -> dict[str, Part]:
    """Return the parts that `sources.toml` pins, by name."""
    pins = tomllib.loads(_PINS.read_text(encoding="utf-8"))
    return {
        name: Part(
            name=name,
            version=pin["version"],
            license=pin["license"],
            files=tuple(
                SourceFile(
                    name=file["name"],
                    sha256=file["sha256"],
                    debian=(file["debian"]["package"], file["debian"]["suite"])
                    if "debian" in file
                    else None,
                    url=file.get("url"),
                )
                for file in pin.get("files", ())
            ),
        )
        for name, pin in pins.items()
        if name != "roots"
    }


def pinned_roots() -> dict[str, str]:
    """Return the pinned root certificates: the SHA-256 of each one's DER, by name."""
    roots: dict[str, str] = tomllib.loads(_PINS.read_text(encoding="utf-8"))["roots"]
    return roots


def obtain(part: Part, cache: Path) -> tuple[SourceFile, Path]:
    """Return one of *part*'s files and its path in *cache*, where it is stored.

    Raises:
        SourceError: None of them was found.
    """
    tried: list[str] = []
    for file in part.files:
        kept = cache / file.sha256
        if kept.is_file() and _sha256(kept) == file.sha256:
            return file, kept
    cache.mkdir(parents=True, exist_ok=True)
    for file in part.files:
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            for obtain_file in (_from_folder, _from_apt, _from_upstream):
                found = obtain_file(file, Path(scratch), tried)
                if found is None:
                    continue
                seen = _sha256(found)
                if seen == file.sha256:
                    staged = Path(scratch) / "verified"
                    shutil.copyfile(found, staged)
                    kept = cache / file.sha256
                    staged.replace(kept)
                    return file, kept
                tried.append(f"{found.name}: found, but its SHA-256 is {seen}")
    wanted = "\n".join(
        f"  {file.name}\n    SHA-256 {file.sha256}\n    from {_origin(file)}" for file in part.files
    )
    looked = "\n".join(f"  {line}" for line in tried)
    message = (
        f"the source of {part.name} {part.version} was not found. One of these files is needed:\n"
        f"{wanted}\nSearched:\n{looked}\n"
        f"Put the file into a folder and set {FOLDER_VARIABLE} to the folder, or pin another "
        "version in layer/sources.toml (docs/layer.md says how)."
    )
    raise SourceError(message)


def _origin(file: SourceFile) -> str:
    places = []
    if file.debian:
        places.append(f"Debian's source package {file.debian[0]} ({file.debian[1]})")
    if file.url:
        places.append(file.url)
    return " or ".join(places)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _from_folder(file: SourceFile, _scratch: Path, tried: list[str]) -> Path | None:
    folder = os.environ.get(FOLDER_VARIABLE)
    if not folder:
        tried.append(f"{file.name}: {FOLDER_VARIABLE} is not set")
        return None
    path = Path(folder) / file.name
    if not path.is_file():
        tried.append(f"{path}: no such file")
        return None
    return path


def _mirrors() -> list[str]:
    """Return the Debian mirrors in this machine's apt configuration, the main archive first."""
    found: list[str] = []
    sources = Path("/etc/apt")
    for path in sorted([*sources.glob("sources.list"), *sources.glob("sources.list.d/*")]):
        if path.suffix not in (".list", ".sources"):
            continue
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.lstrip().startswith("#"):
                continue
            found += re.findall(r"(?:https?|file|copy)://?[^\s\]]*debian[^\s\]]*", line)
    archives = [url.rstrip("/") for url in dict.fromkeys(found) if "security" not in url]
    return archives or [url.rstrip("/") for url in dict.fromkeys(found)]


def _from_apt(file: SourceFile, scratch: Path, tried: list[str]) -> Path | None:
    """Download a Debian source package's files with a separate apt configuration, without root."""
    if file.debian is None:
        return None
    package, suite = file.debian
    if not shutil.which("apt-get"):
        tried.append(f"{file.name}: this machine has no apt-get")
        return None
    mirrors = _mirrors()
    if not mirrors:
        tried.append(f"{file.name}: this machine's apt has no Debian mirror")
        return None
    for folder in ("state/lists/partial", "cache/archives/partial", "download"):
        (scratch / folder).mkdir(parents=True, exist_ok=True)
    source_list = scratch / "sources.list"
    source_list.write_text("".join(f"deb-src {url} {suite} main\n" for url in mirrors))
    options = {
        "Dir::State": scratch / "state",
        "Dir::State::status": "/dev/null",
        "Dir::Cache": scratch / "cache",
        "Dir::Etc::sourcelist": source_list,
        "Dir::Etc::sourceparts": "/dev/null",
        "APT::Sandbox::User": "root" if os.geteuid() == 0 else "",
        "Acquire::Retries": "2",
    }
    apt = ["apt-get", "-qq", *(f"-o{name}={value}" for name, value in options.items())]
    for words in (["update"], ["source", "--download-only", package]):
        run = subprocess.run(
            [*apt, *words],
            cwd=scratch / "download",
            capture_output=True,
            text=True,
            check=False,
        )
        if run.returncode:
            message = " ".join(run.stderr.split()) or f"status {run.returncode}"
            tried.append(f"{file.name}: apt-get {' '.join(words)}: {message[:400]}")
            return None
    path = scratch / "download" / file.name
    if not path.is_file():
        brought = ", ".join(sorted(each.name for each in (scratch / "download").iterdir()))
        tried.append(f"{file.name}: {package} of {suite} is now another version: {brought}")
        return None
    return path


def _from_upstream(file: SourceFile, scratch: Path, tried: list[str]) -> Path | None:
    if file.url is None:
        return None
    path = scratch / f"upstream-{file.name}"
    try:
        with (
            urllib.request.urlopen(file.url, timeout=_DOWNLOAD_TIMEOUT_S) as response,
            path.open("wb") as kept,
        ):
            shutil.copyfileobj(response, kept)
    except (urllib.error.URLError, OSError) as error:
        tried.append(f"{file.url}: {error}")
        return None
    return path
