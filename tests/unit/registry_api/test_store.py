"""What `VersionStore` promises, kept by the fake of the tests and by DynamoDB alike."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from registry_api.dynamodb import DynamoVersionStore
from registry_api.store import RaceLostError, VersionStore
from registry_model.records import Status
from registry_model.version import Version
from tests.functional import tables
from tests.unit.registry_api import valid
from tests.unit.registry_api.memory_store import MemoryVersionStore


@pytest.fixture(params=["memory", "dynamodb"])
def store(request: pytest.FixtureRequest) -> VersionStore:
    """Give an empty table."""
    if request.param == "memory":
        return MemoryVersionStore()
    return DynamoVersionStore(request.getfixturevalue("dynamodb"), tables.VERSIONS)


Publish = Callable[..., None]


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
    assert store.highest_stable("users") is None
    assert store.versions("users", limit=10, after=None).versions == ()


def test_what_was_committed_is_read_at_once(store: VersionStore) -> None:
    """Reads are strongly consistent: whoever published sees it."""
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


def test_service_is_read_where_its_version_is_not(store: VersionStore, publish: Publish) -> None:
    """A publish of a further version needs the one and not the other."""
    publish("1.0.0")

    service, record = store.read("users", Version.parse("2.0.0"))

    assert service is not None
    assert record is None


def test_first_publish_happens_once(store: VersionStore) -> None:
    """Two pipelines that both found nothing: one of them decides anew."""
    store.commit(valid.change("1.0.0"))

    with pytest.raises(RaceLostError):
        store.commit(valid.change("2.0.0"))

    assert store.version("users", Version.parse("2.0.0")) is None


def test_change_of_an_overtaken_service_does_not_happen(
    store: VersionStore, publish: Publish
) -> None:
    """Neither the version, nor the service, nor the history: it happens whole or not at all."""
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
    """The service may have been read after the rival's publish, the version before it."""
    publish("1.0.0", "1.1.0")
    stands = store.version("users", Version.parse("1.1.0"))

    with pytest.raises(RaceLostError):
        store.commit(
            valid.change(
                "1.1.0",
                expected=store.service("users"),
                put=valid.record("1.1.0", revision=3, arn=valid.OTHER_ARN),
            )
        )

    assert store.version("users", Version.parse("1.1.0")) == stands


def test_channel_is_not_set_to_a_version_that_has_changed(
    store: VersionStore, publish: Publish
) -> None:
    """A version that was yanked meanwhile would be what a channel points at."""
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


def test_highest_stable_version_is_active_and_no_pre_release(
    store: VersionStore, publish: Publish
) -> None:
    """By precedence: neither by text, nor by time."""
    publish("1.9.0", "1.10.0", "1.2.0", "2.0.0-rc.1")
    publish("3.0.0", status=Status.YANKED)

    highest = store.highest_stable("users")

    assert highest is not None
    assert str(highest.version) == "1.10.0"
    assert store.highest_stable("user") is None


def test_pages_go_on_below_the_last_version(store: VersionStore, publish: Publish) -> None:
    """Highest first, each once, of this service alone; `last` ends the list."""
    ascending = ["1.0.0-rc.1", "1.0.0", "1.9.0", "1.10.0", "10.0.0"]
    publish(*ascending[::2], *ascending[1::2])

    first = store.versions("users", limit=3, after=None)
    second = store.versions("users", limit=3, after=first.last)

    assert [str(record.version) for record in first.versions] == ["10.0.0", "1.10.0", "1.9.0"]
    assert str(first.last) == "1.9.0"
    assert [str(record.version) for record in second.versions] == ["1.0.0", "1.0.0-rc.1"]
    assert second.last is None


def test_page_begins_below_a_version_that_is_gone(store: VersionStore, publish: Publish) -> None:
    """What a cursor names may have been deleted since."""
    publish("1.0.0", "3.0.0")

    page = store.versions("users", limit=10, after=Version.parse("2.0.0"))

    assert [str(record.version) for record in page.versions] == ["1.0.0"]
