"""The operations on consumers: declare, read, remove and list them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from registry_api.refusals import UnknownError
from registry_api.resolution import NeedsResolver
from registry_model.needs import Need, parse_needs
from registry_model.services_file import Member
from registry_tables.consumers_layout import Consumer, ConsumerNeed
from registry_tables.page import Page


class ConsumerStore(Protocol):
    """The consumers table.

    Raises:
        ThrottledError, UnreachableError: From every method.
    """

    def declare(self, name: str, needed: str, *, arn: str | None, owner: str | None) -> Consumer:
        """Replace all needs of a consumer, or none if it fails.

        Raises:
            RaceLostError: Every attempt lost a race with another declaration.
        """

    def get(self, name: str) -> Consumer | None:
        """Read a consumer; None if there is none."""

    def forget(self, consumer: Consumer) -> None:
        """Remove a consumer, unless it has changed since it was read."""

    def page(self, prefix: str, *, limit: int, after: str | None) -> Page[Consumer, str]:
        """Read up to *limit* consumers whose names begin with *prefix*, by name."""

    def needs_page(
        self, service: str, *, limit: int, after: str | None
    ) -> Page[tuple[Consumer, Need], str]:
        """Read up to *limit* needs of a service with their consumers, by consumer."""

    def needs_of_service(self, service: str) -> Iterator[ConsumerNeed]:
        """Read all needs of a service, including those that are no longer valid."""

    def valid_needs(self, needs: Sequence[ConsumerNeed]) -> list[ConsumerNeed]:
        """Return those of *needs* that belong to their consumer's present declaration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """A pipeline's declaration of a consumer.

    Attributes:
        needed: Its needs as text; well-formed.
        arn: The consumer's own ARN, or None.
        owner: The person or team to ask about it, or None.
    """

    consumer: str
    needed: str
    arn: str | None = None
    owner: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceConsumer:
    """A consumer's need of a service, and the version that it resolves to, or None."""

    consumer: Consumer
    need: Need
    version: str | None

    @property
    def position(self) -> str:
        """Its position in the list of the service's consumers."""
        return ConsumerNeed(
            consumer=self.consumer.name, generation=self.consumer.generation, need=self.need
        ).position


class Consumers:
    """The operations on the consumers table."""

    def __init__(self, store: ConsumerStore, resolver: NeedsResolver) -> None:
        """Use a consumers table, and resolve needs with *resolver*."""
        self._store = store
        self._resolver = resolver

    def resolve(self, declaration: Declaration) -> Iterator[tuple[str, Member]]:
        """Resolve each need of a declaration: its key, and its member in the services file."""
        return self._resolver.resolve(parse_needs(declaration.needed))

    def declare(self, declaration: Declaration) -> None:
        """Record a consumer's needs in place of its previous ones.

        Raises:
            RaceLostError: Every attempt lost a race with another declaration.
        """
        self._store.declare(
            declaration.consumer,
            declaration.needed,
            arn=declaration.arn,
            owner=declaration.owner,
        )

    def consumer(self, name: str) -> Consumer:
        """Read a consumer.

        Raises:
            UnknownError: There is no consumer with this name.
        """
        consumer = self._store.get(name)
        if consumer is None:
            message = f"there is no consumer '{name}'; declare it with PUT, or let a scan find it"
            raise UnknownError(message)
        return consumer

    def forget(self, name: str) -> None:
        """Remove a consumer.

        Raises:
            UnknownError: There is no consumer with this name.
        """
        self._store.forget(self.consumer(name))

    def consumers(self, prefix: str, *, limit: int, after: str | None) -> Page[Consumer, str]:
        """Read a page of the consumers whose names begin with *prefix*, by name."""
        return self._store.page(prefix, limit=limit, after=after)

    def consumers_of(
        self, service: str, *, limit: int, after: str | None
    ) -> Page[ServiceConsumer, str]:
        """Read a page of the needs of a service, by consumer."""
        page = self._store.needs_page(service, limit=limit, after=after)
        needs = [need for _, need in page.items]
        found = tuple(
            ServiceConsumer(consumer=consumer, need=need, version=member.version)
            for (consumer, need), (_, member) in zip(
                page.items, self._resolver.resolve(needs), strict=True
            )
        )
        return Page(items=found, last=page.last)
