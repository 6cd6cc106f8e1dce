"""Which answers a change can move, and what an answer looks like in the index. Pure."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from registry_model import index_layout
from registry_model.index_layout import Answer
from registry_model.needs import LATEST, name_fault
from registry_model.records import ServiceRecord, Status, VersionRecord
from registry_model.version import Version, VersionError, number_fault

_CHANNEL_PREFIX = "@"
_SERIES_SUFFIX = "x"
# What tells when an item was written, and not what it answers.
_WHEN = frozenset({index_layout.REVISION, index_layout.UPDATED_AT})


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

    @property
    def wider(self) -> "StableQuery | None":
        """The next wider question, whose answer may be this one's too; None for `latest`."""
        if self.major is None:
            return None
        return StableQuery() if self.minor is None else StableQuery(self.major)

    def includes(self, version: Version) -> bool:
        """Tell whether *version* is of the series."""
        return self.major in (None, version.major) and self.minor in (None, version.minor)


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
        every_channel: Whether all the channels that the service has are meant, too.
        strays: What is no selector at all, but is in the index.
        revision: The newest of the changes; 0 where it is not known. If it made a version another
            one, that is one of *exact*.
    """

    exact: frozenset[Version]
    queries: frozenset[StableQuery]
    channels: frozenset[str]
    every_channel: bool = False
    strays: frozenset[str] = frozenset()
    revision: int = 0

    @property
    def selectors(self) -> set[str]:
        """All that is named in it, as the index spells it."""
        channels = {_CHANNEL_PREFIX + channel for channel in self.channels}
        return {*map(str, self.exact), *map(str, self.queries), *channels, *self.strays}


def moved(versions: set[Version], channels: set[str], *, revision: int = 0) -> Moved:
    """Gather what changes to *versions* and *channels* can have moved, the newest at *revision*."""
    queries = {query for version in versions for query in queries_moved_by(version)}
    if LATEST in channels:
        queries.add(StableQuery())
    return Moved(
        exact=frozenset(versions),
        queries=frozenset(queries),
        channels=frozenset(channels - {LATEST}),
        revision=revision,
    )


def everything(
    versions: Iterable[Version],
    selectors: Iterable[str],
    *,
    every_channel: bool,
    revision: int,
) -> Moved:
    """Gather what *versions* imply, and what the index has under *selectors*."""
    exact, channels = set(versions), set[str]()
    queries = {StableQuery()} if every_channel else set()
    strays: set[str] = set()
    for selector in selectors:
        question = _question(selector)
        if isinstance(question, Version):
            exact.add(question)
        elif isinstance(question, StableQuery):
            queries.add(question)
        elif question is not None:
            channels.add(question)
        else:
            strays.add(selector)
    implied = moved(exact, channels, revision=revision)
    return replace(
        implied,
        queries=implied.queries | queries,
        every_channel=every_channel,
        strays=frozenset(strays),
    )


def _question(selector: str) -> Version | StableQuery | str | None:
    """Read a selector of the index: a version, a series or a channel's name; None for a stray."""
    if selector == LATEST:
        return StableQuery()
    if selector.startswith(_CHANNEL_PREFIX):
        channel = selector[1:]
        return None if channel == LATEST or name_fault(channel) else channel
    *numbers, last = selector.split(".")
    if last == _SERIES_SUFFIX:
        if len(numbers) not in (1, 2) or any(number_fault(number) for number in numbers):
            return None
        return StableQuery(*map(int, numbers))
    try:
        return Version.parse(selector)
    except VersionError:
        return None


def highest_of(
    queries: Iterable[StableQuery], look_up: Callable[[StableQuery], Version | None]
) -> dict[StableQuery, Version | None]:
    """Answer each question, looking up only those that a wider one's answer leaves open.

    The highest version of all is the highest of its own series too, and where there is none of
    all, no series has one.
    """
    found: dict[StableQuery, Version | None] = {}
    for query in sorted(queries, key=lambda each: (each.major is not None, each.minor is not None)):
        wider = query.wider
        if wider is not None and wider in found:
            highest = found[wider]
            if highest is None or query.includes(highest):
                found[query] = highest
                continue
        found[query] = look_up(query)
    return found


def chosen_versions(
    what: Moved, service: ServiceRecord, highest: Mapping[StableQuery, Version | None]
) -> dict[str, Version | None]:
    """Name the version that each moved selector resolves to now; None where it has no answer.

    Args:
        highest: The answer of the table to each question.
    """
    chosen: dict[str, Version | None] = {str(version): version for version in what.exact}
    chosen |= dict.fromkeys(what.strays)
    for query in what.queries:
        chosen[str(query)] = highest.get(query)
    if StableQuery() in what.queries and LATEST in service.channels:
        chosen[LATEST] = service.channels[LATEST]
    channels = what.channels | set(service.channels) if what.every_channel else what.channels
    for channel in channels - {LATEST}:
        chosen[_CHANNEL_PREFIX + channel] = service.channels.get(channel)
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


def number_in(item: Mapping[str, Any], name: str) -> int:
    """Read a number of an item of the index, whatever became of it; 0 where there is none."""
    try:
        return int(item[name]["N"])
    except (LookupError, TypeError, ValueError):
        return 0


def is_as_it_should_be(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Tell whether an item of the index says what it should, and nothing else.

    At whatever revision, unless the service is not yet there: then the versions table was restored,
    and what comes next would seem to be older than this item.
    """
    if number_in(found, index_layout.REVISION) > number_in(wanted, index_layout.REVISION):
        return False
    return what_it_says(found) == what_it_says(wanted)


def what_it_says(item: Mapping[str, Any]) -> dict[str, Any]:
    """Give what an item of the index answers, without when it was written."""
    return {name: value for name, value in item.items() if name not in _WHEN}
