"""Which answers a change can move, and what an answer looks like in the index. Pure."""

from dataclasses import dataclass

from registry_model.index_layout import Answer
from registry_model.needs import LATEST
from registry_model.records import ServiceRecord, Status, VersionRecord
from registry_model.version import Version


@dataclass(frozen=True, slots=True)
class StableQuery:
    """A question for the highest active stable version: of all, of `major.`, of `major.minor.`."""

    major: int | None = None
    minor: int | None = None

    def __str__(self) -> str:
        """Spell the selector that it answers."""
        if self.major is None:
            return LATEST
        return f"{self.major}.x" if self.minor is None else f"{self.major}.{self.minor}.x"


def queries_moved_by(version: Version) -> set[StableQuery]:
    """Name the questions whose answer a change to *version* can move."""
    if not version.is_stable:
        return set()
    return {
        StableQuery(),
        StableQuery(version.major),
        StableQuery(version.major, version.minor),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """All of a service that some changes can have moved.

    Attributes:
        exact: The versions themselves.
        queries: The questions for the highest active stable one.
        channels: The channels, `latest` left out: it is a question.
    """

    exact: frozenset[Version]
    queries: frozenset[StableQuery]
    channels: frozenset[str]


def moved(versions: set[Version], channels: set[str]) -> Moved:
    """Gather what changes to *versions* and *channels* can have moved."""
    queries = {query for version in versions for query in queries_moved_by(version)}
    if LATEST in channels:
        queries.add(StableQuery())
    return Moved(
        exact=frozenset(versions),
        queries=frozenset(queries),
        channels=frozenset(channels - {LATEST}),
    )


def chosen_versions(
    what: Moved, service: ServiceRecord, highest: dict[StableQuery, Version | None]
) -> dict[str, Version | None]:
    """Name the version that each moved selector resolves to now; None where it has no answer.

    Args:
        highest: The answer of the table to each question.
    """
    chosen: dict[str, Version | None] = {str(version): version for version in what.exact}
    for query in what.queries:
        chosen[str(query)] = highest.get(query)
    if StableQuery() in what.queries and LATEST in service.channels:
        chosen[LATEST] = service.channels[LATEST]
    for channel in what.channels:
        chosen["@" + channel] = service.channels.get(channel)
    return chosen


def answer_of(record: VersionRecord, *, revision: int, updated_at: str, copies: int) -> Answer:
    """Spell a version as an answer.

    Args:
        revision: The service's revision at which this is the answer.
        updated_at: When the item changes: ISO 8601, UTC.
        copies: How many copies of each item there are, itself included.
    """
    return Answer(
        version=str(record.version),
        arn=str(record.arn),
        status=str(record.status),
        reason=record.reason if record.status is Status.YANKED else None,
        metadata=record.metadata,
        revision=revision,
        updated_at=updated_at,
        copies=copies,
    )


def is_same_answer(one: Answer, other: Answer) -> bool:
    """Tell whether both say the same, at whatever revision."""
    return (
        one.version == other.version
        and one.arn == other.arn
        and one.status == other.status
        and one.reason == other.reason
        and one.metadata == other.metadata
        and one.copies == other.copies
    )
