"""The rules of `VersionStore`, for the tests' fake and for DynamoDB."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from registry_api.store import VersionStore
from registry_model.version import Version
from registry_tables.errors import RaceLostError
from registry_tables.page import Page
from registry_tables.records import Action, Change, Status
from registry_tables.series import Series
from registry_tables.versions_table import VersionsTable
from testing import tables
from tests.unit.registry_api import valid
from tests.unit.registry_api.memory_store import MemoryVersionStore


@pytest.fixture(params=["memory", "dynamodb"])
def store(request: pytest.FixtureRequest) -> VersionStore:
    """Return an empty table."""
    if request.param == "memory":
        return MemoryVersionStore()
    return VersionsTable(request.getfixturevalue("dynamodb"), tables.VERSIONS)


Publish = Callable[..., None]
NOTHING: Page[Any, Any] = Page(items=(), last=None)


@pytest.fixture
def publish(store: VersionStore) -> Publish:
    """Publish versions, one after the other."""

    def _publish(*versions: str, status: Status = Status.ACTIVE) -> None:
        for version in versions:
            before = store.service("users")
            revision = before.revision + 1 if before else 1
            put = valid.record(version, revision=revision, status=status)
            store.commit(valid.change(version, expected=before, put=put))

    return _publish


def test_empty_table_has_nothing(store: VersionStore) -> None:
    version = Version.parse("1.0.0")

    assert store.read("users", version) == (None, None)
    assert store.service("users") is None
    assert store.version("users", version) is None
    assert store.highest_stable("users", Series(), below=version) is None
    assert store.service_names("", limit=10, after=None) == NOTHING
    assert store.services(["users"]) == {}
    assert store.records([("users", version)]) == {}
    assert store.versions("users", limit=10, after=None) == NOTHING
    assert store.history("users", limit=10, before=None) == NOTHING


def test_committed_change_is_read_at_once(store: VersionStore) -> None:
    """Reads are strongly consistent, so a publisher sees its version."""
    change = valid.change(
        "1.4.2",
        service=valid.service(channels={"beta": Version.parse("1.4.2")}),
        put=valid.record("1.4.2", metadata={"commit": "abc"}),
    )

    store.commit(change)

    version = Version.parse("1.4.2")
    assert store.read("users", version) == (change.service, change.put)
    assert store.service("users") == change.service
    assert store.version("users", version) == change.put


def test_service_is_read_if_its_version_does_not_exist(
    store: VersionStore, publish: Publish
) -> None:
    """A publish of a further version reads both, and finds only the service."""
    publish("1.0.0")

    service, record = store.read("users", Version.parse("2.0.0"))

    assert service is not None
    assert record is None


def test_first_publish_happens_once(store: VersionStore) -> None:
    """Of two pipelines that both found nothing, the second one decides again."""
    store.commit(valid.change("1.0.0"))

    with pytest.raises(RaceLostError):
        store.commit(valid.change("2.0.0"))

    assert store.version("users", Version.parse("2.0.0")) is None


def test_change_of_a_service_that_has_changed_is_refused(
    store: VersionStore, publish: Publish
) -> None:
    """A change is atomic: version, service and history."""
    publish("1.0.0")
    before = store.service("users")
    publish("1.1.0")
    after = store.service("users")

    with pytest.raises(RaceLostError):
        store.commit(valid.change("1.2.0", expected=before))

    assert store.service("users") == after
    assert store.version("users", Version.parse("1.2.0")) is None


def test_version_that_was_published_meanwhile_is_not_overwritten(
    store: VersionStore, publish: Publish
) -> None:
    """The service may have been read after another publish, and the version before it."""
    publish("1.0.0", "1.1.0")
    published = store.version("users", Version.parse("1.1.0"))

    with pytest.raises(RaceLostError):
        store.commit(
            valid.change(
                "1.1.0",
                expected=store.service("users"),
                put=valid.record("1.1.0", revision=3, arn=valid.OTHER_ARN),
            )
        )

    assert store.version("users", Version.parse("1.1.0")) == published


def test_channel_is_not_set_to_a_version_that_has_changed(
    store: VersionStore, publish: Publish
) -> None:
    """A channel must not point at a version that was yanked meanwhile."""
    publish("1.0.0")
    service, current = store.read("users", Version.parse("1.0.0"))
    assert service is not None
    assert current is not None
    outdated = replace(current, revision=current.revision + 7)
    after = replace(service, revision=2, channels={"beta": current.version})

    with pytest.raises(RaceLostError):
        store.commit(valid.change(expected=service, found=outdated, service=after, put=None))

    assert store.service("users") == service
    store.commit(valid.change(expected=service, found=current, service=after, put=None))
    assert store.service("users") == after


def test_version_is_deleted_as_it_was_read(store: VersionStore, publish: Publish) -> None:
    """The revision and the history change too; a version that has changed is not deleted."""
    publish("1.0.0")
    service, current = store.read("users", Version.parse("1.0.0"))
    assert service is not None
    assert current is not None
    after = replace(service, revision=2)
    event = valid.event(revision=2, action=Action.DELETE)
    deletion = Change(expected=service, found=current, service=after, event=event, deletes=True)
    outdated = replace(deletion, found=replace(current, revision=7))

    with pytest.raises(RaceLostError):
        store.commit(outdated)
    assert store.read("users", current.version) == (service, current)

    store.commit(deletion)
    assert store.read("users", current.version) == (after, None)
    assert store.history("users", limit=1, before=None).items == (event,)
    with pytest.raises(RaceLostError):
        store.commit(deletion)


def test_highest_stable_version_is_active_and_no_pre_release(
    store: VersionStore, publish: Publish
) -> None:
    """By precedence, not by text or time; optionally below a version to be deleted."""
    publish("1.9.0", "1.10.0", "1.2.0", "2.0.0-rc.1")
    publish("3.0.0", "1.9.5", status=Status.YANKED)

    def highest(below: str, name: str = "users") -> str | None:
        found = store.highest_stable(name, Series(), below=Version.parse(below))
        return None if found is None else str(found)

    assert highest("9.0.0") == "1.10.0"
    assert highest("2.0.0-rc.1") == "1.10.0"
    assert highest("1.10.0") == "1.9.0"
    assert highest("1.9.0") == "1.2.0"
    assert highest("1.2.0") is None
    assert highest("9.0.0", "user") is None


@pytest.mark.parametrize(
    ("series", "below", "expected"),
    [
        (Series(), None, "10.0.0"),
        (Series(1), None, "1.10.0"),
        (Series(1, 9), None, "1.9.7"),
        (Series(1, 1), None, "1.1.0"),
        (Series(2), None, None),
        (Series(1), "1.10.0", "1.9.7"),
        (Series(1), "1.1.0", None),
        (Series(1, 9), "1.9.7", "1.9.0"),
        (Series(1, 9), "1.9.0", None),
        (Series(), "1.1.0", None),
    ],
    ids=str,
)
def test_highest_version_of_a_series(
    store: VersionStore, publish: Publish, series: Series, below: str | None, expected: str | None
) -> None:
    """`1.x` includes neither 10.0.0 nor a pre-release; below a version, lower ones are found."""
    publish("1.1.0", "1.9.0", "1.9.7", "1.10.0", "1.11.0-rc.1", "10.0.0", "2.0.0-rc.1")

    found = store.highest_stable("users", series, below=Version.parse(below) if below else None)

    assert found == (Version.parse(expected) if expected else None)


def test_pages_go_on_below_the_last_version(store: VersionStore, publish: Publish) -> None:
    """The highest is first, each is once, and a page without `last` ends the list."""
    ascending = ["1.0.0-rc.1", "1.0.0", "1.9.0", "1.10.0", "10.0.0"]
    publish(*ascending[::2], *ascending[1::2])

    first = store.versions("users", limit=3, after=None)
    second = store.versions("users", limit=3, after=first.items[-1].version)

    assert [str(record.version) for record in first.items] == ["10.0.0", "1.10.0", "1.9.0"]
    assert first.last is not None
    assert [str(record.version) for record in second.items] == ["1.0.0", "1.0.0-rc.1"]
    assert second.last is None


def test_page_begins_below_a_version_that_is_gone(store: VersionStore, publish: Publish) -> None:
    """The version in a cursor may have been deleted since."""
    publish("1.0.0", "3.0.0")

    page = store.versions("users", limit=10, after=Version.parse("2.0.0"))

    assert [str(record.version) for record in page.items] == ["1.0.0"]


def test_events_come_newest_first_by_number(store: VersionStore, publish: Publish) -> None:
    """Revision 10 is newer than 9, although its text is lower."""
    publish(*[f"1.0.{number}" for number in range(12)])

    first = store.history("users", limit=4, before=None)
    second = store.history("users", limit=20, before=first.items[-1].revision)

    assert [event.revision for event in first.items] == [12, 11, 10, 9]
    assert first.last is not None
    assert [event.revision for event in second.items] == [8, 7, 6, 5, 4, 3, 2, 1]
    assert second.last is None
    assert store.history("user", limit=1, before=None) == NOTHING


def test_events_are_read_as_they_were_written(store: VersionStore) -> None:
    """Only the history has the data of a deleted version."""
    channels = {"beta": Version.parse("1.4.2")}
    written = [
        valid.event(channel="beta", by="pipeline"),
        valid.event(revision=2, action=Action.YANK, reason="", at="2026-02-02T00:00:00Z"),
        valid.event(revision=3, action=Action.DELETE_CHANNEL, version=None, channel="beta"),
    ]
    before = None
    for event in written:
        service = valid.service(revision=event.revision, channels=channels)
        change = valid.change(expected=before, service=service, event=event, put=None)
        store.commit(change)
        before = service

    assert store.history("users", limit=10, before=None).items == tuple(reversed(written))


def test_names_come_by_their_bytes_and_by_their_prefix(store: VersionStore) -> None:
    """Names are case-sensitive; a page continues after a name, even if no service has it."""
    names = ["Users", "users", "users-2", "users.a", "usersX", "Zebra", "a"]
    for name in reversed(names):
        store.commit(_first_of(name))

    def page(prefix: str = "", *, limit: int = 10, after: str | None = None) -> Page[str, str]:
        return store.service_names(prefix, limit=limit, after=after)

    assert page().items == ("Users", "Zebra", "a", "users", "users-2", "users.a", "usersX")
    assert page(limit=3) == Page(items=("Users", "Zebra", "a"), last="a")
    assert page(limit=3, after="a") == Page(items=("users", "users-2", "users.a"), last="users.a")
    assert page(after="users-1").items == ("users-2", "users.a", "usersX")
    assert page("users").items == ("users", "users-2", "users.a", "usersX")
    assert page("users", limit=2, after="users-2").items == ("users.a", "usersX")
    for prefix in ("users-22", "u" * 64, "u" * 65, "u" * 5_000, "\u00fc", "#1#users", "u s"):
        assert page(prefix) == NOTHING


def test_services_and_their_versions_are_read_by_the_page(store: VersionStore) -> None:
    """A page of more than a hundred takes more than one batch."""
    names = [f"s{number}" for number in range(101)]
    version = Version.parse("1.0.0")
    for name in names:
        store.commit(_first_of(name))

    services = store.services([*names, "nobody"])
    records = store.records([("nobody", version), *((name, version) for name in names)])

    assert services == {name: _first_of(name).service for name in names}
    assert records == {name: _first_of(name).put for name in names}
    assert store.records([("s1", Version.parse("2.0.0"))]) == {}


def _first_of(name: str) -> Change:
    """Return the first publish of a service."""
    return valid.change(
        service=valid.service(name=name), event=valid.event(name=name), put=valid.record(name=name)
    )
