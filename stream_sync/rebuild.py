"""Rebuild and verify: compare the index with the versions table, one service or all of them.

First, the answers of each service are compared, for the selectors of its versions, its channels and
its index items. Then surplus items are found: those of services that do not exist, and copies
beyond IndexCopies. Each step is small, writes only what a recompute would write, and ends at a
checkpoint. No more than a page is in memory at a time, and no history is read.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial

from registry_model import index_layout
from registry_model.index_layout import MAX_COPIES
from registry_model.version import Version
from registry_tables.errors import RaceLostError
from registry_tables.index_items import Difference
from registry_tables.index_table import IndexWriter
from registry_tables.versions_table import VersionsTable
from stream_sync import projection
from stream_sync.checkpoint import NO_MORE_VERSIONS, Checkpoint, CheckpointError, Phase
from stream_sync.payloads import RebuildAction, RebuildRequest
from stream_sync.recompute import Recompute, RecomputeResult

# Services and versions that are read in one call.
_PAGE = 100
# How many of a service's selectors are remembered, so that none is compared twice.
_MAX_REMEMBERED = 10_000
# How many of a service's index items a step reads, besides those of its versions.
_MAX_GATHERED = 100
# A request stops after this many differences: Lambda limits its result to 6 MB.
_MAX_DIFFERENCES = 500
# A difference is compared again after this time: the stream's function may correct it meanwhile.
_CONFIRM_AFTER_S = 5.0

Look = Callable[[], RecomputeResult]


class UnfinishedError(Exception):
    """A service was not rebuilt completely; the message has the reason."""


@dataclass(slots=True, kw_only=True)
class RebuildReport:
    """The results up to a checkpoint.

    Attributes:
        services: How many services were completed.
        selectors: How many selectors were compared.
        differences: The index items that were wrong; a rebuild has corrected them.
        failed: The services that failed, with reasons.
        damaged: The services whose items in the versions table contradict each other, and how.
        checkpoint: Where to continue; None if all is done.
    """

    services: int = 0
    selectors: int = 0
    differences: list[Difference] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    damaged: dict[str, str] = field(default_factory=dict)
    checkpoint: Checkpoint | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """One completed step.

    Attributes:
        look: The comparison, which can be repeated.
        result: Its result.
        failure: Why it failed; empty if it did not.
        checkpoint: The checkpoint after it; None after the last step.
        can_stop: Whether the request may stop after it.
        services: How many services it completed.
        selectors: How many selectors it compared.
    """

    service: str
    look: Look
    result: RecomputeResult
    failure: str = ""
    checkpoint: Checkpoint | None = None
    can_stop: bool = True
    services: int = 0
    selectors: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuild:
    """The rebuild, and the verification, of the index."""

    recompute: Recompute
    versions: VersionsTable
    index: IndexWriter
    clock: Callable[[], float]
    sleep: Callable[[float], None]

    def run(self, request: RebuildRequest, remaining_s: Callable[[], float]) -> RebuildReport:
        """Rebuild or verify what is requested, until the time is over.

        Raises:
            ThrottledError, UnreachableError: A table kept refusing.
            CheckpointError: The cursor belongs to another service.
        """
        started = self.clock()
        report = RebuildReport()
        suspects: list[_Step] = []
        found = 0
        for step in self._steps(request, remaining_s):
            report.services += step.services
            report.selectors += step.selectors
            found += len(step.result.differences)
            if step.failure:
                report.failed[step.service] = step.failure
            elif request.action is RebuildAction.REBUILD:
                report.differences += step.result.differences
            if step.result.damage or (
                request.action is RebuildAction.VERIFY and step.result.differences
            ):
                suspects.append(step)
            if step.can_stop:
                report.checkpoint = step.checkpoint
                elapsed = self.clock() - started
                is_late = request.seconds is not None and elapsed >= request.seconds
                if is_late or found >= _MAX_DIFFERENCES or remaining_s() <= 0:
                    break
        self._confirm(request.action, suspects, report)
        return report

    def finish(self, service: str, remaining_s: Callable[[], float]) -> int:
        """Rebuild one service completely; return how many items were changed.

        Raises:
            ThrottledError, UnreachableError: A table kept refusing.
            UnfinishedError: There was too little time, or the rebuild failed.
        """
        request, changed = RebuildRequest(action=RebuildAction.REBUILD, service=service), 0
        while True:
            report = self.run(request, remaining_s)
            changed += len(report.differences)
            if report.failed:
                raise UnfinishedError(report.failed[service])
            if report.checkpoint is None:
                return changed
            if remaining_s() <= 0:
                message = "there was too little time; rebuild the service"
                raise UnfinishedError(message)
            request = replace(request, checkpoint=report.checkpoint)

    def _confirm(self, action: RebuildAction, suspects: list[_Step], report: RebuildReport) -> None:
        """Compare the differences again, and report those that are still there.

        A difference may disappear: the service may have changed between two reads, or the stream's
        function may have corrected the index.
        """
        if not suspects:
            return
        self.sleep(_CONFIRM_AFTER_S)
        for step in suspects:
            again = _step(step.service, step.look)
            if again.failure:
                report.failed[step.service] = again.failure
            if action is RebuildAction.VERIFY:
                report.differences += _lasting(step.result, again.result)
            if step.result.damage and again.result.damage:
                report.damaged[step.service] = again.result.damage

    def _steps(self, request: RebuildRequest, remaining_s: Callable[[], float]) -> Iterator[_Step]:
        walk = _Walk(
            recompute=self.recompute,
            versions=self.versions,
            index=self.index,
            action=request.action,
            remaining_s=remaining_s,
        )
        start = _start_of(request)
        if start.phase == Phase.WITHIN and start.service is not None:
            after = Checkpoint(service=start.service)
            if request.service is not None:
                after = Checkpoint(phase=Phase.SURPLUS, service=request.service)
            yield from walk.service(start.service, start, after)
            start = after
        if start.phase == Phase.SERVICES:
            yield from walk.services(start.service)
            start = Checkpoint(phase=Phase.SURPLUS)
        if request.service is not None:
            yield from walk.surplus_of(request.service, start)
        else:
            yield from walk.surplus(start)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Walk:
    """The steps of one request."""

    recompute: Recompute
    versions: VersionsTable
    index: IndexWriter
    action: RebuildAction
    remaining_s: Callable[[], float]

    def services(self, after: str | None) -> Iterator[_Step]:
        """Go through all services whose names follow *after*; all if it is None."""
        while True:
            page = self.versions.service_names("", limit=_PAGE, after=after)
            for name in page.items:
                start = Checkpoint(phase=Phase.WITHIN, service=name)
                yield from self.service(name, start, Checkpoint(service=name))
            after = page.last
            if after is None:
                return

    def service(self, name: str, start: Checkpoint, after: Checkpoint) -> Iterator[_Step]:
        """Go through a service: its versions from the highest down, and its index items.

        Args:
            after: The checkpoint after the service.
        """
        seen: set[str] = set()
        checkpoint, revision = start, 0
        while True:
            try:
                versions, version = self._versions(name, checkpoint)
            except (LookupError, TypeError, ValueError) as error:
                # The page has an unreadable version, so there is no version to continue after.
                yield _step(name, partial(_refuse, error), checkpoint=after, services=1)
                return
            present, copy, selector = self._present(name, checkpoint)
            affected = projection.answers_to_check(
                [each for each in versions if str(each) not in seen],
                present - seen,
                includes_all_channels=checkpoint.version is None,
                revision=revision,
            )
            is_last = version == NO_MORE_VERSIONS and copy >= self.index.copies
            checkpoint = replace(checkpoint, version=version, copy=copy, selector=selector)
            step = _step(
                name,
                partial(self._look_at, name, affected, versions),
                checkpoint=after if is_last else checkpoint,
                services=int(is_last),
                selectors=len(affected.selectors),
            )
            yield step
            if is_last:
                return
            # Later steps need not check again that all of this revision's change can be read.
            revision = step.result.revision
            seen |= affected.selectors
            if len(seen) > _MAX_REMEMBERED:
                seen = set()

    def surplus_of(self, name: str, start: Checkpoint) -> Iterator[_Step]:
        """Go through all partitions that a service may ever have had in the index."""
        for copy in range(start.copy, MAX_COPIES):
            selector = start.selector if copy == start.copy else None
            while True:
                page = self.index.selectors(name, copy, selector)
                selector = page.last
                after = Checkpoint(phase=Phase.SURPLUS, service=name, copy=copy, selector=selector)
                if selector is None:
                    after = replace(after, copy=copy + 1)
                keys = [(each, copy) for each in page.items]
                look = self._look_at_keys(name, keys)
                yield _step(name, look, checkpoint=None if after.copy == MAX_COPIES else after)
                if selector is None:
                    break

    def surplus(self, start: Checkpoint) -> Iterator[_Step]:
        """Search the index for items of unknown services and for surplus copies."""
        after = None
        if start.service is not None and start.selector is not None:
            after = start.service, start.selector
        while True:
            page = self.index.keys(after)
            keys: dict[str, list[tuple[str, int]]] = defaultdict(list)
            for partition, selector in page.items:
                service, copy = index_layout.service_of(partition)
                keys[service].append((selector, copy))
            known = self.versions.existing(keys)
            suspicious = [
                service
                for service, its_keys in keys.items()
                if service not in known or any(copy >= self.index.copies for _, copy in its_keys)
            ]
            for service in suspicious:
                yield _step(service, self._look_at_keys(service, keys[service]), can_stop=False)
            after = page.last
            checkpoint = None
            if after is not None:
                checkpoint = Checkpoint(phase=Phase.SURPLUS, service=after[0], selector=after[1])
            yield _step("", _nothing, checkpoint=checkpoint)
            if checkpoint is None:
                return

    def _look_at(
        self, name: str, affected: projection.AffectedAnswers, revisions: dict[Version, int]
    ) -> RecomputeResult:
        act = self.recompute.run
        if self.action is RebuildAction.VERIFY:
            act = self.recompute.compare
        result = act(name, affected, self.remaining_s)
        if result.damage is None and result.service is not None:
            # The versions were read before the service: none can be at a later revision.
            for version, revision in revisions.items():
                fault = projection.revision_fault(result.service, version, revision)
                if fault is not None:
                    return replace(result, damage=fault)
        return result

    def _look_at_keys(self, service: str, keys: list[tuple[str, int]]) -> Look:
        if not keys:
            return _nothing
        act = self.recompute.remove_surplus
        if self.action is RebuildAction.VERIFY:
            act = self.recompute.find_surplus
        return partial(act, service, keys, self.remaining_s)

    def _versions(self, name: str, checkpoint: Checkpoint) -> tuple[dict[Version, int], str]:
        """Read a service's next versions with their revisions, and the text of the last one."""
        if checkpoint.version == NO_MORE_VERSIONS:
            return {}, NO_MORE_VERSIONS
        after = None if checkpoint.version is None else Version.parse(checkpoint.version)
        page = self.versions.version_revisions(name, limit=_PAGE, after=after)
        return dict(page.items), NO_MORE_VERSIONS if page.last is None else str(page.last)

    def _present(self, name: str, checkpoint: Checkpoint) -> tuple[set[str], int, str | None]:
        """Read the next selectors of a service's index items, copy by copy."""
        found: set[str] = set()
        copy, selector = checkpoint.copy, checkpoint.selector
        while copy < self.index.copies and len(found) < _MAX_GATHERED:
            page = self.index.selectors(name, copy, selector)
            found |= set(page.items)
            selector = page.last
            if selector is None:
                copy += 1
        return found, copy, selector


def _step(
    service: str,
    look: Look,
    *,
    checkpoint: Checkpoint | None = None,
    can_stop: bool = True,
    services: int = 0,
    selectors: int = 0,
) -> _Step:
    """Make a step; the failure of a service does not affect the others."""
    result, failure = RecomputeResult(service=None, differences=[]), ""
    try:
        result = look()
    except (RaceLostError, LookupError, TypeError, ValueError) as error:
        failure = f"{type(error).__name__}: {error}"
    return _Step(
        service=service,
        look=look,
        result=result,
        failure=failure,
        checkpoint=checkpoint,
        can_stop=can_stop,
        services=services,
        selectors=selectors,
    )


def _start_of(request: RebuildRequest) -> Checkpoint:
    """Return the checkpoint to begin at.

    Raises:
        CheckpointError: The cursor belongs to another service than the requested one.
    """
    if request.service is None:
        return request.checkpoint or Checkpoint()
    start = request.checkpoint or Checkpoint(phase=Phase.WITHIN, service=request.service)
    if start.service != request.service:
        message = f"the cursor is not of the service {request.service!r}; leave one of them out"
        raise CheckpointError(message)
    return start


def _nothing() -> RecomputeResult:
    return RecomputeResult(service=None, differences=[])


def _refuse(error: Exception) -> RecomputeResult:
    raise error


def _lasting(first: RecomputeResult, second: RecomputeResult) -> list[Difference]:
    """Return the differences that both comparisons found."""
    before = {repr(each.key): each for each in first.differences}
    return [
        each
        for each in second.differences
        if repr(each.key) in before and each.is_same_as(before[repr(each.key)])
    ]
