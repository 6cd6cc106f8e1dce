"""Read the services file, which has the ARNs of the services that this function needs.

Part of the service-discovery layer. `get_service` opens the file at each call, so that it can wait
for a check that is due, and parses the file only if its content has changed.

It is imported at every cold start, so it imports only modules that the Lambda runtime has loaded.
"""

from __future__ import annotations

import json
import os
import time

__all__ = [
    "Service",
    "ServiceDiscoveryError",
    "ServiceMissingError",
    "ServiceUnavailableError",
    "StaleServiceError",
    "UnknownServiceError",
    "get_arn",
    "get_service",
]

_DEFAULT_PATH = "/tmp/services.json"  # noqa: S108  # the extension's default
# Windows opens files in text mode by default. It is supported for tests only.
_FLAGS = os.O_RDONLY | getattr(os, "O_BINARY", 0)
# File times have the resolution of the kernel's clock tick, up to 10 ms. Two changes within a tick
# look the same, so the content of a file that has just changed is compared.
_RECENT_NS = 100_000_000


class ServiceDiscoveryError(Exception):
    """The base of all errors here.

    Attributes:
        key: The key that was requested, or None if the whole file is malformed or missing.
    """

    def __init__(self, message: str, *, key: str | None = None) -> None:
        """Set the message, which says what to do, and the key."""
        super().__init__(message)
        self.key = key


class ServiceUnavailableError(ServiceDiscoveryError):
    """There is no answer yet: the registry could not be reached, or the file cannot be read."""


class UnknownServiceError(ServiceDiscoveryError):
    """The services file has no such key: it is not in `NEEDED_SERVICES`."""


class ServiceMissingError(ServiceDiscoveryError):
    """The registry has no version that matches the need."""


class StaleServiceError(ServiceDiscoveryError):
    """The last successful check is older than the caller's `max_age`."""


class Service:
    """The answer of a need.

    Attributes:
        arn: The service's ARN.
        version: The resolved version.
        status: `active` or `yanked`.
        metadata: The publisher's metadata; may be empty.
        resolved_at: When this answer last changed: ISO 8601, UTC.
        age: Seconds since the last successful check; infinite if there was none yet.
    """

    __slots__ = ("age", "arn", "metadata", "resolved_at", "status", "version")

    def __init__(
        self,
        arn: str,
        version: str,
        status: str,
        metadata: dict[str, str],
        resolved_at: str,
        age: float,
    ) -> None:
        """Set the parts."""
        self.arn = arn
        self.version = version
        self.status = status
        self.metadata = metadata
        self.resolved_at = resolved_at
        self.age = age

    def __repr__(self) -> str:
        return (
            f"Service(arn={self.arn!r}, version={self.version!r}, status={self.status!r}, "
            f"metadata={self.metadata!r}, resolved_at={self.resolved_at!r}, age={self.age:.3f})"
        )


class _Member:
    """A validated member of the services file.

    Attributes:
        status: `active`, `yanked`, `missing`, `unavailable`, or `malformed`.
        error: Why it is not resolved; empty if it is.
        arn, version, metadata, resolved_at: As in `Service`, if the status is `active` or `yanked`.
    """

    __slots__ = ("arn", "error", "metadata", "resolved_at", "status", "version")

    def __init__(self, fields: object) -> None:
        self.status = "malformed"
        self.error = ""
        self.arn = self.version = self.resolved_at = ""
        self.metadata: dict[str, str] = {}
        if not isinstance(fields, dict):
            self.error = "it is not an object"
            return
        status = fields.get("status")
        if status in ("missing", "unavailable"):
            self.status = status
            self.error = str(fields.get("error", "the file has no reason"))
            return
        self.arn, self.version = fields.get("arn", ""), fields.get("version", "")
        self.resolved_at = fields.get("resolved_at", "")
        self.metadata = fields.get("metadata", {})
        texts = (self.arn, self.version, self.resolved_at)
        if status not in ("active", "yanked"):
            self.error = f"its status is {status!r}"
        elif not all(isinstance(text, str) for text in texts):
            self.error = "a field is not a string"
        elif not self.arn or not self.version:
            self.error = "it has no arn or no version"
        elif not isinstance(self.metadata, dict):
            self.error = "its metadata is not an object"
        else:
            self.status = status


class _Document:
    """The services file as last read. It is immutable, so threads share it without a lock."""

    __slots__ = ("data", "identity", "members")

    def __init__(self, data: bytes, members: dict[str, _Member], identity: object) -> None:
        self.data = data
        self.members = members
        self.identity = identity


_last: _Document | None = None


def get_service(name: str, *, max_age: float | None = None) -> Service:
    """Return the service with the key *name*: its alias in `NEEDED_SERVICES`, otherwise its name.

    May wait up to `SERVICE_DISCOVERY_HOLD_MS` while a check is due.

    Args:
        name: The key.
        max_age: The maximum age of the last successful check, in seconds.

    Raises:
        ServiceUnavailableError: It was never resolved, or the file is absent or malformed.
        UnknownServiceError: `NEEDED_SERVICES` has no such key.
        ServiceMissingError: The registry has no version that matches.
        StaleServiceError: The last successful check is older than *max_age*.
    """
    path = os.environ.get("SERVICES_FILE") or _DEFAULT_PATH
    members, mtime = _read(path)
    member = members.get(name)
    if member is None:
        raise UnknownServiceError(_unknown_message(name, members), key=name)
    status = member.status
    if status in ("unavailable", "malformed"):
        raise ServiceUnavailableError(_unavailable_message(path, name, member), key=name)
    # The clock is coarser than the file's times, so the difference may be below 0.
    age = max(0.0, time.time() - mtime) if mtime else float("inf")
    # Not `age > max_age`, which is false if `max_age` is NaN.
    if max_age is not None and not age <= max_age:
        raise StaleServiceError(_stale_message(name, age, max_age), key=name)
    if status == "missing":
        message = (
            f"{member.error}: publish one (`service-registry publish`), "
            f"or change the selector of {name!r} in NEEDED_SERVICES."
        )
        raise ServiceMissingError(message, key=name)
    # A copy, since the caller may change it.
    metadata = dict(member.metadata)
    return Service(member.arn, member.version, status, metadata, member.resolved_at, age)


def get_arn(name: str, *, max_age: float | None = None) -> str:
    """Return the ARN of the service with the key *name*; see `get_service`."""
    return get_service(name, max_age=max_age).arn


def _read(path: str) -> tuple[dict[str, _Member], float]:
    """Return the file's members by key, and its modification time in seconds.

    Raises:
        ServiceUnavailableError: The file is absent, cannot be read, or is malformed.
    """
    global _last  # noqa: PLW0603  # one assignment, atomic; a lock would cost more
    try:
        # If a check is due, the kernel holds this call until the check has ended.
        fd = os.open(path, _FLAGS)
        try:
            info = os.fstat(fd)
            # At least one of these differs after a change in place, a replacement or a check.
            identity = (path, info.st_ino, info.st_dev, info.st_mtime_ns, info.st_ctime_ns)
            last = _last
            if last is not None and last.identity == identity:
                return last.members, info.st_mtime
            is_settled = info.st_ctime_ns < time.time_ns() - _RECENT_NS
            data = _read_all(fd)
        finally:
            os.close(fd)
    except OSError as error:
        raise ServiceUnavailableError(_unreadable_message(path, error)) from error
    if last is None or last.data != data:
        members = _parse(path, data)
    else:
        # A check without a changed answer changes only the modification time.
        data, members = last.data, last.members
    _last = _Document(data, members, identity if is_settled else None)
    return members, info.st_mtime


def _read_all(fd: int) -> bytes:
    pieces: list[bytes] = []
    while True:
        piece = os.read(fd, 1 << 20)
        if not piece:
            return b"".join(pieces)
        pieces.append(piece)


def _parse(path: str, data: bytes) -> dict[str, _Member]:
    """Parse a services file.

    Raises:
        ServiceUnavailableError: It is not a JSON object.
    """
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ServiceUnavailableError(_malformed_message(path, str(error))) from error
    if not isinstance(fields, dict):
        raise ServiceUnavailableError(_malformed_message(path, "it is not a JSON object"))
    return {key: _Member(fields[key]) for key in fields}


def _malformed_message(path: str, reason: str) -> str:
    return (
        f"{path!r} is malformed: {reason}. Only the extension should write this file; one that "
        "SERVICES_FILE names for a test has to be a JSON object with a member for each service."
    )


def _unavailable_message(path: str, name: str, member: _Member) -> str:
    if member.status == "malformed":
        return (
            f'{path!r} has a malformed member {name!r}: {member.error}. It needs "arn", '
            '"version" and "status": "active". Only the extension should write this file.'
        )
    return (
        f"{name!r} is not resolved yet: {member.error}. The extension tries again with a later "
        "invocation; if this continues, see its lines in the function's log."
    )


def _unreadable_message(path: str, error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return (
            f"{path!r} does not exist. In Lambda: attach the service-discovery layer, with the "
            "same SERVICES_FILE (if any) for function and layer. In a test or on a laptop: use "
            "service_discovery.testing.services({...}), or set SERVICES_FILE to a JSON file."
        )
    return f"{path!r} cannot be read: {error.strerror}. It has to be a readable file."


def _unknown_message(name: str, members: dict[str, _Member]) -> str:
    needed = os.environ.get("NEEDED_SERVICES") or ",".join(sorted(members))
    has = f"it has {needed!r}" if needed else "it is empty"
    if not set(name).isdisjoint("=~>@: ,"):
        return (
            f"{name!r} is not a key of the services file: pass only the name (or the alias), and "
            f"write version or channel into NEEDED_SERVICES; {has}."
        )
    whole = f"{needed},{name}==1.x" if needed else f"{name}==1.x"
    return (
        f"{name!r} is not in NEEDED_SERVICES; {has}. Add it to the function's environment with "
        f"the major version that you call, for example NEEDED_SERVICES={whole!r}."
    )


def _stale_message(name: str, age: float, max_age: float) -> str:
    since = "has never been checked" if age == float("inf") else f"was last checked {age:.0f} s ago"
    return (
        f"{name!r} {since}, and max_age is {max_age:g} s. If the registry cannot be reached, the "
        "extension's lines in the function's log say why. If it can, SERVICE_DISCOVERY_MAX_AGE has "
        "to be below max_age."
    )
