"""The consumers table's layout: the DynamoDB items of a consumer and its needs.

Partition key `consumer`, sort key `entry`:

- `#consumer`: the head item. It holds the consumer's whole `NEEDED_SERVICES` text and names the
  generation of needs that is valid.
- `n#<generation>#<key>`: one need of one generation. Items of another generation than the head's
  are left over from a replaced declaration, or belong to one that is being written; readers ignore
  them.

A transaction holds 100 actions and a consumer up to 1,000 needs, so the needs of a new generation
are written first, and one conditional write of the head then makes all of them valid at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any

from registry_model.needs import LATEST, Need, Selector, parse_needs

CONSUMER = "consumer"
ENTRY = "entry"
NEEDED = "needed"
ARN = "arn"
OWNER = "owner"
SOURCE = "source"
SEEN_AT = "seen_at"
GENERATION = "generation"
SERVICE = "service"
NEED = "need"
# The position of a need among all needs of its service: the sort key of `needs-by-service`.
POSITION = "position"
LISTING = "listing"

HEAD_ENTRY = "#consumer"
NEED_PREFIX = "n#"
ALL_CONSUMERS = "consumers"

CONSUMERS_INDEX = "consumers-by-name"
NEEDS_INDEX = "needs-by-service"

# Milliseconds since 1970 have 13 digits until the year 2286.
_DIGITS = 15

Item = Mapping[str, Any]


class Source(StrEnum):
    """The source of a consumer's record."""

    DECLARED = "declared"
    SCAN = "scan"


@dataclass(frozen=True, slots=True, kw_only=True)
class Consumer:
    """A consumer: anything that has needs, usually a Lambda function.

    Attributes:
        name: The consumer's name.
        needed: Its needs as text, as `NEEDED_SERVICES` has them.
        arn: The consumer's own ARN, or None.
        owner: The person or team to ask about it, or None.
        seen_at: When it was last declared or scanned: ISO 8601, UTC.
        generation: The generation of its valid needs; those of later declarations sort higher.
    """

    name: str
    needed: str
    source: Source
    seen_at: str
    generation: str
    arn: str | None = None
    owner: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerNeed:
    """One need of one consumer, as the index of needs by service lists it.

    Attributes:
        consumer: The consumer's name.
        generation: The need's generation; the need is valid if the consumer has the same one.
        need: The need itself.
    """

    consumer: str
    generation: str
    need: Need

    @property
    def position(self) -> str:
        """Its position among all needs of the service."""
        return f"{self.consumer}#{need_entry(self.generation, self.need.key)}"

    def __str__(self) -> str:
        """Return the need as it can be written in `NEEDED_SERVICES`."""
        need = self.need
        alias = "" if need.key == need.service else f"{need.key}:"
        selector = "" if need.selector.requested == LATEST else str(need.selector)
        return f"{alias}{need.service}{selector}"


def new_generation(now_ms: int, previous: str | None, random: float) -> str:
    """Return a unique generation that sorts after *previous*.

    Args:
        now_ms: The wall clock, in milliseconds since 1970.
        previous: The consumer's present generation, or None.
        random: A number from 0 up to 1.
    """
    earlier = int(previous.partition("-")[0]) if previous else 0
    return f"{max(now_ms, earlier + 1):0{_DIGITS}d}-{int(random * 16**8):08x}"


def head_key(consumer: str) -> dict[str, Any]:
    """Return the key of a consumer's head item."""
    return {CONSUMER: {"S": consumer}, ENTRY: {"S": HEAD_ENTRY}}


def need_entry(generation: str, key: str) -> str:
    """Return the sort key of a need."""
    return f"{NEED_PREFIX}{generation}#{key}"


def end_of_needs(generation: str) -> str:
    """Return a sort key after every need of *generation* and before those of later generations."""
    # '$' is the character that follows '#', with which a generation ends.
    return f"{NEED_PREFIX}{generation}$"


def consumer_to_item(consumer: Consumer) -> dict[str, Any]:
    """Return a consumer's head item."""
    item = {
        **head_key(consumer.name),
        NEEDED: {"S": consumer.needed},
        SOURCE: {"S": str(consumer.source)},
        SEEN_AT: {"S": consumer.seen_at},
        GENERATION: {"S": consumer.generation},
        LISTING: {"S": ALL_CONSUMERS},
    }
    if consumer.arn is not None:
        item[ARN] = {"S": consumer.arn}
    if consumer.owner is not None:
        item[OWNER] = {"S": consumer.owner}
    return item


def consumer_from_item(item: Item) -> Consumer:
    """Parse a consumer's head item."""
    return Consumer(
        name=item[CONSUMER]["S"],
        needed=item[NEEDED]["S"],
        source=Source(item[SOURCE]["S"]),
        seen_at=item[SEEN_AT]["S"],
        generation=item[GENERATION]["S"],
        arn=item[ARN]["S"] if ARN in item else None,
        owner=item[OWNER]["S"] if OWNER in item else None,
    )


def generation_in(item: Item) -> tuple[str, str]:
    """Return the consumer and the generation of a head item."""
    return item[CONSUMER]["S"], item[GENERATION]["S"]


def need_to_item(need: ConsumerNeed) -> dict[str, Any]:
    """Return the item of one need."""
    return {
        CONSUMER: {"S": need.consumer},
        ENTRY: {"S": need_entry(need.generation, need.need.key)},
        SERVICE: {"S": need.need.service},
        NEED: {"S": f"{need.need.key}:{need.need.service}{need.need.selector}"},
        POSITION: {"S": need.position},
    }


def need_from_item(service: str, item: Item) -> ConsumerNeed:
    """Parse the item of one need of *service*, from its position and its need."""
    consumer, _, entry = item[POSITION]["S"].partition("#")
    generation, _, key = entry.removeprefix(NEED_PREFIX).partition("#")
    selector = _selector(item[NEED]["S"].partition(":")[2])
    return ConsumerNeed(consumer=consumer, generation=generation, need=Need(key, service, selector))


def position_key(service: str, position: str) -> dict[str, Any]:
    """Return the key at which a query of a service's needs continues after *position*."""
    consumer, _, entry = position.partition("#")
    return {
        SERVICE: {"S": service},
        POSITION: {"S": position},
        CONSUMER: {"S": consumer},
        ENTRY: {"S": entry},
    }


def parse_position(text: str) -> str:
    """Parse the position of a need among all needs of its service.

    Raises:
        ValueError: It is malformed.
    """
    consumer, _, entry = text.partition("#")
    if not consumer or not entry.startswith(NEED_PREFIX):
        message = f"{text!r} is not the position of a need"
        raise ValueError(message)
    return text


def listing_key(consumer: str) -> dict[str, Any]:
    """Return the key at which a query of all consumers continues after *consumer*."""
    return {LISTING: {"S": ALL_CONSUMERS}, **head_key(consumer)}


# A service may have thousands of consumers, but they use only a few different selectors.
@lru_cache(maxsize=1_024)
def _selector(text: str) -> Selector:
    (need,) = parse_needs(text)
    return need.selector
