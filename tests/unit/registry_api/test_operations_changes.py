"""Yank, activate, delete, channels: what is allowed, what changes and what stays."""

from collections.abc import Callable

import pytest

from registry_api.operations import Registry
from registry_api.refusals import BusyError, ConflictError, UnknownError
from registry_api.rules import MAX_CHANNELS
from registry_api.values import PublishOutcome
from registry_model.version import Version
from registry_tables.errors import RaceLostError, ThrottledError
from registry_tables.records import Action, ServiceRecord, Status
from registry_tables.series import Series
from tests.unit.registry_api import valid
from tests.unit.registry_api.memory_store import MemoryVersionStore, registry_on
from tests.unit.registry_api.valid import FORCED

ONE, TWO, RC = (Version.parse(text) for text in ("1.0.0", "2.0.0", "3.0.0-rc.1"))
LATER = "2026-02-02T00:00:00Z"


@pytest.fixture
def registry(store: MemoryVersionStore) -> Registry:
    """Return operations on three versions of a service, the highest one a pre-release."""
    registry = registry_on(store)
    for version in (ONE, TWO, RC):
        registry.publish(valid.publication(str(version)), "pipeline")
    return registry


def latest(registry: Registry) -> str | None:
    """Return the latest version."""
    record = registry.service("users").latest
    return None if record is None else str(record.version)


def channels(registry: Registry) -> dict[str, str]:
    """Return the version of each channel."""
    service = registry.service("users").service
    return {channel: str(version) for channel, version in service.channels.items()}


def test_yanked_version_has_its_reason_and_is_not_latest(
    registry: Registry, store: MemoryVersionStore
) -> None:
    """As on PyPI, only the exact selector resolves to it."""
    record = registry.yank("users", TWO, "loses orders", "operator", FORCED)

    assert record == valid.record(
        "2.0.0", status=Status.YANKED, reason="loses orders", published_by="pipeline", revision=4
    )
    assert registry.version("users", TWO) == record
    assert latest(registry) == "1.0.0"
    assert store.events[-1] == valid.event(
        revision=4, by="operator", action=Action.YANK, version=TWO, reason="loses orders"
    )


@pytest.mark.parametrize(
    ("first", "second", "kept", "is_change"),
    [
        (None, None, None, False),
        (None, "why", "why", True),
        ("why", None, "why", False),
        ("why", "why", "why", False),
        ("why", "another", "another", True),
        ("why", "", "", True),
        ("", None, "", False),
        (None, "", "", True),
    ],
)
def test_another_reason_is_a_change_and_no_reason_is_none(
    registry: Registry,
    store: MemoryVersionStore,
    first: str | None,
    second: str | None,
    kept: str | None,
    *,
    is_change: bool,
) -> None:
    """A repeated yank without its reason must not remove the reason."""
    registry.yank("users", TWO, first, "operator", FORCED)

    record = registry.yank("users", TWO, second, "another", FORCED)

    assert (record.status, record.reason) == (Status.YANKED, kept)
    assert record.revision == (5 if is_change else 4)
    assert len(store.events) == record.revision
    assert registry.service("users").service.revision == record.revision


def test_yank_is_undone(registry: Registry, store: MemoryVersionStore) -> None:
    """The version is as before, and latest again; the reason stays in the history."""
    before = registry.version("users", TWO)
    registry.yank("users", TWO, "by mistake", "operator", FORCED)

    record = registry.activate("users", TWO, "operator")

    assert record == valid.record("2.0.0", published_by=before.published_by, revision=5)
    assert latest(registry) == "2.0.0"
    assert store.events[-1] == valid.event(
        revision=5, by="operator", action=Action.ACTIVATE, version=TWO
    )
    assert registry.yank("users", TWO, None, "operator", FORCED).reason is None


def test_activating_an_active_version_changes_nothing(
    registry: Registry, store: MemoryVersionStore
) -> None:
    """A request that changes nothing raises no revision."""
    assert registry.activate("users", TWO, "operator") == registry.version("users", TWO)
    assert len(store.events) == 3


def test_yank_of_a_lower_version_leaves_latest(registry: Registry) -> None:
    """Yanking a backport does not affect others."""
    registry.yank("users", ONE, None, "operator", FORCED)
    registry.yank("users", RC, None, "operator", FORCED)

    assert latest(registry) == "2.0.0"


def test_latest_is_none_once_every_stable_version_is_yanked(registry: Registry) -> None:
    """The remaining pre-release never answers `latest`."""
    registry.yank("users", TWO, None, "operator", FORCED)
    registry.yank("users", ONE, None, "operator", FORCED)
    assert latest(registry) is None

    registry.activate("users", RC, "operator")
    assert latest(registry) is None

    registry.activate("users", ONE, "operator")
    assert latest(registry) == "1.0.0"


@pytest.mark.parametrize("take", ["yank", "delete"])
def test_version_that_channels_point_at_stays(
    registry: Registry, store: MemoryVersionStore, take: str
) -> None:
    """The channel's consumers would have no answer; the refusal names every such channel."""
    for channel in ("stable", "beta", "latest"):
        registry.set_channel("users", channel, TWO, "operator")
    before = len(store.events)

    def attempt() -> None:
        if take == "yank":
            registry.yank("users", TWO, None, "operator", FORCED)
        else:
            registry.delete("users", TWO, "operator", FORCED)

    with pytest.raises(ConflictError, match="'beta', 'latest', 'stable' point at version"):
        attempt()
    registry.delete_channel("users", "latest", "operator")
    registry.set_channel("users", "stable", ONE, "operator")
    with pytest.raises(ConflictError, match="the channel 'beta' points at version"):
        attempt()
    assert registry.version("users", TWO).status is Status.ACTIVE
    assert len(store.events) == before + 2

    registry.delete_channel("users", "beta", "operator")
    attempt()
    assert latest(registry) == "1.0.0"


def test_deleted_version_may_be_published_again(
    registry: Registry, store: MemoryVersionStore
) -> None:
    """A wrong publish is corrected this way; the history shows both."""
    registry.delete("users", TWO, "operator", FORCED)
    with pytest.raises(UnknownError):
        registry.version("users", TWO)
    assert latest(registry) == "1.0.0"

    wanted = valid.publication("2.0.0", arn=valid.OTHER_ARN, metadata={"fixed": "yes"})
    outcome, record = registry.publish(wanted, "pipeline")

    assert outcome is PublishOutcome.CREATED
    assert (record.arn, record.revision) == (valid.OTHER_ARN, 5)
    assert latest(registry) == "2.0.0"
    assert [(event.action, event.version) for event in store.events[1:]] == [
        (Action.PUBLISH, TWO),
        (Action.PUBLISH, RC),
        (Action.DELETE, TWO),
        (Action.PUBLISH, TWO),
    ]


def test_yanked_version_that_is_deleted_leaves_no_yank(registry: Registry) -> None:
    """Published again, it is another version, and an active one."""
    registry.yank("users", TWO, "broken", "operator", FORCED)
    registry.delete("users", TWO, "operator", FORCED)

    _, record = registry.publish(valid.publication("2.0.0"), "pipeline")

    assert (record.status, record.reason) == (Status.ACTIVE, None)


def test_service_outlives_its_last_version(registry: Registry, store: MemoryVersionStore) -> None:
    """Its revision and history continue: an index at revision 6 must never get revision 1."""
    for version in (ONE, TWO, RC):
        registry.delete("users", version, "operator", FORCED)

    view = registry.service("users")
    assert (view.latest, view.service.revision) == (None, 6)
    assert registry.versions("users", limit=10, after=None).items == ()
    assert len(registry.history("users", limit=10, before=None).items) == 6
    with pytest.raises(UnknownError, match="no version"):
        registry.delete("users", ONE, "operator", FORCED)

    _, record = registry.publish(valid.publication("1.0.0"), "pipeline")
    assert record.revision == 7
    assert store.events[-1].revision == 7


@pytest.mark.parametrize(
    "change",
    [
        lambda registry: registry.yank("users", Version.parse("9.9.9"), None, "operator", FORCED),
        lambda registry: registry.activate("users", Version.parse("9.9.9"), "operator"),
        lambda registry: registry.delete("users", Version.parse("9.9.9"), "operator", FORCED),
        lambda registry: registry.delete_channel("users", "beta", "operator"),
        lambda registry: registry.delete_channel("users", "latest", "operator"),
        lambda registry: registry.yank("nobody", ONE, None, "operator", FORCED),
        lambda registry: registry.activate("nobody", ONE, "operator"),
        lambda registry: registry.delete("nobody", ONE, "operator", FORCED),
        lambda registry: registry.set_channel("nobody", "beta", ONE, "operator"),
        lambda registry: registry.delete_channel("nobody", "beta", "operator"),
        lambda registry: registry.history("nobody", limit=1, before=None),
    ],
)
def test_unknown_service_or_version_is_an_error_and_changes_nothing(
    registry: Registry, store: MemoryVersionStore, change: Callable[[Registry], object]
) -> None:
    """A misspelt name must not look like a success, and must not create a service."""
    with pytest.raises(UnknownError):
        change(registry)

    assert len(store.events) == 3
    assert store.service("nobody") is None


def test_roll_back_is_one_call_and_lasts(registry: Registry, store: MemoryVersionStore) -> None:
    """Neither a newer version nor a backport undoes it; unpinning does."""
    registry.set_channel("users", "latest", ONE, "operator")
    assert (latest(registry), channels(registry)) == ("1.0.0", {"latest": "1.0.0"})

    for version in ("2.1.0", "1.0.1"):
        registry.publish(valid.publication(version), "pipeline")
    assert latest(registry) == "1.0.0"

    registry.delete_channel("users", "latest", "operator")
    assert (latest(registry), channels(registry)) == ("2.1.0", {})
    assert store.events[3] == valid.event(
        revision=4, by="operator", action=Action.SET_CHANNEL, version=ONE, channel="latest"
    )
    assert store.events[-1] == valid.event(
        revision=7,
        by="operator",
        action=Action.DELETE_CHANNEL,
        version=None,
        arn=None,
        channel="latest",
    )


def test_pin_moves_only_with_the_operator(registry: Registry) -> None:
    """Rolling forward is the same call; a pin to the highest version is a pin too."""
    registry.set_channel("users", "latest", ONE, "operator")
    registry.set_channel("users", "latest", TWO, "operator")
    registry.publish(valid.publication("4.0.0"), "pipeline")

    assert latest(registry) == "2.0.0"


def test_highest_version_may_be_yanked_while_latest_is_pinned_below(registry: Registry) -> None:
    """An operator pins first, then yanks, and unpins after the correction."""
    registry.set_channel("users", "latest", ONE, "operator")
    registry.yank("users", TWO, "broken", "operator", FORCED)
    assert latest(registry) == "1.0.0"

    registry.delete_channel("users", "latest", "operator")

    assert latest(registry) == "1.0.0"


@pytest.mark.parametrize(
    ("channel", "version", "named"),
    [
        ("beta", "9.9.9", "no version 9.9.9"),
        ("beta", "1.0.0", "yanked"),
        ("latest", "1.0.0", "yanked"),
        ("latest", "9.9.9", "no version 9.9.9"),
        ("latest", "3.0.0-rc.1", "pre-release"),
    ],
)
def test_channel_points_only_at_allowed_versions(
    registry: Registry, store: MemoryVersionStore, channel: str, version: str, named: str
) -> None:
    """Channels may point at active versions only, `latest` at stable ones only."""
    registry.yank("users", ONE, None, "operator", FORCED)

    with pytest.raises(ConflictError, match=named):
        registry.set_channel("users", channel, Version.parse(version), "operator")

    assert channels(registry) == {}
    assert len(store.events) == 4


def test_channel_may_point_at_a_pre_release(registry: Registry) -> None:
    """A channel such as `beta` is for pre-releases."""
    registry.set_channel("users", "beta", RC, "operator")

    assert channels(registry) == {"beta": "3.0.0-rc.1"}
    assert latest(registry) == "2.0.0"


def test_setting_a_channel_again_changes_nothing(
    registry: Registry, store: MemoryVersionStore
) -> None:
    """A request that changes nothing raises no revision."""
    registry.set_channel("users", "beta", ONE, "operator")

    registry.set_channel("users", "beta", ONE, "another")

    assert len(store.events) == 4


def test_service_has_a_hundred_channels_at_most(registry: Registry) -> None:
    """Each can be moved, and a deleted one makes room."""
    for number in range(MAX_CHANNELS):
        registry.set_channel("users", f"c{number}", ONE, "operator")

    with pytest.raises(ConflictError, match="at most 100"):
        registry.set_channel("users", "one-more", ONE, "operator")
    registry.set_channel("users", "c0", TWO, "operator")
    registry.delete_channel("users", "c1", "operator")
    registry.set_channel("users", "one-more", ONE, "operator")

    assert len(channels(registry)) == MAX_CHANNELS


def test_change_keeps_everything_else_and_sets_the_time(store: MemoryVersionStore) -> None:
    """Each operation changes only its own part, and the service's time."""
    registry_on(store).publish(valid.publication("1.0.0", channel="beta"), "pipeline")
    later = registry_on(store, now=LATER)
    later.publish(valid.publication("2.0.0"), "pipeline")

    later.yank("users", TWO, None, "operator", FORCED)

    service = later.service("users").service
    assert (service.created_at, service.updated_at) == (valid.NOW, LATER)
    assert service.channels == {"beta": ONE}
    assert registry_on(store).version("users", ONE) == valid.record(published_by="pipeline")


def test_services_come_by_name_each_with_its_latest(store: MemoryVersionStore) -> None:
    """Names are case-sensitive, filtered by prefix, page by page."""
    registry = registry_on(store)
    for name in ("users", "billing", "users-api", "Users"):
        registry.publish(valid.publication(name=name), "pipeline")
    registry.delete("users-api", ONE, "operator", FORCED)

    first = registry.services("", limit=3, after=None)
    second = registry.services("", limit=3, after="users")
    of_users = registry.services("users", limit=3, after=None)

    assert [view.service.name for view in first.items] == ["Users", "billing", "users"]
    assert [view.latest and str(view.latest.version) for view in first.items] == ["1.0.0"] * 3
    assert first.last == "users"
    ((view,), last) = second.items, second.last
    assert (view.service.name, view.latest, last) == ("users-api", None, None)
    assert [view.service.name for view in of_users.items] == ["users", "users-api"]


CHANGES: dict[str, Callable[[Registry], object]] = {
    "yank": lambda registry: registry.yank("users", RC, None, "operator", FORCED),
    "activate": lambda registry: registry.activate("users", ONE, "operator"),
    "delete": lambda registry: registry.delete("users", ONE, "operator", FORCED),
    "set channel": lambda registry: registry.set_channel("users", "beta", TWO, "operator"),
    "delete channel": lambda registry: registry.delete_channel("users", "old", "operator"),
}


@pytest.fixture
def ready(registry: Registry, store: MemoryVersionStore) -> Registry:
    """Return operations for which each of these changes changes something."""
    registry.yank("users", ONE, "old", "operator", FORCED)
    registry.set_channel("users", "old", TWO, "operator")
    assert len(store.events) == 5
    return registry


@pytest.mark.parametrize("change", CHANGES)
def test_lost_race_is_decided_again(
    ready: Registry, store: MemoryVersionStore, change: str
) -> None:
    """The other change stays, and this one follows, one revision later."""

    def _rival() -> None:
        store.before_commit = lambda: None
        registry_on(store).publish(valid.publication("7.0.0"), "rival")

    store.before_commit = _rival

    CHANGES[change](ready)

    assert [(event.revision, event.by) for event in store.events[-2:]] == [
        (6, "rival"),
        (7, "operator"),
    ]
    assert latest(ready) == "7.0.0"


@pytest.mark.parametrize("change", CHANGES)
def test_change_that_loses_every_race_is_busy(
    ready: Registry, store: MemoryVersionStore, change: str
) -> None:
    """The attempts are limited; nothing of the change is written."""
    store.before_commit = _raising(RaceLostError())

    with pytest.raises(BusyError):
        CHANGES[change](ready)

    assert len(store.events) == 5


@pytest.mark.parametrize("change", CHANGES)
def test_throttled_change_is_not_tried_again_here(
    ready: Registry, store: MemoryVersionStore, change: str
) -> None:
    """The DynamoDB client has retried already; more attempts would make a busy table busier."""
    attempts: list[int] = []

    def _throttle() -> None:
        attempts.append(1)
        raise ThrottledError

    store.before_commit = _throttle

    with pytest.raises(ThrottledError):
        CHANGES[change](ready)

    assert len(attempts) == 1


def _raising(error: Exception) -> Callable[[], None]:
    def _raise() -> None:
        raise error

    return _raise


def test_channel_never_points_at_a_version_that_was_yanked_meanwhile(
    registry: Registry, store: MemoryVersionStore
) -> None:
    """Both requests read a valid state; the second one decides again and is refused."""

    def _rival() -> None:
        store.before_commit = lambda: None
        registry_on(store).yank("users", TWO, "broken", "rival", FORCED)

    store.before_commit = _rival

    with pytest.raises(ConflictError, match="yanked"):
        registry.set_channel("users", "beta", TWO, "operator")

    assert channels(registry) == {}


def test_version_that_got_a_channel_meanwhile_is_not_deleted(
    registry: Registry, store: MemoryVersionStore
) -> None:
    """The second request decides again and is refused."""

    def _rival() -> None:
        store.before_commit = lambda: None
        registry_on(store).set_channel("users", "beta", TWO, "rival")

    store.before_commit = _rival

    with pytest.raises(ConflictError, match="'beta'"):
        registry.delete("users", TWO, "operator", FORCED)

    assert registry.version("users", TWO).status is Status.ACTIVE


def test_service_document_never_mixes_two_states(
    registry: Registry, store: MemoryVersionStore
) -> None:
    """Latest is read after the service: a version that was yanked in between is not shown."""
    once = iter(["rival"])
    read = store.version

    def _version(name: str, version: Version) -> object:
        for rival in once:
            registry_on(store).yank("users", TWO, None, rival, FORCED)
        return read(name, version)

    store.version = _version  # type: ignore[method-assign,assignment]  # another write between two reads

    view = registry.service("users")

    assert view.latest is not None
    assert str(view.latest.version) == "1.0.0"
    assert view.service.revision == 4


def test_page_of_services_never_mixes_two_states(
    registry: Registry, store: MemoryVersionStore
) -> None:
    """The same for a page of services; a change of one service does not make the page fail."""
    registry.publish(valid.publication(name="billing"), "pipeline")
    once = iter(["rival"])
    read = store.records

    def _records(wanted: object) -> object:
        for rival in once:
            registry_on(store).delete("users", TWO, rival, FORCED)
        return read(wanted)  # type: ignore[arg-type]  # passed on

    store.records = _records  # type: ignore[method-assign,assignment]  # as above

    page = registry.services("", limit=10, after=None)

    assert [
        (view.service.name, view.latest and str(view.latest.version), view.service.revision)
        for view in page.items
    ] == [("billing", "1.0.0", 1), ("users", "1.0.0", 4)]


def test_service_that_the_list_of_names_does_not_have_yet_is_left_out(
    store: MemoryVersionStore,
) -> None:
    """The list is a moment behind, so a name may have no service."""
    registry = registry_on(store)
    registry.publish(valid.publication(), "pipeline")
    store.services = lambda names: {}  # type: ignore[method-assign]  # noqa: ARG005  # as if gone

    assert registry.services("", limit=10, after=None).items == ()


@pytest.mark.parametrize("act", ["yank", "delete"])
def test_highest_version_is_looked_for_when_the_last_change_is_whole(
    registry: Registry, store: MemoryVersionStore, monkeypatch: pytest.MonkeyPatch, act: str
) -> None:
    """A version that is being published may be the highest, and not visible yet."""
    asked: list[str] = []
    find_highest = store.highest_stable

    def see(_service: ServiceRecord) -> None:
        asked.append("whole")
        if len(asked) == 1:
            raise RaceLostError

    def find(name: str, series: Series, *, below: Version) -> Version | None:
        asked.append("highest")
        return find_highest(name, series, below=below)

    monkeypatch.setattr(store, "check_last_change", see)
    monkeypatch.setattr(store, "highest_stable", find)

    if act == "yank":
        registry.yank("users", TWO, None, "somebody", FORCED)
    else:
        registry.delete("users", TWO, "somebody", FORCED)

    assert asked == ["whole", "whole", "highest"]
