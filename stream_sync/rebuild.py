"""Rebuild and verify: hold the index against the versions table, one service or all of them.

Services first, each with all that its versions, its channels and its present items name; then what
is left over: items of services that are gone, and copies beyond IndexCopies. Each step is small,
writes nothing but what a recompute would, and ends at a place that one can go on from: no more than
a page is ever held, and no history is read.
"""

import base64
import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import partial
from typing import Any

from registry_model import index_layout
from registry_model.index_layout import MAX_COPIES
from registry_model.needs import name_fault
from registry_model.version import Version
from registry_tables.errors import RaceLostError
from registry_tables.index_items import Difference
from stream_sync import projection
from stream_sync.recompute import Outcome, Recompute

# Services and versions that are read in one call; no more of them is ever held.
_PAGE = 100
# How many of a service's selectors are remembered, so that none is looked at twice.
_REMEMBERED = 10_000
# How many present selectors are gathered for a step. Its versions come on top.
_GATHERED = 100
# With this many differences an answer is full: Lambda's may have 6 MB.
_FULL = 500
# What differs is looked at again after so long: a change that has just been made is no fault.
_SETTLED_AFTER_S = 5.0


# In a cursor: a service has no versions left to look at.
_NONE_LEFT = ""


class Action(StrEnum):
    """What to do about what is not as it should be."""

    REBUILD = "rebuild"
    VERIFY = "verify"


class RequestError(ValueError):
    """A request is malformed; the message says why, and the way out."""


class UnfinishedError(Exception):
    """A service was not rebuilt to the end; the message says why."""


class _Phase(StrEnum):
    SERVICES = "services"
    WITHIN = "within"
    LEFT_OVER = "left-over"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """How far the work has got.

    Attributes:
        service: The last service that is done; within one, that one; among what is left over of
            all services, the last partition key.
        version: Within a service, its last version that was looked at; empty: there is none left.
        copy: Which of a service's partitions in the index is next.
        selector: The last selector that was looked at there.
    """

    phase: str = _Phase.SERVICES
    service: str | None = None
    version: str | None = None
    copy: int = 0
    selector: str | None = None

    def to_cursor(self) -> str:
        """Spell it as one word."""
        parts = [self.phase, self.service, self.version, self.copy, self.selector]
        return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")

    @classmethod
    def from_cursor(cls, cursor: str) -> "Place":
        """Read the word.

        Raises:
            RequestError: It is none that `to_cursor` spelled.
        """
        try:
            padded = cursor + "=" * (-len(cursor) % 4)
            phase, service, version, copy, selector = json.loads(base64.urlsafe_b64decode(padded))
            place = cls(
                phase=_Phase(phase), service=service, version=version, copy=copy, selector=selector
            )
            if place.version:
                Version.parse(place.version)
            is_read = place.to_cursor() == cursor
        except (TypeError, ValueError):
            is_read = False
        if not is_read:
            message = f"the cursor {cursor!r} is none that a rebuild gave; copy it whole"
            raise RequestError(message)
        return place


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is asked for.

    Attributes:
        service: The one service that is meant, or None for all.
        place: Where to begin.
        seconds: After how long to answer with a cursor, at the latest; None: when there is no time.
    """

    action: Action
    service: str | None = None
    place: Place | None = None
    seconds: float | None = None

    @classmethod
    def parse(cls, payload: Any) -> "Request":  # noqa: ANN401  # whatever came
        """Read an invocation's payload.

        Raises:
            RequestError: It is malformed.
        """
        if not isinstance(payload, dict) or payload.get("action") not in list(Action):
            message = f'expected {{"action": "rebuild"}} or {{"action": "verify"}}, got {payload!r}'
            raise RequestError(message)
        unknown = sorted(set(payload) - {"action", "service", "cursor", "seconds"})
        if unknown:
            message = f"unknown: {', '.join(unknown)}; there are action, service, cursor, seconds"
            raise RequestError(message)
        service, cursor = payload.get("service"), payload.get("cursor")
        seconds = payload.get("seconds")
        if service is not None and (not isinstance(service, str) or name_fault(service)):
            message = f"service: {service!r} is no service's name"
            raise RequestError(message)
        if cursor is not None and not isinstance(cursor, str):
            message = f"cursor: expected a text, got {cursor!r}"
            raise RequestError(message)
        if seconds is not None and (type(seconds) not in (int, float) or not seconds > 0):
            message = f"seconds: expected a number above 0, got {seconds!r}"
            raise RequestError(message)
        place = None if cursor is None else Place.from_cursor(cursor)
        return cls(action=Action(payload["action"]), service=service, place=place, seconds=seconds)


@dataclass(slots=True, kw_only=True)
class Report:
    """What was found, up to a place.

    Attributes:
        services: How many services were done.
        selectors: How many selectors were looked at.
        differences: What was not as it should be; a rebuild has put it right.
        failed: The services that could not be done, and why.
        place: Where to go on; None: all is done.
    """

    services: int = 0
    selectors: int = 0
    differences: list[Difference] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    place: Place | None = None


Look = Callable[[], Outcome]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """One small piece of the work, done.

    Attributes:
        look: What did it; it may be done again.
        outcome: What was found.
        failure: Why it could not be done; empty: it was.
        place: The place behind it; None: it was the last piece.
        can_stop: Whether there is such a place.
        services: How many services were done with it.
        selectors: How many selectors were looked at.
    """

    service: str
    look: Look
    outcome: Outcome
    failure: str
    place: Place | None
    can_stop: bool
    services: int
    selectors: int


class Rebuild:
    """The rebuild, and the verification, of the index."""

    def __init__(
        self,
        recompute: Recompute,
        *,
        remaining_s: Callable[[], float],
        clock: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        """Take the recompute, the time that is left for all of it, a clock and a sleep."""
        self._recompute = recompute
        self._remaining_s = remaining_s
        self._clock = clock
        self._sleep = sleep

    def run(self, request: Request) -> Report:
        """Do what is asked, as far as there is time.

        Raises:
            ThrottledError, UnreachableError: A table kept refusing.
            RequestError: The cursor is of another service.
        """
        started = self._clock()
        report = Report()
        suspects: list[_Step] = []
        found = 0
        for step in self._steps(request):
            report.services += step.services
            report.selectors += step.selectors
            found += len(step.outcome.differences)
            if step.failure:
                report.failed[step.service] = step.failure
            elif request.action is Action.REBUILD:
                report.differences += step.outcome.differences
            elif step.outcome.differences:
                suspects.append(step)
            if step.can_stop:
                report.place = step.place
                elapsed = self._clock() - started
                is_late = request.seconds is not None and elapsed >= request.seconds
                if is_late or found >= _FULL or self._remaining_s() <= 0:
                    break
        self._confirm(suspects, report)
        return report

    def finish(self, service: str) -> int:
        """Rebuild one service to the end; tell how many items changed.

        Raises:
            ThrottledError, UnreachableError: A table kept refusing.
            UnfinishedError: There was no time for all of it, or it could not be done.
        """
        request, changed = Request(action=Action.REBUILD, service=service), 0
        while True:
            report = self.run(request)
            changed += len(report.differences)
            if report.failed:
                raise UnfinishedError(report.failed[service])
            if report.place is None:
                return changed
            if self._remaining_s() <= 0:
                message = "no time is left for it; rebuild the service by hand"
                raise UnfinishedError(message)
            request = replace(request, place=report.place)

    def _confirm(self, suspects: list[_Step], report: Report) -> None:
        """Look at what differs again: the stream may have been about to put it right."""
        if not suspects:
            return
        self._sleep(_SETTLED_AFTER_S)
        for step in suspects:
            again = self._step(step.service, step.look, None)
            if again.failure:
                report.failed[step.service] = again.failure
            report.differences += _lasting(step.outcome, again.outcome)

    def _step(
        self,
        service: str,
        look: Look,
        place: Place | None,
        *,
        can_stop: bool = True,
        services: int = 0,
        selectors: int = 0,
    ) -> _Step:
        """Take a step; a service that is poisoned, or changes all the time, fails by itself."""
        outcome, failure = Outcome(revision=0, differences=[]), ""
        try:
            outcome = look()
        except (RaceLostError, LookupError, TypeError, ValueError) as error:
            failure = f"{type(error).__name__}: {error}"
        return _Step(
            service=service,
            look=look,
            outcome=outcome,
            failure=failure,
            place=place,
            can_stop=can_stop,
            services=services,
            selectors=selectors,
        )

    def _steps(self, request: Request) -> Iterator[_Step]:
        place = _start_of(request)
        if place.phase == _Phase.WITHIN and place.service is not None:
            behind = Place(service=place.service)
            if request.service is not None:
                behind = Place(phase=_Phase.LEFT_OVER, service=request.service)
            yield from self._service(request.action, place.service, place, behind)
            place = behind
        if place.phase == _Phase.SERVICES:
            yield from self._services(request.action, place.service)
            place = Place(phase=_Phase.LEFT_OVER)
        if request.service is not None:
            yield from self._left_over_of(request.action, request.service, place)
        else:
            yield from self._left_over(request.action, place)

    def _services(self, action: Action, after: str | None) -> Iterator[_Step]:
        while True:
            page = self._recompute.versions.service_names("", limit=_PAGE, after=after)
            for name in page.items:
                start = Place(phase=_Phase.WITHIN, service=name)
                yield from self._service(action, name, start, Place(service=name))
            after = page.last
            if after is None:
                return

    def _service(self, action: Action, name: str, place: Place, behind: Place) -> Iterator[_Step]:
        """Go through a service: its versions from the highest down, and what the index has of it.

        Args:
            behind: The place behind the service.
        """
        act = self._recompute.run if action is Action.REBUILD else self._recompute.compare
        seen: set[str] = set()
        revision = 0
        while True:
            try:
                versions, version = self._versions(name, place)
            except (LookupError, TypeError, ValueError) as error:
                # A version that can't be read has no place to go on from behind it.
                yield self._step(name, partial(_refuse, error), behind, services=1)
                return
            present, copy, selector = self._present(name, place)
            what = projection.everything(
                [each for each in versions if str(each) not in seen],
                present - seen,
                every_channel=place.version is None,
                revision=revision,
            )
            is_last = version == _NONE_LEFT and copy >= self._recompute.index.copies
            place = replace(place, version=version, copy=copy, selector=selector)
            step = self._step(
                name,
                partial(act, name, what, self._remaining_s),
                behind if is_last else place,
                services=int(is_last),
                selectors=len(what.selectors),
            )
            yield step
            if is_last:
                return
            # What has been seen as a whole once need not be looked for again.
            revision = step.outcome.revision
            seen |= what.selectors
            if len(seen) > _REMEMBERED:
                seen = set()

    def _versions(self, name: str, place: Place) -> tuple[tuple[Version, ...], str]:
        """Read the next versions of a service, and name the last one of them."""
        if place.version == _NONE_LEFT:
            return (), _NONE_LEFT
        after = None if place.version is None else Version.parse(place.version)
        page = self._recompute.versions.version_numbers(name, limit=_PAGE, after=after)
        return page.items, _NONE_LEFT if page.last is None else str(page.last)

    def _present(self, name: str, place: Place) -> tuple[set[str], int, str | None]:
        """Gather the next selectors that the index has of a service, from one copy to the next."""
        found: set[str] = set()
        copy, selector = place.copy, place.selector
        while copy < self._recompute.index.copies and len(found) < _GATHERED:
            page = self._recompute.index.selectors(name, copy, selector)
            found |= set(page.items)
            selector = page.last
            if selector is None:
                copy += 1
        return found, copy, selector

    def _left_over_of(self, action: Action, name: str, place: Place) -> Iterator[_Step]:
        """Go through all partitions that a service may ever have had in the index."""
        for copy in range(place.copy, MAX_COPIES):
            selector = place.selector if copy == place.copy else None
            while True:
                page = self._recompute.index.selectors(name, copy, selector)
                selector = page.last
                behind = Place(phase=_Phase.LEFT_OVER, service=name, copy=copy, selector=selector)
                if selector is None:
                    behind = replace(behind, copy=copy + 1)
                keys = [(each, copy) for each in page.items]
                look = self._look_at_keys(action, name, keys)
                yield self._step(name, look, None if behind.copy == MAX_COPIES else behind)
                if selector is None:
                    break

    def _left_over(self, action: Action, place: Place) -> Iterator[_Step]:
        """Go through the whole index, for what belongs to no service or is a copy too many."""
        after = None
        if place.service is not None and place.selector is not None:
            after = place.service, place.selector
        while True:
            page = self._recompute.index.keys(after)
            keys: dict[str, list[tuple[str, int]]] = defaultdict(list)
            for partition, selector in page.items:
                service, copy = index_layout.service_of(partition)
                keys[service].append((selector, copy))
            known = self._recompute.versions.existing(keys)
            suspicious = [
                service
                for service, its_keys in keys.items()
                if service not in known
                or any(copy >= self._recompute.index.copies for _, copy in its_keys)
            ]
            for service in suspicious:
                look = self._look_at_keys(action, service, keys[service])
                yield self._step(service, look, None, can_stop=False)
            after = page.last
            behind = None
            if after is not None:
                behind = Place(phase=_Phase.LEFT_OVER, service=after[0], selector=after[1])
            yield self._step("", _nothing, behind)
            if behind is None:
                return

    def _look_at_keys(self, action: Action, service: str, keys: list[tuple[str, int]]) -> Look:
        if not keys:
            return _nothing
        act = self._recompute.remove if action is Action.REBUILD else self._recompute.misplaced
        return partial(act, service, keys, self._remaining_s)


def _start_of(request: Request) -> Place:
    """Name the place to begin at.

    Raises:
        RequestError: The cursor is of another service than the one that is asked for.
    """
    if request.service is None:
        return request.place or Place()
    place = request.place or Place(phase=_Phase.WITHIN, service=request.service)
    if place.service != request.service:
        message = f"the cursor is not of the service {request.service!r}; leave one of them out"
        raise RequestError(message)
    return place


def _nothing() -> Outcome:
    return Outcome(revision=0, differences=[])


def _refuse(error: Exception) -> Outcome:
    raise error


def _lasting(first: Outcome, second: Outcome) -> list[Difference]:
    """Name the differences that are still the same when they are looked at again."""
    before = {repr(each.key): each for each in first.differences}
    return [
        each
        for each in second.differences
        if repr(each.key) in before and each.is_same_as(before[repr(each.key)])
    ]
