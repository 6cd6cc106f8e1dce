"""Which answers a change can move, and what an answer looks like in the index. Pure."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from registry_model.index_layout import Answer
from registry_model.needs import LATEST, name_fault
from registry_model.version import Version, VersionError, number_fault
from registry_tables.records import ServiceRecord, Status, VersionRecord
from registry_tables.series import Series, series_of

_CHANNEL_PREFIX = "@"
_SERIES_SUFFIX = "x"


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
    queries: frozenset[Series]
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
    queries = {series for version in versions for series in series_of(version)}
    if LATEST in channels:
        queries.add(Series())
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
    queries = {Series()} if every_channel else set()
    strays: set[str] = set()
    for selector in selectors:
        question = _question(selector)
        if isinstance(question, Version):
            exact.add(question)
        elif isinstance(question, Series):
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


def _question(selector: str) -> Version | Series | str | None:
    """Read a selector of the index: a version, a series or a channel's name; None for a stray."""
    if selector == LATEST:
        return Series()
    if selector.startswith(_CHANNEL_PREFIX):
        channel = selector[1:]
        return None if channel == LATEST or name_fault(channel) else channel
    *numbers, last = selector.split(".")
    if last == _SERIES_SUFFIX:
        if len(numbers) not in (1, 2) or any(number_fault(number) for number in numbers):
            return None
        return Series(*map(int, numbers))
    try:
        return Version.parse(selector)
    except VersionError:
        return None


def highest_of(
    queries: Iterable[Series], look_up: Callable[[Series], Version | None]
) -> dict[Series, Version | None]:
    """Answer each question, looking up only those that a wider one's answer leaves open.

    The highest version of all is the highest of its own series too, and where there is none of
    all, no series has one.
    """
    found: dict[Series, Version | None] = {}
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
    what: Moved, service: ServiceRecord, highest: Mapping[Series, Version | None]
) -> dict[str, Version | None]:
    """Name the version that each moved selector resolves to now; None where it has no answer.

    Args:
        highest: The answer of the table to each question.
    """
    chosen: dict[str, Version | None] = {str(version): version for version in what.exact}
    chosen |= dict.fromkeys(what.strays)
    for query in what.queries:
        chosen[str(query)] = highest.get(query)
    if Series() in what.queries and LATEST in service.channels:
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
