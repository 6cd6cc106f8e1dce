"""How large a fleet one hot item serves, calculated and simulated: see `docs/scale.md`."""

from collections import Counter
from collections.abc import Iterable

from bench.fleet import (
    DEFAULTS,
    NEW_TABLE_PARTITIONS,
    PARTITION_UNITS_PER_S,
    UNITS_FOR_4_KB,
    WARM_TABLE_PARTITIONS,
    Findings,
    Scenario,
    partition_of,
    simulate,
)
from bench.report import Row, Table

MOST_COPIES = 50
FLEET = 1_000_000
STORM = 50_000
# On-demand, us-east-1, standard table class, as published in November 2025: an assumption.
DOLLARS_FOR_MILLION_READ_UNITS = 0.125
SECONDS_A_MONTH = 730 * 3_600

_READS_PER_S = PARTITION_UNITS_PER_S / UNITS_FOR_4_KB
_SIMULATED = 10_000
_NAMES = 1_000


def limit(max_age_s: int, invocations_per_s: float, units: float = UNITS_FOR_4_KB) -> int:
    """Return how many environments may read one item that has no copies."""
    return int(PARTITION_UNITS_PER_S / units * (max_age_s + 1 / invocations_per_s))


def dollars_a_month(scenario: Scenario) -> float:
    """Return what the reads of one service cost in a month."""
    units = scenario.reads_per_s() * scenario.units * SECONDS_A_MONTH
    return units / 1_000_000 * DOLLARS_FOR_MILLION_READ_UNITS


def placement(service: str, copies: int, partitions: int) -> Counter[int]:
    """Return how many copies of an item each partition has."""
    return Counter(partition_of(service, copy, partitions) for copy in range(copies))


def hottest_units(service: str, copies: int, partitions: int) -> float:
    """Return the units a second that the fleet asks of the partition with the most copies."""
    units = Scenario(running=FLEET, until_s=0).reads_per_s() * UNITS_FOR_4_KB
    return units * max(placement(service, copies, partitions).values()) / copies


def tables() -> Iterable[Table]:
    """Return all tables of `docs/scale.md`."""
    yield _limits()
    yield _one_item()
    yield _invocation_rates()
    yield _copies()
    yield _placements()
    yield _storms()
    yield _waves()
    yield _changes()
    yield _costs()


def _weight(scenario_size: int) -> int:
    return max(1, scenario_size // _SIMULATED)


def _settled(running: int, **others: object) -> Findings:
    """Observe a fleet for five minutes, once it has settled."""
    return simulate(
        Scenario(
            running=running,
            observed_from_s=300,
            until_s=600,
            weight=_weight(running),
            **others,  # type: ignore[arg-type]  # the scenario's own
        )
    )


def _percent(share: float) -> str:
    return "under 0.1%" if 0 < share < 0.001 else f"{share:.1%}" if share else "none"


def _ages(found: Findings) -> list[str]:
    return [f"{found.age_s(share):.0f} s" for share in (0.5, 0.99)]


def _all_succeed(found: Findings) -> tuple[str, bool]:
    return "no check fails", found.failed_checks == 0


def _limits() -> Table:
    rows = [
        Row(
            what=f"MAX_AGE {max_age_s}{', the default' if max_age_s == DEFAULTS.max_age_s else ''}",
            values=[
                f"{limit(max_age_s, float('inf')):,}",
                f"{limit(max_age_s, 1):,}",
                f"{limit(max_age_s, 1 / 60):,}",
            ],
        )
        for max_age_s in (1, 5, 30, 60, 300)
    ]
    return Table(
        title="Environments that one item bears without copies (formula)",
        columns=["invoked all the time", "once a second", "once a minute"],
        rows=rows,
        notes=f"{_READS_PER_S:,.0f} reads a second of an item up to 4 KB.",
    )


def _one_item() -> Table:
    rows = []
    for load in (0.5, 0.8, 1.0, 1.2, 2.0, 5.4):
        running = int(limit(DEFAULTS.max_age_s, 1) * load)
        found = _settled(running)
        if load <= 0.8:
            promise = _all_succeed(found)
        else:
            promise = "95% of the limit is served", found.served / 300 > 0.95 * _READS_PER_S
        rows.append(
            Row(
                what=f"{running:,} environments, {load:.0%}",
                values=[
                    f"{found.served / 300:,.0f}",
                    _percent(found.failing()),
                    *_ages(found),
                    f"{found.held_s / found.checks * 1000:.0f} ms",
                ],
                limit=promise[0],
                holds=promise[1],
            )
        )
    return Table(
        title="One item without copies, at MAX_AGE 30 and an invocation a second",
        columns=["reads/s served", "checks failed", "age, half", "age, 99%", "held by a check"],
        rows=rows,
        notes="A failed check keeps the file: it is older, and nothing else. No invocation fails.",
    )


def _invocation_rates() -> Table:
    rows = []
    for what, rate in (
        ("10 a second", 10),
        ("1 a second", 1),
        ("1 in 10 s", 0.1),
        ("1 a minute", 1 / 60),
    ):
        running = 100_000
        expected = Scenario(running=running, invocations_per_s=rate, until_s=0).reads_per_s()
        found = _settled(running, invocations_per_s=rate)
        measured = found.served / 300
        rows.append(
            Row(
                what=what,
                values=[f"{expected:,.0f}", f"{measured:,.0f}", *_ages(found)],
                limit="within 3% of the formula",
                holds=abs(measured / expected - 1) < 0.03,
            )
        )
    return Table(
        title="Reads a second of 100,000 environments, by how often each is invoked",
        columns=["formula", "simulated", "age, half", "age, 99%"],
        rows=rows,
        notes="Reads come with invocations: an idle environment asks for nothing.",
    )


def _copies() -> Table:
    rows = []
    for copies, partitions in (
        (1, WARM_TABLE_PARTITIONS),
        (8, WARM_TABLE_PARTITIONS),
        (16, WARM_TABLE_PARTITIONS),
        (MOST_COPIES, NEW_TABLE_PARTITIONS),
        (MOST_COPIES, WARM_TABLE_PARTITIONS),
    ):
        found = _settled(FLEET, copies=copies, partitions=partitions)
        is_the_answer = (copies, partitions) == (MOST_COPIES, WARM_TABLE_PARTITIONS)
        promise = _all_succeed(found) if is_the_answer else ("", True)
        rows.append(
            Row(
                what=f"IndexCopies {copies}, {_warmth(partitions)}",
                values=[
                    f"{hottest_units('users', copies, partitions):,.0f}",
                    f"{found.served / 300:,.0f}",
                    _percent(found.failing()),
                    *_ages(found),
                ],
                limit=promise[0],
                holds=promise[1],
            )
        )
    return Table(
        title="1,000,000 environments at MAX_AGE 30 and an invocation a second",
        columns=[
            "units/s wanted of the hottest partition",
            "reads/s served",
            "checks failed",
            "age, half",
            "age, 99%",
        ],
        rows=rows,
        notes=f"One partition serves {PARTITION_UNITS_PER_S:,} units a second.",
    )


def _warmth(partitions: int) -> str:
    return "new table" if partitions == NEW_TABLE_PARTITIONS else "warm table"


def _placements() -> Table:
    rows = []
    for copies in (16, 32, MOST_COPIES):
        wanted = {
            name: hottest_units(name, copies, WARM_TABLE_PARTITIONS)
            for name in (f"service-{number}" for number in range(_NAMES))
        }
        over = sum(units > PARTITION_UNITS_PER_S for units in wanted.values()) / _NAMES
        worst = max(wanted, key=lambda name: wanted[name])
        found = _settled(FLEET, copies=copies, service=worst)
        is_the_answer = copies == MOST_COPIES
        rows.append(
            Row(
                what=f"IndexCopies {copies}",
                values=[
                    _percent(over),
                    f"{wanted[worst]:,.0f}",
                    _percent(found.failing()),
                    *_ages(found),
                ],
                limit="1 in 20 names, and 99% within 2 MAX_AGE" if is_the_answer else "",
                holds=not is_the_answer
                or (over < 0.05 and found.age_s(0.99) < 2 * DEFAULTS.max_age_s),
            )
        )
    return Table(
        title=f"Where the copies happen to lie: {_NAMES:,} names, each asked for by 1,000,000",
        columns=[
            "names over the limit",
            "worst name: units/s",
            "its checks failed",
            "its age, half",
            "99%",
        ],
        rows=rows,
        notes="The key's hash decides which copies share a partition (warm table).",
    )


def _storms() -> Table:
    rows = []
    for within_s in (60, 10, 5, 1):
        for running in (0, FLEET):
            found = simulate(
                Scenario(
                    starting=STORM,
                    starting_within_s=within_s,
                    running=running,
                    copies=MOST_COPIES if running else 1,
                    until_s=180,
                    weight=50 if running else 5,
                )
            )
            healed_s = found.unresolved_until_s if found.failed_inits else 0
            is_the_storm = within_s == 60
            rows.append(
                Row(
                    what=f"in {within_s} s, " + (f"beside {running:,}" if running else "no copies"),
                    values=[
                        f"{STORM / within_s:,.0f}",
                        _percent(found.failed_inits / found.inits),
                        f"{healed_s:.0f} s" if healed_s else "at once",
                    ],
                    limit="none unavailable" if is_the_storm else "all answered within 30 s",
                    holds=found.unresolved == 0
                    and (found.failed_inits == 0 if is_the_storm else healed_s < 30),
                )
            )
    return Table(
        title=f"{STORM:,} cold starts that ask for one service",
        columns=["inits/s", "`unavailable` at first", "last one answered at"],
        rows=rows,
        notes=(
            "An init knows of no copies and asks for the original; refused twice, it guesses. "
            f"Beside the running fleet: IndexCopies {MOST_COPIES}, warm table."
        ),
    )


def _waves() -> Table:
    rows = []
    for what, rate in (("10 a second", 10.0), ("1 a second", 1.0), ("1 in 10 s", 0.1)):
        found = simulate(
            Scenario(
                starting=STORM,
                starting_within_s=10,
                invocations_per_s=rate,
                copies=MOST_COPIES,
                until_s=630,
                weight=5,
            )
        )
        peaks = [
            max(found.asked[second] for second in range(start, start + 40))
            for start in (0, 25, 150, 590)
        ]
        rows.append(
            Row(
                what=f"invoked {what}",
                values=[f"{peak:,}" for peak in peaks],
                limit="no wave above the first" if rate <= 1 else "",
                holds=rate > 1 or max(peaks[1:]) <= peaks[0] * 1.1,
            )
        )
    return Table(
        title=f"{STORM:,} cold starts in 10 s: the most reads in one second, later on",
        columns=["at the start", "after 30 s", "after 3 min", "after 10 min"],
        rows=rows,
        notes="Checks keep the rhythm of the start; the gaps between invocations blur it.",
    )


def _changes() -> Table:
    rows = []
    for what, running, before, after in (
        ("raised from 1 to 50 under 1,000,000", FLEET, 1, MOST_COPIES),
        ("lowered from 50 to 1 under 150,000", 150_000, MOST_COPIES, 1),
    ):
        found = simulate(
            Scenario(
                running=running,
                copies_before=before,
                copies=after,
                until_s=600,
                weight=_weight(running),
            )
        )
        rows.append(
            Row(
                what=what,
                values=[
                    f"{found.failed_until_s:.0f} s" if found.failed_checks else "never",
                    _percent(found.failing()),
                    f"{found.age_s(1):.0f} s",
                ],
                limit="no check fails after 5 min",
                holds=found.failed_until_s < 300,
            )
        )
    return Table(
        title="IndexCopies changed, and the index rebuilt, under load",
        columns=["last check failed at", "checks failed in 10 min", "oldest file"],
        rows=rows,
        notes="Each environment learns the new number with its next answer.",
    )


def _costs() -> Table:
    rows = []
    for running in (1_000, 10_000, 100_000, FLEET):
        dollars = [
            dollars_a_month(Scenario(running=running, max_age_s=max_age_s, until_s=0))
            for max_age_s in (DEFAULTS.max_age_s, 60, 300)
        ]
        rows.append(
            Row(
                what=f"{running:,} environments",
                values=[f"${each:,.2f}" if each < 100 else f"${each:,.0f}" for each in dollars],
                limit="$6,000 at MAX_AGE 30" if running == FLEET else "",
                holds=running != FLEET or dollars[0] < 6_000,
            )
        )
    return Table(
        title="Reads of one service up to 4 KB, a month, invoked once a second day and night",
        columns=["MAX_AGE 30", "60", "300"],
        rows=rows,
        notes=(
            f"Assumes ${DOLLARS_FOR_MILLION_READ_UNITS} for a million read request units "
            "(on-demand, us-east-1, November 2025). Each further need costs the same again."
        ),
    )
