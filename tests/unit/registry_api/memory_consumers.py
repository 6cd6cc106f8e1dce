"""A consumers table in memory."""

from collections.abc import Iterator, Sequence

from registry_model.needs import Need, parse_needs
from registry_tables.consumers_layout import Consumer, ConsumerNeed, Source
from registry_tables.page import Page

NOW = "2026-01-01T00:00:00Z"


class MemoryConsumerStore:
    """A `ConsumerStore` that keeps everything in one dictionary."""

    def __init__(self) -> None:
        self.consumers: dict[str, Consumer] = {}

    def declare(self, name: str, needed: str, *, arn: str | None, owner: str | None) -> Consumer:
        """Replace a consumer's needs."""
        self.consumers[name] = Consumer(
            name=name,
            needed=needed,
            source=Source.DECLARED,
            seen_at=NOW,
            generation="1",
            arn=arn,
            owner=owner,
        )
        return self.consumers[name]

    def get(self, name: str) -> Consumer | None:
        """Read a consumer; None if there is none."""
        return self.consumers.get(name)

    def forget(self, consumer: Consumer) -> None:
        """Remove a consumer."""
        self.consumers.pop(consumer.name)

    def page(self, prefix: str, *, limit: int, after: str | None) -> Page[Consumer, str]:
        """Read some consumers, by name."""
        found = [
            self.consumers[name]
            for name in sorted(self.consumers)
            if name.startswith(prefix) and name > (after or "")
        ]
        last = found[limit - 1].name if len(found) > limit else None
        return Page(items=tuple(found[:limit]), last=last)

    def needs_page(
        self, service: str, *, limit: int, after: str | None
    ) -> Page[tuple[Consumer, Need], str]:
        """Read some needs of a service, by consumer."""
        needs = sorted(self.needs_of_service(service), key=lambda need: need.position)
        found = [need for need in needs if need.position > (after or "")]
        last = found[limit - 1].position if len(found) > limit else None
        items = tuple((self.consumers[need.consumer], need.need) for need in found[:limit])
        return Page(items=items, last=last)

    def needs_of_service(self, service: str) -> Iterator[ConsumerNeed]:
        """Read all needs of a service."""
        for consumer in self.consumers.values():
            for need in parse_needs(consumer.needed):
                if need.service == service:
                    yield ConsumerNeed(
                        consumer=consumer.name, generation=consumer.generation, need=need
                    )

    def valid_needs(self, needs: Sequence[ConsumerNeed]) -> list[ConsumerNeed]:
        """Return all of them."""
        return list(needs)
