"""The operations that write, and their refusals, with a table in memory."""

import random
import threading
from collections.abc import Callable
from typing import Any

import pytest

from registry_api.operations import Registry
from registry_api.refusals import BusyError, ConflictError, UnknownError
from registry_api.rules import MAX_CHANNELS
from registry_api.values import Publication, PublishOutcome
from registry_model.version import Version
from registry_tables.errors import RaceLostError, ThrottledError
from registry_tables.records import Action
from tests.unit.registry_api import valid
from tests.unit.registry_api.memory_store import MemoryVersionStore, registry_on
from tests.unit.registry_api.valid import FORCED

LATER = "2026-02-02T00:00:00Z"


def test_first_publish_makes_the_service(registry: Registry, store: MemoryVersionStore) -> None:
    """A service needs no declaration before its first version."""
    outcome, record = registry.publish(valid.publication(metadata={"commit": "abc"}), "somebody")

    assert outcome is PublishOutcome.CREATED
    assert record == valid.record(metadata={"commit": "abc"})
    assert store.service("users") == valid.service(highest=record.version)
    (event,) = store.events
    assert (event.revision, event.at, event.by) == (1, valid.NOW, "somebody")
    assert (event.action, event.version, event.channel) == (Action.PUBLISH, record.version, None)


def test_service_keeps_its_first_time_and_shows_its_last(store: MemoryVersionStore) -> None:
    registry_on(store).publish(valid.publication("1.0.0"), "somebody")

    registry_on(store, now=LATER).publish(valid.publication("1.1.0"), "somebody")

    service = store.service("users")
    assert service is not None
    assert (service.created_at, service.updated_at) == (valid.NOW, LATER)


def test_same_publish_again_changes_nothing(registry: Registry, store: MemoryVersionStore) -> None:
    """A pipeline may publish again; `published_by` stays the first publisher."""
    _, first = registry.publish(valid.publication(), "somebody")

    outcome, again = registry.publish(valid.publication(), "somebody else")

    assert (outcome, again) == (PublishOutcome.REPEATED, first)
    assert len(store.events) == 1


def test_older_version_with_more_metadata_than_is_allowed_may_be_published_again(
    registry: Registry, store: MemoryVersionStore
) -> None:
    """The limit applies only to new versions: a pipeline's repeated publish succeeds."""
    metadata = {"k": "v" * 3_000}
    older = valid.record(metadata=metadata)
    store.commit(
        valid.change(service=valid.service(highest=older.version), put=older, event=valid.event())
    )

    outcome, again = registry.publish(valid.publication(metadata=metadata), "somebody")

    assert (outcome, again) == (PublishOutcome.REPEATED, older)


def test_yanked_version_stays_so_when_it_is_published_again(
    registry: Registry, store: MemoryVersionStore
) -> None:
    """A repeated pipeline must not undo an operator's yank."""
    registry.publish(valid.publication(), "somebody")
    yanked = registry.yank("users", Version.parse("1.0.0"), "broken", "operator", FORCED)

    outcome, record = registry.publish(valid.publication(), "somebody")

    assert (outcome, record) == (PublishOutcome.REPEATED, yanked)
    assert len(store.events) == 2


@pytest.mark.parametrize(
    ("other", "named"),
    [({"arn": valid.OTHER_ARN}, "another ARN"), ({"metadata": {"a": "b"}}, "other metadata")],
)
def test_published_version_cannot_be_replaced(
    registry: Registry, store: MemoryVersionStore, other: dict[str, Any], named: str
) -> None:
    """Consumers that pinned it would get another ARN."""
    _, first = registry.publish(valid.publication(), "somebody")

    with pytest.raises(ConflictError, match=named) as refused:
        registry.publish(valid.publication(channel="beta", **other), "somebody")

    assert refused.value.current == first
    assert len(store.events) == 1


def test_channel_is_set_in_the_publishs_own_change(
    registry: Registry, store: MemoryVersionStore
) -> None:
    """No reader sees the version without its channel."""
    registry.publish(valid.publication(channel="beta"), "somebody")

    service = store.service("users")
    assert service is not None
    assert service.channels == {"beta": Version.parse("1.0.0")}
    assert [(event.action, event.channel) for event in store.events] == [(Action.PUBLISH, "beta")]


def test_repeated_publish_sets_its_channel(registry: Registry, store: MemoryVersionStore) -> None:
    """It is a change of its own, and the version's record stays the same."""
    _, first = registry.publish(valid.publication(), "somebody")

    outcome, record = registry.publish(valid.publication(channel="beta"), "operator")

    assert (outcome, record) == (PublishOutcome.REPEATED, first)
    assert store.version("users", first.version) == first
    event = store.events[-1]
    assert (event.revision, event.by) == (2, "operator")
    assert (event.action, event.channel, event.version) == (
        Action.SET_CHANNEL,
        "beta",
        first.version,
    )


def test_repeated_publish_leaves_a_channel_that_is_there(
    registry: Registry, store: MemoryVersionStore
) -> None:
    """A request that changes nothing raises no revision."""
    registry.publish(valid.publication(channel="beta"), "somebody")

    registry.publish(valid.publication(channel="beta"), "somebody")

    assert len(store.events) == 1


def test_no_channel_points_at_a_yanked_version(
    registry: Registry, store: MemoryVersionStore
) -> None:
    registry.publish(valid.publication(), "somebody")
    registry.yank("users", Version.parse("1.0.0"), None, "operator", FORCED)

    with pytest.raises(ConflictError, match="yanked"):
        registry.publish(valid.publication(channel="beta"), "somebody")

    assert len(store.events) == 2


@pytest.mark.parametrize("is_published", [False, True])
def test_latest_is_never_a_pre_release(
    registry: Registry, store: MemoryVersionStore, *, is_published: bool
) -> None:
    """A publish whose channel is refused publishes nothing."""
    if is_published:
        registry.publish(valid.publication("1.0.0-rc.1"), "somebody")
    before = len(store.events)

    with pytest.raises(ConflictError, match="pre-release"):
        registry.publish(valid.publication("1.0.0-rc.1", channel="latest"), "somebody")

    assert len(store.events) == before


def test_service_has_a_bounded_number_of_channels(
    registry: Registry, store: MemoryVersionStore
) -> None:
    """They are in one item; existing ones can still be set."""
    for number in range(MAX_CHANNELS):
        registry.publish(valid.publication(f"1.0.{number}", channel=f"c{number}"), "somebody")

    with pytest.raises(ConflictError, match="at most 100"):
        registry.publish(valid.publication("2.0.0", channel="one-more"), "somebody")
    registry.publish(valid.publication("2.0.0", channel="c0"), "somebody")

    service = store.service("users")
    assert service is not None
    assert len(service.channels) == MAX_CHANNELS
    assert service.channels["c0"] == Version.parse("2.0.0")


def test_latest_is_the_highest_stable_version(registry: Registry) -> None:
    """Neither the last one published nor a pre-release is."""
    for version in ("1.9.0", "1.10.0", "1.2.3", "2.0.0-rc.1"):
        registry.publish(valid.publication(version), "somebody")

    view = registry.service("users")

    assert view.latest is not None
    assert str(view.latest.version) == "1.10.0"


def test_pinned_latest_outlives_higher_versions(registry: Registry) -> None:
    """Otherwise the next publish would undo a roll-back."""
    registry.publish(valid.publication("1.0.0", channel="latest"), "somebody")
    registry.publish(valid.publication("2.0.0"), "somebody")

    view = registry.service("users")

    assert view.latest is not None
    assert str(view.latest.version) == "1.0.0"


@pytest.mark.parametrize(
    "read",
    [
        lambda registry: registry.service("nobody"),
        lambda registry: registry.versions("nobody", limit=1, after=None),
        lambda registry: registry.version("nobody", Version.parse("1.0.0")),
        lambda registry: registry.version("users", Version.parse("9.9.9")),
    ],
)
def test_unpublished_service_is_unknown(
    registry: Registry, read: Callable[[Registry], object]
) -> None:
    """An empty list would look like a service whose versions were deleted."""
    registry.publish(valid.publication(), "somebody")

    with pytest.raises(UnknownError):
        read(registry)


def test_lost_race_is_decided_again(registry: Registry, store: MemoryVersionStore) -> None:
    """The other change stays, and this one follows, one revision later."""
    overtake(store, valid.publication("1.0.0"))

    _, record = registry.publish(valid.publication("1.1.0"), "somebody")

    assert record.revision == 2
    assert [event.by for event in store.events] == ["rival", "somebody"]


def test_race_for_one_version_publishes_one(registry: Registry, store: MemoryVersionStore) -> None:
    """The second one gets the published record, and overwrites nothing."""
    overtake(store, valid.publication(arn=valid.OTHER_ARN))

    with pytest.raises(ConflictError) as refused:
        registry.publish(valid.publication(), "somebody")

    assert refused.value.current is not None
    assert refused.value.current.published_by == "rival"


def test_race_for_the_same_publish_is_a_repetition(
    registry: Registry, store: MemoryVersionStore
) -> None:
    """A pipeline whose first response was lost tries again at once."""
    overtake(store, valid.publication())

    outcome, record = registry.publish(valid.publication(), "somebody")

    assert outcome is PublishOutcome.REPEATED
    assert record.published_by == "rival"


def overtake(store: MemoryVersionStore, wanted: Publication) -> None:
    """Let another change be faster, once."""

    def _rival() -> None:
        store.before_commit = lambda: None
        registry_on(store).publish(wanted, "rival")

    store.before_commit = _rival


def test_change_that_loses_every_race_is_busy(store: MemoryVersionStore) -> None:
    """The attempts are limited, with growing pauses; nothing of the change is written."""
    pauses: list[float] = []
    store.before_commit = _lose

    with pytest.raises(BusyError):
        registry_on(store, sleep=pauses.append).publish(valid.publication(), "somebody")

    assert store.service("users") is None
    assert len(pauses) > 5
    assert pauses == sorted(pauses)
    assert pauses[0] <= 0.05
    # API Gateway waits for 29 s, which include the reads and writes between the pauses.
    assert sum(pauses) < 10


def _lose() -> None:
    raise RaceLostError


def test_pauses_are_jittered(store: MemoryVersionStore) -> None:
    """Otherwise, writers that conflict once would conflict again at each attempt."""
    pauses: list[float] = []
    store.before_commit = _lose
    numbers = iter([0.0, 0.5] + [1.0] * 100)

    with pytest.raises(BusyError):
        registry_on(store, sleep=pauses.append, random=lambda: next(numbers)).publish(
            valid.publication(), "somebody"
        )

    assert pauses[0] == 0
    assert pauses[1] == pauses[2] / 4


def test_throttled_write_is_not_tried_again_here(
    registry: Registry, store: MemoryVersionStore
) -> None:
    """The DynamoDB client has retried already; more attempts would make a busy table busier."""
    attempts = []

    def _throttle() -> None:
        attempts.append(1)
        raise ThrottledError

    store.before_commit = _throttle

    with pytest.raises(ThrottledError):
        registry.publish(valid.publication(), "somebody")

    assert len(attempts) == 1


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_32_writers_at_once_lose_nothing(seed: int) -> None:
    """Each publish happens once and counts once, or is refused and leaves nothing."""
    store = MemoryVersionStore()
    chance = random.Random(seed)
    guard = threading.Lock()
    all_have_read = threading.Barrier(32)
    seen: set[int] = set()

    def _meet_once_then_conflict_at_times() -> None:
        if threading.get_ident() not in seen:
            seen.add(threading.get_ident())
            all_have_read.wait(timeout=60)
        # DynamoDB returns TransactionConflict even if the other change then fails.
        with guard:
            if chance.random() < 0.2:
                raise RaceLostError

    store.before_commit = _meet_once_then_conflict_at_times
    outcomes: dict[int, PublishOutcome] = {}
    revisions: dict[int, int] = {}

    def _publish(number: int) -> None:
        registry = registry_on(store, sleep=_pause, random=random.Random(number).random)
        while number not in outcomes:
            try:
                outcome, record = registry.publish(
                    valid.publication(f"1.0.{number}", channel=f"c{number}"), f"writer {number}"
                )
            except BusyError:
                continue
            outcomes[number], revisions[number] = outcome, record.revision

    writers = [threading.Thread(target=_publish, args=(number,)) for number in range(32)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(timeout=120)

    assert set(outcomes.values()) == {PublishOutcome.CREATED}
    assert sorted(revisions.values()) == list(range(1, 33))
    service = store.service("users")
    assert service is not None
    assert service.revision == 32
    assert service.channels == {f"c{n}": Version.parse(f"1.0.{n}") for n in range(32)}
    assert [event.revision for event in store.events] == list(range(1, 33))
    assert {event.by for event in store.events} == {f"writer {n}" for n in range(32)}
    assert len(store.versions("users", limit=100, after=None).items) == 32


def _pause(seconds: float) -> None:
    threading.Event().wait(seconds / 100)
