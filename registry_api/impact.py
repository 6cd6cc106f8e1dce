"""The impact of a change: the selectors that resolve to another version, and the needs of them.

The guard and the dry run compute it from the same `Change` that a write commits.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from registry_model.needs import LATEST, Selector
from registry_model.version import Version
from registry_tables.consumers_layout import ConsumerNeed
from registry_tables.records import Change
from registry_tables.series import Series, series_of

# Finds the highest active stable version of a series, optionally below another version.
HighestStable = Callable[[Series, Version | None], Version | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectorChange:
    """A selector that resolves to another version after a change; None for no version."""

    selector: str
    before: Version | None
    after: Version | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerChange:
    """A consumer's need that resolves to another version after a change; None for no version."""

    consumer: str
    need: str
    before: Version | None
    after: Version | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Impact:
    """The impact of a change.

    Attributes:
        selectors: In the index's order.
        consumers: In the order of the consumers' names.
    """

    selectors: tuple[SelectorChange, ...] = ()
    consumers: tuple[ConsumerChange, ...] = ()

    def lost_consumers(self) -> list[ConsumerChange]:
        """Return the needs that are left without an answer."""
        return [each for each in self.consumers if each.before is not None and each.after is None]

    def lost_selectors(self, version: Version) -> list[str]:
        """Return the selectors left without an answer that the guard of *version* protects."""
        protected = {LATEST, str(Series(version.major))}
        return [
            each.selector
            for each in self.selectors
            if each.selector in protected and each.before is not None and each.after is None
        ]


def selector_changes(change: Change, highest: HighestStable) -> tuple[SelectorChange, ...]:
    """Return each selector that resolves to another version after *change*.

    Args:
        highest: Returns the highest version of a series before the change.
    """
    before = change.expected.channels if change.expected else {}
    after = change.service.channels
    moves = {
        f"@{channel}": (before.get(channel), after.get(channel))
        for channel in before.keys() | after.keys()
        if channel != LATEST
    }
    moves[LATEST] = (change.expected.latest if change.expected else None, change.service.latest)
    if change.put is not None and change.found is None:
        moves[str(change.put.version)] = (None, change.put.version)
    if change.found is not None and change.deletes:
        moves[str(change.found.version)] = (change.found.version, None)
    moves |= _series_moves(change, highest)
    return tuple(
        SelectorChange(selector=selector, before=moves[selector][0], after=moves[selector][1])
        for selector in sorted(moves)
        if moves[selector][0] != moves[selector][1]
    )


def _series_moves(
    change: Change, highest: HighestStable
) -> Mapping[str, tuple[Version | None, Version | None]]:
    """Return what the version's own series resolve to before and after the change.

    A narrower series that includes the answer of a wider one has the same answer, so most changes
    need no look-up.
    """
    record = change.put or change.found
    was_answer = change.found is not None and change.found.is_answer
    is_answer = change.put.is_answer if change.put else was_answer and not change.deletes
    if record is None or was_answer == is_answer:
        return {}
    version = record.version
    before = change.expected.highest if change.expected else None
    after = change.service.highest
    moves: dict[str, tuple[Version | None, Version | None]] = {}
    for series in series_of(version)[1:]:
        if before is not None and not series.includes(before):
            before = highest(series, None)
        if after is not None and not series.includes(after):
            if is_answer:
                after = version if before is None else max(before, version)
            else:
                after = before if before != version else highest(series, version)
        moves[str(series)] = (before, after)
    return moves


def affected_needs(
    needs: Iterable[ConsumerNeed], selectors: Iterable[SelectorChange]
) -> list[ConsumerNeed]:
    """Return the needs that a change of these selectors may affect."""
    changed = {each.selector for each in selectors}
    return [each for each in needs if each.need.selector.index_selector in changed]


def consumer_changes(
    needs: Iterable[ConsumerNeed], selectors: Iterable[SelectorChange]
) -> tuple[ConsumerChange, ...]:
    """Return the needs that resolve to another version when these selectors change."""
    changes = {each.selector: each for each in selectors}
    # A service may have thousands of consumers, but they use only a few different selectors.
    moves: dict[str, tuple[Version | None, Version | None]] = {}
    found = []
    for each in needs:
        selector = each.need.selector
        change = changes.get(selector.index_selector)
        if change is None:
            continue
        move = moves.get(selector.requested)
        if move is None:
            move = _accepted(selector, change.before), _accepted(selector, change.after)
            moves[selector.requested] = move
        before, after = move
        if before != after:
            found.append(
                ConsumerChange(consumer=each.consumer, need=str(each), before=before, after=after)
            )
    return tuple(sorted(found, key=lambda each: (each.consumer, each.need)))


def _accepted(selector: Selector, version: Version | None) -> Version | None:
    """Return the version if it satisfies the selector, which may ask for a minimum."""
    return version if version is not None and selector.accepts(str(version)) else None
