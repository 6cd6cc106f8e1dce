"""A simple model of docs/api.md: lists and `sorted`, without races and keys.

It shares no code with the registry, and reads all records for each answer.
"""

import copy
from typing import Any

Document = dict[str, Any]
# A consumer's need: alias or None, service, selector.
NaiveNeed = tuple[str | None, str, str]


def precedence(version: str) -> tuple[Any, ...]:
    """Return the sort key of SemVer's precedence."""
    core, _, prerelease = version.partition("-")
    numbers = [int(number) for number in core.split(".")]
    if not prerelease:
        return (numbers, 1, [])
    parts = prerelease.split(".")
    return (numbers, 0, [(0, int(p), "") if p.isdigit() else (1, 0, p) for p in parts])


def is_stable(version: str) -> bool:
    """Return whether a version has no pre-release part."""
    return "-" not in version


class NaiveService:
    """One service: its version records, its channels and its events, the oldest first."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.records: list[Document] = []
        self.channels: dict[str, str] = {}
        self.events: list[Document] = []

    @property
    def revision(self) -> int:
        """Return the number of changes."""
        return len(self.events)

    def find(self, version: str) -> Document | None:
        """Return a version's record."""
        for record in self.records:
            if record["version"] == version:
                return record
        return None

    def highest(self, prefix: str = "", least: str = "0.0.0-0") -> Document | None:
        """Return the highest active stable version."""
        found = [
            record
            for record in self.records
            if record["status"] == "active"
            and is_stable(record["version"])
            and record["version"].startswith(prefix)
            and precedence(record["version"]) >= precedence(least)
        ]
        return max(found, key=lambda record: precedence(record["version"]), default=None)

    def latest(self) -> Document | None:
        """Return the pinned version, otherwise the highest one."""
        pinned = self.channels.get("latest")
        return self.find(pinned) if pinned else self.highest()

    def descending(self) -> list[Document]:
        """Return the records, the highest first."""
        return sorted(self.records, key=lambda each: precedence(each["version"]), reverse=True)

    def pointing_at(self, version: str) -> list[str]:
        """Return the channels that point at a version."""
        return [channel for channel in self.channels if self.channels[channel] == version]

    def without(self, version: str, *, deleted: bool) -> "NaiveService":
        """Return a copy of the service with a version deleted or yanked."""
        after = copy.deepcopy(self)
        for record in after.records:
            if record["version"] == version:
                record["status"] = "yanked"
        after.records = [
            record for record in after.records if not deleted or record["version"] != version
        ]
        return after

    def versions_by_selector(self) -> dict[str, str]:
        """Return the version that each selector resolves to."""
        return {selector: record["version"] for selector, record in self.index().items()}

    def may_point(self, channel: str, version: str, status: str) -> bool:
        """Return whether a channel may point at a version."""
        return status == "active" and (channel != "latest" or is_stable(version))

    def record_change(self, action: str, by: str, **members: str | None) -> int:
        """Record a change; return its revision."""
        named = {name: value for name, value in members.items() if value is not None}
        self.events.append({"revision": self.revision + 1, "by": by, "action": action} | named)
        return self.revision

    def document(self) -> Document:
        """Return the service's document, without its times."""
        return {
            "name": self.name,
            "latest": self.latest(),
            "channels": self.channels,
            "revision": self.revision,
        }

    def index(self) -> dict[str, Document]:
        """Return every answer that the index should have."""
        answers = {f"@{c}": self.find(v) for c, v in self.channels.items() if c != "latest"}
        answers["latest"] = self.latest()
        for record in self.records:
            version: str = record["version"]
            major, minor = version.split(".")[:2]
            answers[version] = record
            answers[f"{major}.x"] = self.highest(f"{major}.")
            answers[f"{major}.{minor}.x"] = self.highest(f"{major}.{minor}.")
        return {selector: record for selector, record in answers.items() if record}

    def resolve(self, selector: str) -> Document | None:
        """Return the answer of a selector, from all versions."""
        if selector in {"", "==latest", "@latest"}:
            return self.latest()
        if selector.startswith("@"):
            version = self.channels.get(selector[1:])
            return self.find(version) if version else None
        operator, value = selector[:2], selector[2:]
        if operator == "==" and value.endswith(".x"):
            return self.highest(value[:-1])
        if operator == "==":
            return self.find(value)
        least = ".".join([*value.split("."), "0", "0"][:3])
        if operator == "~=":
            return self.highest(".".join(value.split(".")[:-1]) + ".", least)
        latest = self.latest()
        return latest if latest and precedence(latest["version"]) >= precedence(least) else None


def need_text(need: NaiveNeed) -> str:
    """Return a need as text."""
    alias, service, selector = need
    return f"{alias}:{service}{selector}" if alias else f"{service}{selector}"


class NaiveConsumer:
    """A consumer: its source and its needs."""

    def __init__(self, source: str, needs: list[NaiveNeed]) -> None:
        self.source = source
        self.needs = needs

    def needed(self) -> str:
        """Return the needs as text."""
        return ",".join(map(need_text, self.needs))


class NaiveRegistry:
    """All services; each change returns the status of its request."""

    def __init__(self) -> None:
        self.services: dict[str, NaiveService] = {}
        self.consumers: dict[str, NaiveConsumer] = {}

    def moved_needs(self, before: NaiveService, after: NaiveService) -> list[Document]:
        """Return the consumers' needs that a change of a service affects, as a dry run does."""
        moved = []
        for name, consumer in self.consumers.items():
            for alias, service, selector in consumer.needs:
                was, is_now = before.resolve(selector), after.resolve(selector)
                answers = [each and each["version"] for each in (was, is_now)]
                if service == before.name and answers[0] != answers[1]:
                    # A need of `latest` is shown in its shortest form.
                    shown = "" if selector in {"==latest", "@latest"} else selector
                    text = need_text((alias, service, shown))
                    moved.append(
                        {"consumer": name, "need": text, "from": answers[0], "to": answers[1]}
                    )
        return sorted(moved, key=lambda each: (each["consumer"], each["need"]))

    def lost(self, name: str, version: str, *, deleted: bool) -> tuple[list[str], list[Document]]:
        """Return the selectors and needs that the guard of a yank or a deletion protects."""
        before = self.services.get(name)
        if not before:
            return [], []
        after = before.without(version, deleted=deleted)
        gone = before.index().keys() - after.index().keys()
        selectors = gone & {"latest", version.split(".", maxsplit=1)[0] + ".x"}
        needs = self.moved_needs(before, after)
        return sorted(selectors), [each for each in needs if each["from"] and not each["to"]]

    def scan(self, prefix: str, found: dict[str, list[NaiveNeed]]) -> None:
        """Record the consumers of a scan; remove those that no longer exist."""
        scanned = {name for name, each in self.consumers.items() if each.source == "scan"}
        for name in scanned - found.keys():
            if name.startswith(prefix):
                del self.consumers[name]
        for name, needs in found.items():
            if name not in self.consumers or name in scanned:
                self.consumers[name] = NaiveConsumer("scan", needs)

    def publish(self, wanted: Document, by: str) -> int:
        """`POST /services`."""
        version, channel = wanted["version"], wanted.get("channel")
        service = self.services.get(wanted["name"]) or NaiveService(wanted["name"])
        published = service.find(version)
        if published and (
            published["arn"] != wanted["arn"]
            or published.get("metadata", {}) != wanted.get("metadata", {})
        ):
            return 409
        status = published["status"] if published else "active"
        if channel and not service.may_point(channel, version, status):
            return 409
        if published and channel and service.channels.get(channel) != version:
            service.record_change("set-channel", by, version=version, channel=channel)
        if not published:
            revision = service.record_change("publish", by, version=version, channel=channel)
            record = {
                "name": service.name,
                "version": version,
                "arn": wanted["arn"],
                "status": "active",
                "published_by": by,
                "revision": revision,
            }
            metadata = {"metadata": wanted["metadata"]} if wanted.get("metadata") else {}
            service.records.append(record | metadata)
        if channel:
            service.channels[channel] = version
        self.services[service.name] = service
        return 200 if published else 201

    def set_status(self, name: str, version: str, wanted: Document, by: str, *, force: bool) -> int:
        """`PATCH /services/{name}/versions/{version}`."""
        service = self.services.get(name)
        record = service.find(version) if service else None
        if not service or not record:
            return 404
        if wanted["status"] == "active":
            if record["status"] == "yanked":
                record.pop("reason", None)
                record["status"] = "active"
                record["revision"] = service.record_change("activate", by, version=version)
            return 200
        if service.pointing_at(version):
            return 409
        if not force and any(self.lost(name, version, deleted=False)):
            return 409
        reason = wanted.get("reason")
        if record["status"] == "active" or reason not in {None, record.get("reason")}:
            record["status"] = "yanked"
            record |= {"reason": reason} if reason is not None else {}
            record["revision"] = service.record_change("yank", by, version=version, reason=reason)
        return 200

    def delete(self, name: str, version: str, by: str, *, force: bool) -> int:
        """`DELETE /services/{name}/versions/{version}`."""
        service = self.services.get(name)
        record = service.find(version) if service else None
        if not service or not record:
            return 404
        if service.pointing_at(version):
            return 409
        if not force and any(self.lost(name, version, deleted=True)):
            return 409
        service.records.remove(record)
        service.record_change("delete", by, version=version)
        return 204

    def set_channel(self, name: str, channel: str, version: str, by: str) -> int:
        """`PUT /services/{name}/channels/{channel}`."""
        service = self.services.get(name)
        if not service:
            return 404
        record = service.find(version)
        if not record or not service.may_point(channel, version, record["status"]):
            return 409
        if service.channels.get(channel) != version:
            service.channels[channel] = version
            service.record_change("set-channel", by, version=version, channel=channel)
        return 200

    def delete_channel(self, name: str, channel: str, by: str) -> int:
        """`DELETE /services/{name}/channels/{channel}`."""
        service = self.services.get(name)
        if not service or channel not in service.channels:
            return 404
        del service.channels[channel]
        service.record_change("delete-channel", by, channel=channel)
        return 204
