"""Valid objects: a test sets only the attributes that matter to it."""

from dataclasses import replace
from typing import Any

from registry_api.values import Publication, WriteTerms
from registry_model.index_layout import Answer
from registry_model.version import Version
from registry_tables.arn import Arn
from registry_tables.records import (
    Action,
    Change,
    HistoryEvent,
    ServiceRecord,
    Status,
    VersionRecord,
)
from testing import arns

# For tests of other effects of yanks and deletions: the guard has its own tests.
FORCED = WriteTerms(passes_guard=True)
NOW = "2026-01-01T00:00:00Z"
ARN = Arn.parse(arns.ARN)
OTHER_ARN = Arn.parse(arns.OTHER_ARN)


def publication(version: str = "1.0.0", **members: Any) -> Publication:
    """Return a publication."""
    base = Publication(name="users", version=Version.parse(version), arn=ARN, metadata={})
    return replace(base, **members)


def service(**members: Any) -> ServiceRecord:
    """Return a service that was published once."""
    base = ServiceRecord(name="users", revision=1, created_at=NOW, updated_at=NOW)
    return replace(base, **members)


def record(version: str = "1.0.0", **members: Any) -> VersionRecord:
    """Return the record of a published version."""
    base = VersionRecord(
        name="users",
        version=Version.parse(version),
        arn=ARN,
        status=Status.ACTIVE,
        published_at=NOW,
        published_by="somebody",
        revision=1,
    )
    return replace(base, **members)


def event(**members: Any) -> HistoryEvent:
    """Return the history event of a service's first publish."""
    base = HistoryEvent(
        name="users",
        revision=1,
        at=NOW,
        by="somebody",
        action=Action.PUBLISH,
        version=Version.parse("1.0.0"),
        arn=ARN,
    )
    return replace(base, **members)


def answer(version: str = "1.0.0", **members: Any) -> Answer:
    """Return an index answer."""
    base: dict[str, Any] = {
        "version": version,
        "arn": str(ARN),
        "status": "active",
        "revision": 1,
        "updated_at": NOW,
    }
    return Answer(**base | members)


def change(version: str = "1.0.0", **members: Any) -> Change:
    """Return the publish of a new version; by default of the service's first one."""
    expected = members.get("expected")
    revision = expected.revision + 1 if expected else 1
    base = Change(
        expected=None,
        found=None,
        service=service(revision=revision),
        event=event(revision=revision, version=Version.parse(version)),
        put=record(version, revision=revision),
    )
    return replace(base, **members)
