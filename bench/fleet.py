"""A fleet of environments that all read one item, with DynamoDB's limit for one partition.

A discrete-event simulation: each event is an invocation at which a check is due, or one more try
within a check. The extension's own code decides when a check is due, which key it reads and how
long it waits before it tries again. DynamoDB is simulated by its published limits, without burst
capacity, adaptive capacity and split for heat.
"""

import hashlib
import heapq
import random
from collections import Counter
from dataclasses import dataclass, field

from extension.config import Config
from extension.index_reader import pause_before
from extension.resolver import choose_copy
from extension.schedule import Schedule
from registry_model.index_layout import partition_key

# Amazon DynamoDB Developer Guide, "Read/write capacity modes" and "Burst and adaptive capacity".
PARTITION_UNITS_PER_S = 3_000
UNITS_FOR_4_KB = 0.5
# A new on-demand table serves 12,000 read units a second; the quota for one table is 40,000.
NEW_TABLE_PARTITIONS = 4
WARM_TABLE_PARTITIONS = 14

DEFAULTS = Config.from_env({"AWS_REGION": "us-east-1"}.get)

_CALL_S = 0.005
_AGES_EVERY_S = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """The parameters of a simulation.

    Attributes:
        running: How many environments run from the beginning.
        starting: How many start, spread evenly over the first `starting_within_s`.
        invocations_per_s: How often each one is invoked, at random.
        copies: How many copies the item has, itself included.
        copies_before: How many it had at the last check of the running environments.
        partitions: How many partitions the table has.
        units: The cost of one read: 0.5 for each 4 KB of the item, rounded up.
        observed_from_s: When the observation begins; before that, the fleet settles.
        until_s: When the simulation ends.
        weight: How many environments each simulated one represents.
    """

    running: int = 0
    starting: int = 0
    starting_within_s: float = 60
    invocations_per_s: float = 1.0
    max_age_s: int = DEFAULTS.max_age_s
    timeout_s: float = DEFAULTS.timeout_ms / 1000
    service: str = "users"
    copies: int = 1
    copies_before: int | None = None
    partitions: int = WARM_TABLE_PARTITIONS
    units: float = UNITS_FOR_4_KB
    observed_from_s: float = 0
    until_s: float
    weight: int = 1
    seed: int = 1

    def reads_per_s(self) -> float:
        """Return the reads a second of the running environments if none is refused.

        A check comes with the first invocation after MAX_AGE. With invocations at random, that is
        one mean gap after it.
        """
        return self.running / (self.max_age_s + 1 / self.invocations_per_s)


@dataclass(slots=True, kw_only=True)
class Findings:
    """The observations of a fleet; environments are counted with their weight.

    Attributes:
        asked: Reads by the second of their request, refused ones too.
        served, refused: How many of them the table served, and how many it refused.
        hottest_units: The most units that one partition served in one second.
        checks, failed_checks: How many ended, and how many of them without an answer.
        failed_until_s: When the last one failed; 0 if none did.
        inits, failed_inits: Likewise for the first resolve.
        held_s: How long checks held their environments, in total.
        ages_s: Samples of the files' ages, of all environments at regular times.
        unresolved_until_s: When the last environment without any answer got one; 0 if none was.
        unresolved: Environments without any answer at the end.
    """

    asked: Counter[int] = field(default_factory=Counter)
    served: int = 0
    refused: int = 0
    hottest_units: float = 0
    checks: int = 0
    failed_checks: int = 0
    failed_until_s: float = 0
    inits: int = 0
    failed_inits: int = 0
    held_s: float = 0
    ages_s: list[float] = field(default_factory=list)
    unresolved_until_s: float = 0
    unresolved: int = 0

    def failing(self) -> float:
        """Return the share of the checks that failed."""
        return self.failed_checks / self.checks if self.checks else 0.0

    def age_s(self, share: float) -> float:
        """Return the age that *share* of the files do not exceed."""
        if not self.ages_s:
            return 0.0
        return sorted(self.ages_s)[min(len(self.ages_s) - 1, int(share * len(self.ages_s)))]


def partition_of(service: str, copy: int, partitions: int) -> int:
    """Return the number of the partition that has a copy, by the hash of its key."""
    digest = hashlib.md5(partition_key(service, copy).encode(), usedforsecurity=False).digest()
    return int.from_bytes(digest[:8], "big") * partitions >> 64


class Partition:
    """One partition, which serves up to its limit in each second and saves nothing for the next."""

    def __init__(self) -> None:
        """Start with no units used."""
        self._second = 0
        self._served = 0.0
        self.most_served = 0.0

    def serves(self, units: float, now: float) -> bool:
        """Serve a read of *units* and return True, or refuse it."""
        if int(now) != self._second:
            self._second = int(now)
            self._served = 0.0
        if self._served + units > PARTITION_UNITS_PER_S:
            return False
        self._served += units
        self.most_served = max(self.most_served, self._served)
        return True


class _Environment:
    """One execution environment and its present check."""

    __slots__ = (
        "attempt",
        "began_at",
        "copies",
        "copy",
        "is_new",
        "is_original_asked_for",
        "resolved_at",
        "schedule",
    )

    def __init__(self, max_age_s: int) -> None:
        self.schedule = Schedule(max_age_s)
        self.copies: int | None = None
        self.is_new = True
        self.resolved_at: float | None = None
        self.began_at: float | None = None
        self.attempt = 0
        self.copy = 0
        self.is_original_asked_for = False


class _Simulation:
    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._random = random.Random(scenario.seed)  # noqa: S311  # must be repeatable
        self._partitions = [Partition() for _ in range(scenario.partitions)]
        self._places: dict[int, int] = {}
        self._found = Findings()
        self._environments: list[_Environment] = []
        self._events: list[tuple[float, int]] = []

    def run(self) -> Findings:
        """Run the simulation."""
        self._begin()
        look_at = self._scenario.observed_from_s
        while self._events[0][0] < self._scenario.until_s:
            if self._events[0][0] >= look_at:
                self._look(look_at)
                look_at += _AGES_EVERY_S
            now, number = heapq.heappop(self._events)
            environment = self._environments[number]
            if environment.began_at is None:
                self._start_check(environment, now)
            heapq.heappush(self._events, (self._ask(environment, now), number))
        self._found.unresolved = self._scenario.weight * sum(
            each.resolved_at is None and not each.is_new for each in self._environments
        )
        self._found.hottest_units = max(each.most_served for each in self._partitions)
        return self._found

    def _begin(self) -> None:
        scenario = self._scenario
        for _ in range(scenario.running // scenario.weight):
            environment = _Environment(scenario.max_age_s)
            environment.is_new = False
            environment.copies = scenario.copies_before or scenario.copies
            age = self._random.random() * scenario.max_age_s
            environment.schedule.succeeded(-age)
            environment.resolved_at = -age
            self._add(environment, self._next_check(environment, -age))
        for _ in range(scenario.starting // scenario.weight):
            at = self._random.random() * scenario.starting_within_s
            self._add(_Environment(scenario.max_age_s), at)

    def _add(self, environment: _Environment, at: float) -> None:
        heapq.heappush(self._events, (at, len(self._environments)))
        self._environments.append(environment)

    def _next_check(self, environment: _Environment, ended_at: float) -> float:
        """Return the time of the first invocation at which a check is due."""
        schedule = environment.schedule
        due_at = ended_at if schedule.is_due(ended_at) else ended_at + schedule.wait_s()
        return due_at + self._random.expovariate(self._scenario.invocations_per_s)

    def _start_check(self, environment: _Environment, now: float) -> None:
        environment.began_at = now
        environment.attempt = 0
        environment.is_original_asked_for = False
        environment.copy = self._choose_copy(environment)

    def _choose_copy(self, environment: _Environment) -> int:
        return choose_copy(environment.copies, environment.attempt, self._random.random())

    def _ask(self, environment: _Environment, now: float) -> float:
        """Send one request; return the time of the environment's next event."""
        is_served = self._read(environment.copy, now)
        answered_at = now + _CALL_S
        if is_served and environment.copy >= self._scenario.copies:
            # The copy does not exist: read the original, within the same deadline.
            environment.copy = 0
            environment.attempt = 0
            environment.is_original_asked_for = True
            return answered_at
        if is_served:
            environment.copies = self._scenario.copies
            return self._end_check(environment, answered_at, is_answered=True)
        environment.attempt += 1
        if environment.attempt > 1 and not environment.is_original_asked_for:
            environment.copy = self._choose_copy(environment)
        again_at = answered_at + pause_before(environment.attempt, self._random.random())
        if again_at >= (environment.began_at or 0) + self._scenario.timeout_s:
            return self._end_check(environment, answered_at, is_answered=False)
        return again_at

    def _read(self, copy: int, now: float) -> bool:
        if copy not in self._places:
            self._places[copy] = partition_of(
                self._scenario.service, copy, self._scenario.partitions
            )
        units = self._scenario.units * self._scenario.weight
        is_served = self._partitions[self._places[copy]].serves(units, now)
        if now >= self._scenario.observed_from_s:
            second = int(now)
            self._found.asked[second] += self._scenario.weight
            if is_served:
                self._found.served += self._scenario.weight
            else:
                self._found.refused += self._scenario.weight
        return is_served

    def _end_check(self, environment: _Environment, now: float, *, is_answered: bool) -> float:
        found, weight = self._found, self._scenario.weight
        if now >= self._scenario.observed_from_s:
            found.checks += weight
            found.failed_checks += 0 if is_answered else weight
            found.inits += weight if environment.is_new else 0
            found.failed_inits += weight if environment.is_new and not is_answered else 0
            found.held_s += weight * (now - (environment.began_at or 0))
        if is_answered:
            if environment.resolved_at is None and not environment.is_new:
                found.unresolved_until_s = now
            environment.resolved_at = now
            environment.schedule.succeeded(now)
        else:
            found.failed_until_s = now
            environment.schedule.failed(now)
        environment.is_new = False
        environment.began_at = None
        return self._next_check(environment, now)

    def _look(self, now: float) -> None:
        self._found.ages_s += [
            now - each.resolved_at for each in self._environments if each.resolved_at is not None
        ]


def simulate(scenario: Scenario) -> Findings:
    """Simulate *scenario*; the same scenario always has the same result."""
    return _Simulation(scenario).run()
