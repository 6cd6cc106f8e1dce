"""Any sequence of requests, compared with a simple model."""

from typing import TYPE_CHECKING, Any

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from consumer_scan.listing import FoundConsumer, Scope
from consumer_scan.recording import ScanRecorder
from registry_api.consumers import Consumers, ConsumerStore
from registry_api.resolution import NeedsResolver
from registry_api.routes import Routes
from registry_tables.consumers_table import ConsumersTable
from registry_tables.index_table import IndexTable
from registry_tables.versions_table import VersionsTable
from testing import tables
from testing.aws import aws
from tests.functional.registry_api.gateway import (
    ARN,
    OTHER_ARN,
    GatewayResponse,
    event,
    response_of,
)
from tests.functional.registry_api.index_update import update_index
from tests.functional.registry_api.naive import (
    NaiveConsumer,
    NaiveNeed,
    NaiveRegistry,
    NaiveService,
)
from tests.unit.registry_api.memory_consumers import MemoryConsumerStore
from tests.unit.registry_api.memory_store import MemoryIndexStore, MemoryVersionStore, registry_on

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_dynamodb import DynamoDBClient

    from registry_api.store import IndexStore, VersionStore

    Stores = tuple[VersionStore, IndexStore, ConsumerStore]

NAMES = st.sampled_from(["users", "users-api"])
NUMBERS = st.sampled_from(["0", "1", "2", "10"])
RELEASES = st.builds("{}.{}.{}".format, NUMBERS, NUMBERS, NUMBERS)
VERSIONS = RELEASES | st.builds("{}-{}".format, RELEASES, st.sampled_from(["rc.2", "rc.10", "1"]))
ARNS = st.sampled_from([ARN, ARN, ARN, OTHER_ARN])
METADATA = st.sampled_from([{}, {}, {}, {"metadata": {}}, {"metadata": {"commit": "abc"}}])
CHANNELS = st.sampled_from(["latest", "beta", "stable"])
SOMETIMES_A_CHANNEL = st.dictionaries(st.just("channel"), CHANNELS, max_size=1)
STATUSES = st.sampled_from(
    [
        {"status": "active"},
        {"status": "yanked"},
        {"status": "yanked", "reason": "broken"},
        {"status": "yanked", "reason": ""},
    ]
)
CALLERS = st.sampled_from(["arn:aws:iam::1:user/pipeline", "arn:aws:iam::1:user/operator"])
SELECTORS = (
    st.sampled_from(["", "==latest", "@latest", "@beta", "@stable", ">=1", "==1.x", "==10.x"])
    | st.builds("=={}.{}.x".format, NUMBERS, NUMBERS)
    | st.builds("~={}.{}".format, NUMBERS, NUMBERS)
    | st.builds("~={}.{}.{}".format, NUMBERS, NUMBERS, NUMBERS)
    | st.builds(">={}.{}".format, NUMBERS, NUMBERS)
    | st.builds("=={}".format, VERSIONS)
)
CONSUMERS = st.sampled_from(["orders", "1:eu:orders", "1:eu:invoices"])
NEEDS = st.lists(
    st.tuples(st.none() | st.sampled_from(["old", "new"]), NAMES, SELECTORS),
    min_size=1,
    max_size=3,
    unique_by=lambda need: need[0] or need[1],
)
SCANNED = st.dictionaries(
    st.sampled_from(["1:eu:orders", "1:eu:invoices", "1:eu:invoices:live"]), NEEDS
)
TIMES = ("published_at", "created_at", "updated_at", "at", "seen_at")


def timeless(document: Any) -> Any:
    """Return a document without its times, which the model does not have."""
    if isinstance(document, dict):
        return {k: timeless(value) for k, value in document.items() if k not in TIMES}
    return [timeless(each) for each in document] if isinstance(document, list) else document


class AnyOperations(RuleBasedStateMachine):
    """The API on some tables, and the model."""

    def __init__(self) -> None:
        super().__init__()
        self.model = NaiveRegistry()
        versions, index, consumers = self.make_stores()
        resolver = NeedsResolver(index)
        registry = registry_on(versions, consumers=consumers)
        routes = Routes(registry, Consumers(consumers, resolver), resolver, lambda _: None)
        self.handler: Callable[..., Any] = routes.respond

    def make_stores(self) -> "Stores":
        """Create empty tables."""
        raise NotImplementedError

    def call(self, *request: Any, **more: Any) -> GatewayResponse:
        """Send a request."""
        return response_of(self.handler, event(*request, **more))

    def write(self, name: str, *request: Any, force: bool = False, by: str) -> GatewayResponse:
        """Send a request that writes, after a dry run, which must predict its changes.

        Args:
            name: The service.
        """
        flags = {"force": "true"} if force else {}
        service = self._shown_service(name)
        before = service.versions_by_selector()
        predicted = self.call(*request, query={"dry_run": "true"} | flags, by=by)
        assert self._shown_service(name).versions_by_selector() == before

        response = self.call(*request, query=flags, by=by)

        changed = self._shown_service(name)
        after = changed.versions_by_selector()
        if response.status < 300:
            moved = self.model.moved_needs(service, changed)
            assert predicted.status == 200
            assert predicted.document == {
                "changes": [
                    {"selector": each, "from": before.get(each), "to": after.get(each)}
                    for each in sorted(before.keys() | after.keys())
                    if before.get(each) != after.get(each)
                ],
                "consumers": moved,
                "consumers_total": len(moved),
            }
        else:
            assert (predicted.status, predicted.document) == (response.status, response.document)
        return response

    def _shown_service(self, name: str) -> NaiveService:
        """Return a service from the API."""
        service = NaiveService(name)
        found = self.call("GET", f"/services/{name}")
        if found.status == 200:
            service.channels = found.document["channels"]
            service.records = self._pages(f"/services/{name}/versions", "versions", limit="100")
        return service

    @rule(
        name=NAMES,
        version=VERSIONS,
        arn=ARNS,
        metadata=METADATA,
        channel=SOMETIMES_A_CHANNEL,
        by=CALLERS,
    )
    def publish(
        self,
        name: str,
        version: str,
        arn: str,
        metadata: dict[str, Any],
        channel: dict[str, str],
        by: str,
    ) -> None:
        """Publish a version: new, again or with another ARN; with a channel or without."""
        wanted = {"name": name, "version": version, "arn": arn} | metadata | channel

        response = self.write(name, "POST", "/services", wanted, by=by)

        assert response.status == self.model.publish(wanted, by)
        expected = self.model.services[name].find(version) if name in self.model.services else None
        if response.status == 409:
            assert timeless(response.document.get("current")) in (expected, None)
        else:
            assert timeless(response.document) == expected

    @rule(data=st.data(), channel=CHANNELS, by=CALLERS)
    def set_channel(self, data: st.DataObject, channel: str, by: str) -> None:
        """Set a channel; the service and the version may not exist."""
        name, version = self._any_version(data)

        path = f"/services/{name}/channels/{channel}"
        response = self.write(name, "PUT", path, {"version": version}, by=by)

        assert response.status == self.model.set_channel(name, channel, version, by)
        if response.status == 200:
            assert response.document == {"channel": channel, "version": version}

    @rule(name=NAMES, channel=CHANNELS, by=CALLERS)
    def delete_channel(self, name: str, channel: str, by: str) -> None:
        """Delete a channel, which may not be set."""
        response = self.write(name, "DELETE", f"/services/{name}/channels/{channel}", by=by)

        assert response.status == self.model.delete_channel(name, channel, by)

    @rule(data=st.data(), wanted=STATUSES, force=st.booleans(), by=CALLERS)
    def set_status(
        self, data: st.DataObject, wanted: dict[str, str], by: str, *, force: bool
    ) -> None:
        """Yank or activate a version, for the first time or again."""
        name, version = self._any_version(data)

        lost = self.model.lost(name, version, deleted=False)
        path = f"/services/{name}/versions/{version}"
        response = self.write(name, "PATCH", path, wanted, force=force, by=by)

        assert response.status == self.model.set_status(name, version, wanted, by, force=force)
        if response.status == 200:
            assert timeless(response.document) == self.model.services[name].find(version)
        if response.status == 409:
            pointing = self.model.services[name].pointing_at(version)
            assert all(f"'{channel}'" in response.document["detail"] for channel in pointing)
            assert pointing or _lost(response) == lost

    @rule(data=st.data(), force=st.booleans(), by=CALLERS)
    def delete(self, data: st.DataObject, by: str, *, force: bool) -> None:
        """Delete a version, which may not exist."""
        name, version = self._any_version(data)

        lost = self.model.lost(name, version, deleted=True)
        path = f"/services/{name}/versions/{version}"
        response = self.write(name, "DELETE", path, force=force, by=by)

        assert response.status == self.model.delete(name, version, by, force=force)
        if response.status == 409:
            assert self.model.services[name].pointing_at(version) or _lost(response) == lost

    @rule(name=CONSUMERS, needs=NEEDS)
    def declare(self, name: str, needs: list[NaiveNeed]) -> None:
        """Declare a consumer, for the first time or again."""
        consumer = NaiveConsumer("declared", needs)

        response = self.call("PUT", f"/consumers/{name}", {"needed": consumer.needed()})

        assert response.status == 200
        self.model.consumers[name] = consumer

    @rule(name=CONSUMERS)
    def forget(self, name: str) -> None:
        """Remove a consumer, which may not exist."""
        response = self.call("DELETE", f"/consumers/{name}")

        assert response.status == (204 if self.model.consumers.pop(name, None) else 404)

    @rule(limit=st.integers(1, 4), prefix=st.sampled_from(["", "1:eu:", "orders", "x"]))
    def list_consumers(self, limit: int, prefix: str) -> None:
        """List all consumers, page by page."""
        seen = self._pages("/consumers", "consumers", limit=str(limit), prefix=prefix)

        assert seen == [
            {"consumer": name, "needed": consumer.needed(), "source": consumer.source}
            | ({"arn": ARN} if consumer.source == "scan" else {})
            for name, consumer in sorted(self.model.consumers.items())
            if name.startswith(prefix)
        ]

    @rule(limit=st.integers(1, 4), prefix=st.sampled_from(["", "users", "users-", "x"]))
    def list_services(self, limit: int, prefix: str) -> None:
        """List all services, page by page, each with its latest."""
        seen = self._pages("/services", "services", limit=str(limit), prefix=prefix)

        assert seen == [
            {"name": name, "latest": service.latest(), "revision": service.revision}
            for name, service in sorted(self.model.services.items())
            if name.startswith(prefix)
        ]

    @rule(name=NAMES, limit=st.integers(1, 4))
    def list_a_service(self, name: str, limit: int) -> None:
        """List a service's versions and history, page by page."""
        service = self.model.services.get(name)
        if service is None:
            assert self.call("GET", f"/services/{name}/versions").status == 404
            assert self.call("GET", f"/services/{name}/history").status == 404
            return
        versions = self._pages(f"/services/{name}/versions", "versions", limit=str(limit))
        events = self._pages(f"/services/{name}/history", "events", limit=str(limit))

        assert versions == service.descending()
        assert events == service.events[::-1]

    @rule(data=st.data())
    def look_at_a_version(self, data: st.DataObject) -> None:
        """Read a version, which may not exist."""
        name, version = self._any_version(data)
        service = self.model.services.get(name)
        record = service.find(version) if service else None

        response = self.call("GET", f"/services/{name}/versions/{version}")

        assert response.status == (200 if record else 404)
        assert record is None or timeless(response.document) == record

    @invariant()
    def services_are_as_in_the_model(self) -> None:
        """After each step, also after refused ones, every service is as in the model."""
        for name in ("users", "users-api"):
            service = self.model.services.get(name)
            response = self.call("GET", f"/services/{name}")
            assert response.status == (200 if service else 404)
            if service:
                assert timeless(response.document) == service.document()

    def _any_version(self, data: st.DataObject) -> tuple[str, str]:
        """Draw a version, mostly an existing one."""
        existing = [
            (name, record["version"])
            for name, service in sorted(self.model.services.items())
            for record in service.records
        ]
        anywhere = st.tuples(NAMES, VERSIONS)
        drawn: tuple[str, str] = data.draw(
            anywhere if not existing else st.one_of(*[st.sampled_from(existing)] * 4, anywhere)
        )
        return drawn

    def _pages(self, path: str, member: str, **query: str) -> list[Any]:
        """Read a list to its end."""
        seen: list[Any] = []
        while True:
            response = self.call("GET", path, query=query)
            assert response.status == 200
            assert len(response.document[member]) <= int(query["limit"])
            seen += timeless(response.document[member])
            if response.document["cursor"] is None:
                return seen
            query["cursor"] = response.document["cursor"]


def _lost(refusal: GatewayResponse) -> tuple[list[str], list[dict[str, Any]]]:
    """Return the selectors and the needs that the guard names."""
    assert refusal.document["consumers_total"] == len(refusal.document["consumers"])
    return refusal.document["selectors"], refusal.document["consumers"]


class OnMemory(AnyOperations):
    """Only the rules, with many examples."""

    def make_stores(self) -> "Stores":
        """Create tables in memory; the index is empty, since no rule compares its answers."""
        return MemoryVersionStore(), MemoryIndexStore({}), MemoryConsumerStore()


class OnDynamoDB(AnyOperations):
    """The rules with their keys, conditions and queries, and the index."""

    client: "DynamoDBClient"
    clock: int
    consumers: ConsumersTable

    def make_stores(self) -> "Stores":
        """Create the tables on moto."""
        tables.renew_tables(self.client)
        self.clock = 0
        self.consumers = ConsumersTable(
            self.client,
            tables.CONSUMERS,
            now_s=self._now_s,
            timestamp=lambda: "2026-11-23T08:00:00Z",
            sleep=lambda _: None,
            random=lambda: 0.5,
        )
        return (
            VersionsTable(self.client, tables.VERSIONS),
            IndexTable(self.client, tables.INDEX),
            self.consumers,
        )

    def _now_s(self) -> float:
        """Return the time of a clock that sometimes goes back, as with several machines."""
        self.clock += 1
        return 1_000.0 + self.clock % 7

    @rule(found=SCANNED)
    def scan(self, found: dict[str, list[NaiveNeed]]) -> None:
        """Make a complete scan of one account and Region."""
        recorder = ScanRecorder(self.consumers, Scope(account_id="1", region="eu"))
        recorder.record(
            FoundConsumer(name=name, needed=NaiveConsumer("scan", needs).needed(), arn=ARN)
            for name, needs in found.items()
        )
        recorder.remove_gone([])

        self.model.scan("1:eu:", found)

    @precondition(lambda self: self.model.services and self.model.consumers)
    @rule(name=NAMES, limit=st.integers(1, 4))
    def list_consumers_of_a_service(self, name: str, limit: int) -> None:
        """List a service's consumers: with a drained stream, each need has its present version."""
        service = self.model.services.get(name)
        if service is None:
            return
        update_index(self.client)

        seen = self._pages(f"/services/{name}/consumers", "consumers", limit=str(limit))

        assert [(each["consumer"], each["key"], each["version"]) for each in seen] == sorted(
            (consumer_name, alias or name, found and found["version"])
            for consumer_name, consumer in self.model.consumers.items()
            for alias, needed_service, selector in consumer.needs
            if needed_service == name
            for found in [service.resolve(selector)]
        )

    @precondition(lambda self: self.model.services)
    @rule(name=NAMES, selectors=st.lists(SELECTORS, min_size=1, max_size=6))
    def resolve(self, name: str, selectors: list[str]) -> None:
        """Resolve a selector: the index's answer is that of a search of all versions."""
        update_index(self.client)

        service = self.model.services.get(name)
        expected = [service.resolve(selector) if service else None for selector in selectors]
        for selector, record in zip(selectors, expected, strict=True):
            response = self.call("GET", f"/services/{name}/resolve", query={"selector": selector})
            assert response.status == (200 if record else 404)
            for member in ("version", "arn", "status", "reason", "metadata") if record else ():
                assert response.document.get(member) == (record or {}).get(member)
        needed = ",".join(f"k{at}:{name}{selector}" for at, selector in enumerate(selectors))
        dry_run = self.call("POST", "/resolve", {"needed": needed}).document
        assert dry_run["resolved"] is all(expected)
        assert [member.get("version") for member in dry_run["services"].values()] == [
            record and record["version"] for record in expected
        ]

    @precondition(lambda self: self.model.services)
    @rule()
    def read_the_index(self) -> None:
        """Read the index: it has one item for each answer, and no others."""
        update_index(self.client)

        items = self.client.scan(TableName=tables.INDEX)["Items"]

        assert {
            (item["service"]["S"], item["selector"]["S"]): item["version"]["S"] for item in items
        } == {
            (name, selector): record["version"]
            for name, service in self.model.services.items()
            for selector, record in service.index().items()
        }


def test_any_operations_respond_as_the_model_does() -> None:
    """Only the rules, with many examples."""
    run_state_machine_as_test(OnMemory, settings=settings(max_examples=100, stateful_step_count=30))


def test_any_operations_respond_as_the_model_does_on_dynamodb() -> None:
    """The same on moto, with one client for all examples."""
    with aws() as client:
        OnDynamoDB.client = client
        run_state_machine_as_test(
            OnDynamoDB, settings=settings(max_examples=8, stateful_step_count=25)
        )
