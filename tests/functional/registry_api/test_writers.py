"""Many writers on one service at once: no change is lost, and each one is counted once."""

import threading
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from registry_api.operations import Registry
from registry_api.refusals import BusyError
from registry_api.values import Publication
from registry_model.version import Version
from registry_tables.arn import Arn
from registry_tables.records import Action, Status
from registry_tables.versions_table import VersionsTable
from testing import tables
from tests.functional.registry_api.gateway import ARN
from tests.unit.registry_api.valid import FORCED

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

WRITERS = 32
NOW = "2026-01-01T00:00:00Z"


class Contended:
    """DynamoDB for many threads, with the conflicts that moto never has."""

    def __init__(self, client: "DynamoDBClient") -> None:
        self._client = client
        self._guard = threading.Lock()
        self._chance = Random(1)
        self._all_have_read = threading.Barrier(WRITERS)
        self._seen: set[int] = set()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(**arguments: Any) -> Any:
            if name == "transact_write_items":
                self._meet_once()
            with self._guard:
                if name == "transact_write_items" and self._chance.random() < 0.15:
                    raise ClientError(
                        {
                            "Error": {"Code": "TransactionCanceledException"},
                            "CancellationReasons": [{"Code": "TransactionConflict"}],
                        },
                        "TransactWriteItems",
                    )
                return getattr(self._client, name)(**arguments)

        return call

    def _meet_once(self) -> None:
        """Make each writer wait until all have read."""
        thread = threading.get_ident()
        if thread not in self._seen:
            self._seen.add(thread)
            self._all_have_read.wait(timeout=60)


def version(number: int) -> Version:
    """Return a writer's own version."""
    return Version(1, 0, number)


def publishes(registry: Registry, number: int) -> None:
    """Publish the writer's version."""
    registry.publish(publication(number), f"writer {number}")


def releases(registry: Registry, number: int) -> None:
    """Publish the writer's version, with a channel of its own."""
    registry.publish(publication(number, channel=f"c{number}"), f"writer {number}")


def frees(registry: Registry, number: int) -> None:
    """Delete the writer's channel."""
    registry.delete_channel("users", f"c{number}", f"writer {number}")


def yanks(registry: Registry, number: int) -> None:
    """Yank the writer's version."""
    registry.yank("users", version(number), "broken", f"writer {number}", FORCED)


def deletes(registry: Registry, number: int) -> None:
    """Delete the writer's version."""
    registry.delete("users", version(number), f"writer {number}", FORCED)


def publication(number: int, channel: str | None = None) -> Publication:
    """Return a writer's publication."""
    return Publication(
        name="users",
        version=version(number),
        arn=Arn.parse(ARN),
        metadata={"writer": str(number)},
        channel=channel,
    )


# What a writer does, by its number: the four kinds end in different states.
CAREERS: list[tuple[list[Callable[[Registry, int], None]], list[Action]]] = [
    ([releases], [Action.PUBLISH]),
    ([publishes, yanks], [Action.PUBLISH, Action.YANK]),
    ([publishes, deletes], [Action.PUBLISH, Action.DELETE]),
    ([releases, frees], [Action.PUBLISH, Action.DELETE_CHANNEL]),
]


def test_32_writers_at_once_lose_nothing(dynamodb: "DynamoDBClient") -> None:
    """A writer that loses a race decides again; the revision counts every change once."""
    check_32_writers(VersionsTable(Contended(dynamodb), tables.VERSIONS))  # type: ignore[arg-type]  # has what it needs


def check_32_writers(store: VersionsTable) -> None:
    """Let the writers work at once on a table, and check that each change was made once."""
    failures: list[Exception] = []

    def work(number: int) -> None:
        registry = Registry(store, now=lambda: NOW, sleep=_nap, random=Random(number).random)
        for step in CAREERS[number % 4][0]:
            try:
                _until_done(lambda step=step: step(registry, number))  # type: ignore[misc]  # bound
            except Exception as error:  # noqa: BLE001  # compared below
                failures.append(error)

    writers = [threading.Thread(target=work, args=(number,)) for number in range(WRITERS)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()

    assert failures == []
    changes = sum(len(CAREERS[number % 4][1]) for number in range(WRITERS))
    service = store.service("users")
    assert service is not None
    assert service.revision == changes == 56
    assert service.channels == {f"c{n}": version(n) for n in range(0, WRITERS, 4)}
    assert service.highest == version(31)
    records = store.versions("users", limit=100, after=None).items
    assert {record.version: record.status for record in records} == {
        version(n): Status.YANKED if n % 4 == 1 else Status.ACTIVE
        for n in range(WRITERS)
        if n % 4 != 2
    }
    assert all(record.metadata == {"writer": str(record.version.patch)} for record in records)
    events = store.history("users", limit=100, before=None).items
    assert [event.revision for event in events] == list(range(changes, 0, -1))
    recorded = [(event.by, event.action) for event in reversed(events)]
    for number in range(WRITERS):
        its = [action for by, action in recorded if by == f"writer {number}"]
        assert its == CAREERS[number % 4][1]
    last = {event.version: event.revision for event in reversed(events) if event.version}
    assert all(record.revision == last[record.version] for record in records)


def test_32_publishes_of_one_version_are_one(dynamodb: "DynamoDBClient") -> None:
    """A pipeline may be started many times: one run publishes, the others repeat it."""
    check_32_publishes(VersionsTable(Contended(dynamodb), tables.VERSIONS))  # type: ignore[arg-type]  # as above


def check_32_publishes(store: VersionsTable) -> None:
    """Let the writers publish one version at once, and check that only one of them did."""
    answers: list[tuple[str, Any]] = []

    def work(number: int) -> None:
        registry = Registry(store, now=lambda: NOW, sleep=_nap, random=Random(number).random)
        wanted = publication(0, channel="beta")

        def publish() -> None:
            outcome, record = registry.publish(wanted, "pipeline")
            answers.append((outcome.value, record))

        _until_done(publish)

    writers = [threading.Thread(target=work, args=(number,)) for number in range(WRITERS)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()

    assert sorted(outcome for outcome, _ in answers) == ["created"] + ["repeated"] * (WRITERS - 1)
    assert all(record == answers[0][1] for _, record in answers)
    service = store.service("users")
    assert service is not None
    assert (service.revision, service.channels) == (1, {"beta": version(0)})


def _until_done(act: Callable[[], None]) -> None:
    """Repeat while the service is busy, as a pipeline does after a 503."""
    while True:
        try:
            return act()
        except BusyError:
            continue


def _nap(seconds: float) -> None:
    threading.Event().wait(seconds / 3)


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Any:
    """Check that every writer has ended."""
    before = threading.active_count()
    yield
    assert threading.active_count() == before
