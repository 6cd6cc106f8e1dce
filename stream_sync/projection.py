"""The answers that a change can affect, and their present values. No I/O, no clock."""

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
class AffectedAnswers:
    """The answers of one service that some changes can have affected.

    Attributes:
        versions: The exact versions.
        series: The series, `latest` among them.
        channels: The channels without `latest`, which is a series.
        includes_all_channels: Whether all other channels of the service are included.
        malformed: Sort keys in the index that are not selectors.
        revision: The revision of the newest change; 0 if it is not known. If that change wrote
            a version, the version is one of *versions*.
    """

    versions: frozenset[Version]
    series: frozenset[Series]
    channels: frozenset[str]
    includes_all_channels: bool = False
    malformed: frozenset[str] = frozenset()
    revision: int = 0

    @property
    def selectors(self) -> set[str]:
        """The selectors of these answers, as in the index."""
        channels = {_CHANNEL_PREFIX + channel for channel in self.channels}
        return {*map(str, self.versions), *map(str, self.series), *channels, *self.malformed}


def affected_by(
    versions: set[Version], channels: set[str], *, revision: int = 0
) -> AffectedAnswers:
    """Return the answers that changes to *versions* and *channels* can have affected.

    Args:
        revision: The revision of the newest of the changes.
    """
    series = {each for version in versions for each in series_of(version)}
    if LATEST in channels:
        series.add(Series())
    return AffectedAnswers(
        versions=frozenset(versions),
        series=frozenset(series),
        channels=frozenset(channels - {LATEST}),
        revision=revision,
    )


def answers_to_check(
    versions: Iterable[Version],
    selectors: Iterable[str],
    *,
    includes_all_channels: bool,
    revision: int,
) -> AffectedAnswers:
    """Return the answers of *versions*, and those of the index's *selectors*."""
    exact, channels = set(versions), set[str]()
    series = {Series()} if includes_all_channels else set()
    malformed: set[str] = set()
    for selector in selectors:
        parsed = _parse_selector(selector)
        if isinstance(parsed, Version):
            exact.add(parsed)
        elif isinstance(parsed, Series):
            series.add(parsed)
        elif parsed is not None:
            channels.add(parsed)
        else:
            malformed.add(selector)
    affected = affected_by(exact, channels, revision=revision)
    return replace(
        affected,
        series=affected.series | series,
        includes_all_channels=includes_all_channels,
        malformed=frozenset(malformed),
    )


def _parse_selector(selector: str) -> Version | Series | str | None:
    """Parse a selector of the index: a version, a series or a channel's name; None if malformed."""
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
    series: Iterable[Series], find: Callable[[Series], Version | None]
) -> dict[Series, Version | None]:
    """Return the highest version of each series, with as few calls of *find* as possible.

    The highest version of a wide series is also the highest of each narrower series that includes
    it. If a wide series has no version, its narrower ones have none.
    """
    found: dict[Series, Version | None] = {}
    for each in sorted(series, key=lambda one: (one.major is not None, one.minor is not None)):
        wider = each.wider
        if wider is not None and wider in found:
            highest = found[wider]
            if highest is None or each.includes(highest):
                found[each] = highest
                continue
        found[each] = find(each)
    return found


def resolve_answers(
    affected: AffectedAnswers,
    service: ServiceRecord,
    highest: Mapping[Series, Version | None],
) -> dict[str, Version | None]:
    """Return the version that each selector resolves to now; None if it has no answer.

    Args:
        highest: The highest active stable version of each series of *affected*.
    """
    resolved: dict[str, Version | None] = {str(version): version for version in affected.versions}
    resolved |= dict.fromkeys(affected.malformed)
    for series in affected.series:
        resolved[str(series)] = highest.get(series)
    if Series() in affected.series and LATEST in service.channels:
        resolved[LATEST] = service.channels[LATEST]
    channels = affected.channels
    if affected.includes_all_channels:
        channels |= service.channels.keys()
    for channel in channels - {LATEST}:
        resolved[_CHANNEL_PREFIX + channel] = service.channels.get(channel)
    return resolved


def answer_of(record: VersionRecord, *, revision: int, updated_at: str, copies: int) -> Answer:
    """Return the index's answer for a version.

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


def damage_of(
    service: ServiceRecord,
    highest: Mapping[Series, Version | None],
    resolved: Mapping[str, Version | None],
    records: Mapping[Version, VersionRecord],
) -> str | None:
    """Return how a service's items contradict each other; None if they do not.

    Items are written in transactions, but a restore to a point in time may bring back only some of
    a transaction's items.

    Args:
        highest: The highest active stable version of each series, from the table's index.
        resolved: The version that each selector resolves to.
        records: The versions of *resolved* that exist.
    """
    for record in records.values():
        fault = revision_fault(service, record.version, record.revision)
        if fault is not None:
            return fault
    for channel, version in sorted(service.channels.items()):
        selector = LATEST if channel == LATEST else _CHANNEL_PREFIX + channel
        if resolved.get(selector) == version and version not in records:
            return f"the channel {channel!r} points at {version}, which is not there"
    if Series() in highest and highest[Series()] != service.highest:
        return f"its highest version is {highest[Series()]}, but it has {service.highest} on record"
    return None


def revision_fault(service: ServiceRecord, version: Version, revision: int) -> str | None:
    """Return the fault of a version's revision; None if it has none."""
    if revision <= service.revision:
        return None
    return f"{version} is at revision {revision}, above the service's {service.revision}"
