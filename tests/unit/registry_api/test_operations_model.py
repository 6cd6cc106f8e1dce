"""Any sequence of publishes, against a model that knows no races, no pages and no order keys."""

from dataclasses import dataclass, field

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from registry_api.operations import ConflictError, Publication, PublishOutcome, Registry
from registry_model.arn import Arn
from registry_model.version import Version
from tests.unit.registry_api import valid
from tests.unit.registry_api.memory_store import MemoryVersionStore

_SERVICES = st.sampled_from(["users", "billing"])
_SMALL = st.sampled_from([0, 1, 2, 10])
_VERSIONS = st.builds(Version, _SMALL, _SMALL, _SMALL, st.sampled_from([(), (), ("rc", "1")]))
_ARNS = st.sampled_from([valid.ARN, valid.OTHER_ARN])
_METADATA = st.sampled_from([{}, {"commit": "abc"}])
_CHANNELS = st.sampled_from([None, None, "beta", "latest"])


@dataclass
class Service:
    """What the contract says of one service."""

    revision: int = 0
    published: dict[Version, tuple[Arn, dict[str, str]]] = field(default_factory=dict)
    channels: dict[str, Version] = field(default_factory=dict)

    def latest(self) -> Version | None:
        """Name the pinned version, or else the highest stable one."""
        stable = [version for version in self.published if version.is_stable]
        return self.channels.get("latest") or max(stable, default=None)


class PublishMachine(RuleBasedStateMachine):
    """The operations, and beside them what they should have done."""

    def __init__(self) -> None:
        super().__init__()
        self.store = MemoryVersionStore()
        self.registry = Registry(
            self.store, now=lambda: valid.NOW, sleep=lambda _: None, random=lambda: 1.0
        )
        self.model = {"users": Service(), "billing": Service()}

    @rule(name=_SERVICES, version=_VERSIONS, arn=_ARNS, metadata=_METADATA, channel=_CHANNELS)
    def publish(
        self, name: str, version: Version, arn: Arn, metadata: dict[str, str], channel: str | None
    ) -> None:
        """Publish something, and see whether it was allowed and what it did."""
        service = self.model[name]
        stands = service.published.get(version)
        is_refused = (stands is not None and stands != (arn, metadata)) or (
            channel == "latest" and not version.is_stable
        )
        wanted = Publication(
            name=name, version=version, arn=arn, metadata=metadata, channel=channel
        )

        try:
            outcome, record = self.registry.publish(wanted, "somebody")
        except ConflictError:
            assert is_refused
            return

        assert not is_refused
        assert (record.version, record.arn, record.metadata) == (version, arn, metadata)
        assert outcome is (PublishOutcome.REPEATED if stands else PublishOutcome.CREATED)
        moves = channel is not None and service.channels.get(channel) != version
        service.revision += stands is None or moves
        service.published[version] = (arn, metadata)
        if channel is not None:
            service.channels[channel] = version

    @rule(name=_SERVICES, limit=st.integers(1, 4))
    def page_through(self, name: str, limit: int) -> None:
        """Every version is on one page, in its place."""
        if not self.model[name].published:
            return
        seen: list[Version] = []
        after = None
        while True:
            page = self.registry.versions(name, limit=limit, after=after)
            seen += [record.version for record in page.versions]
            after = page.last
            if after is None:
                break
        assert seen == sorted(self.model[name].published, reverse=True)

    @invariant()
    def registry_says_what_the_model_says(self) -> None:
        """After each step, refused ones included."""
        for name, service in self.model.items():
            if not service.published:
                assert self.store.service(name) is None
                continue
            view = self.registry.service(name)
            assert view.service.revision == service.revision
            assert view.service.channels == service.channels
            assert (view.latest and view.latest.version) == service.latest()
            events = [event.revision for event in self.store.events if event.name == name]
            assert events == list(range(1, service.revision + 1))


TestPublish = PublishMachine.TestCase
