"""A registry and a ledger in memory, with the API's refusals."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from publisher.ledger import LedgerEntry, RequestResult
from publisher.properties import ServiceVersion
from publisher.registry_port import ServiceWithEtag, VersionWithEtag
from registry_client.documents import VersionJson
from registry_client.errors import RefusalError
from registry_model.version import Version

if TYPE_CHECKING:
    from collections.abc import Callable


def refusal(status: int, detail: str) -> RefusalError:
    """Return a refusal of the API."""
    return RefusalError("PUT", "/services/x", status, {"status": status, "detail": detail})


@dataclass
class MemoryService:
    """A service of the memory registry."""

    revision: int = 0
    versions: dict[str, VersionJson] = field(default_factory=dict)
    channels: dict[str, str] = field(default_factory=dict)

    def latest(self) -> str | None:
        """Return the version that `latest` resolves to."""
        if "latest" in self.channels:
            return self.channels["latest"]
        active = [
            Version.parse(each["version"])
            for each in self.versions.values()
            if each["status"] == "active"
        ]
        stable = sorted(version for version in active if version.is_stable)
        return str(stable[-1]) if stable else None


class MemoryRegistry:
    """A registry in memory.

    Attributes:
        services: Its services.
        faults: Called with each write's name before and after the write; may raise.
    """

    def __init__(self) -> None:
        """Start empty."""
        self.services: dict[str, MemoryService] = {}
        self.before_write: Callable[[str], None] = lambda _name: None
        self.after_write: Callable[[str], None] = lambda _name: None

    def service(self, name: str) -> ServiceWithEtag:
        """Return a service's channels."""
        found = self.services.get(name)
        if found is None:
            return ServiceWithEtag(etag=None, channels={})
        return ServiceWithEtag(etag=str(found.revision), channels=dict(found.channels))

    def version(self, name: str, version: str) -> VersionWithEtag | None:
        """Return a version."""
        found = self.services.get(name)
        record = found.versions.get(version) if found else None
        return (
            VersionWithEtag(etag=str(record["revision"]), record=record.copy()) if record else None
        )

    def publish(self, wanted: ServiceVersion, if_match: str | None) -> VersionJson:
        """Publish a version."""
        self.before_write("publish")
        service = self.services.setdefault(wanted.name, MemoryService())
        if if_match is not None and if_match != str(service.revision):
            raise refusal(412, "the service has changed")
        record = service.versions.get(wanted.version)
        if record is not None and record["arn"] != wanted.arn:
            raise refusal(409, "published with another ARN")
        if wanted.channel is not None and record is not None and record["status"] == "yanked":
            raise refusal(409, "a channel can't point at a yanked version")
        moves = (
            wanted.channel is not None and service.channels.get(wanted.channel) != wanted.version
        )
        if record is None or moves:
            service.revision += 1
        if record is None:
            record = {
                "name": wanted.name,
                "version": wanted.version,
                "arn": wanted.arn,
                "status": "active",
                "metadata": dict(wanted.metadata),
                "published_at": "2026-11-26T08:00:00Z",
                "published_by": "tests",
                "revision": service.revision,
            }
            service.versions[wanted.version] = record
        if wanted.channel is not None:
            service.channels[wanted.channel] = wanted.version
        self.after_write("publish")
        return record.copy()

    def yank(self, seen: VersionWithEtag, reason: str) -> None:
        """Yank a version."""
        self.before_write("yank")
        service, record = self._unpointed(seen)
        service.revision += 1
        record.update({"status": "yanked", "reason": reason, "revision": service.revision})
        self.after_write("yank")

    def delete(self, seen: VersionWithEtag) -> None:
        """Delete a version."""
        self.before_write("delete")
        service, record = self._unpointed(seen)
        service.revision += 1
        del service.versions[record["version"]]
        self.after_write("delete")

    def set_channel(self, name: str, channel: str, version: str, if_match: str | None) -> None:
        """Set a channel."""
        self.before_write("set_channel")
        service = self.services[name]
        if if_match != str(service.revision):
            raise refusal(412, "the service has changed")
        record = service.versions.get(version)
        if record is None or record["status"] != "active":
            raise refusal(409, "a channel points at active versions only")
        service.revision += 1
        service.channels[channel] = version
        self.after_write("set_channel")

    def delete_channel(self, name: str, channel: str, if_match: str | None) -> None:
        """Delete a channel."""
        self.before_write("delete_channel")
        service = self.services[name]
        if if_match != str(service.revision):
            raise refusal(412, "the service has changed")
        service.revision += 1
        del service.channels[channel]
        self.after_write("delete_channel")

    def _unpointed(self, seen: VersionWithEtag) -> tuple[MemoryService, VersionJson]:
        service = self.services[seen.record["name"]]
        record = service.versions[seen.record["version"]]
        if seen.etag != str(record["revision"]):
            raise refusal(412, "the version has changed")
        pointing = [channel for channel, at in service.channels.items() if at == record["version"]]
        if pointing:
            raise refusal(409, f"channels point at it: {pointing}")
        return service, record


class MemoryLedger:
    """A ledger in memory."""

    def __init__(self) -> None:
        """Start empty."""
        self.kept: dict[tuple[str, str], LedgerEntry] = {}
        self.results: dict[str, RequestResult] = {}

    def entry(self, resource: str, physical_id: str) -> LedgerEntry | None:
        """Return an entry."""
        return self.kept.get((resource, physical_id))

    def entries(self, resource: str) -> list[LedgerEntry]:
        """Return a resource's entries."""
        return [entry for (owner, _), entry in self.kept.items() if owner == resource]

    def write_entry(self, entry: LedgerEntry) -> None:
        """Write an entry."""
        self.kept[entry.resource, entry.physical_id] = entry

    def delete_entry(self, entry: LedgerEntry) -> None:
        """Delete an entry."""
        del self.kept[entry.resource, entry.physical_id]

    def result(self, request: str) -> RequestResult | None:
        """Return a result."""
        return self.results.get(request)

    def record_result(self, request: str, result: RequestResult) -> RequestResult:
        """Write a result unless there is one."""
        return self.results.setdefault(request, result)
