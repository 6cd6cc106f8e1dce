"""The simulated fleet obeys the rules that its results depend on."""

from collections import Counter

import pytest

from bench.fleet import DEFAULTS, PARTITION_UNITS_PER_S, Findings, Scenario, partition_of, simulate
from bench.scale import limit


def observed(**wanted: float) -> Findings:
    """Observe a minute of a fleet in a steady state."""
    members = {"observed_from_s": 60, "until_s": 120, "weight": 200} | wanted
    return simulate(Scenario(**members))  # type: ignore[arg-type]  # the scenario's own


def test_result_depends_only_on_the_scenario_and_its_seed() -> None:
    """Another seed gives other random numbers."""
    one = observed(running=300_000)

    assert observed(running=300_000) == one
    assert observed(running=300_000, seed=2) != one


def test_defaults_are_the_extension_s_own() -> None:
    """docs/scale.md describes the extension that ships."""
    scenario = Scenario(until_s=1)

    assert (scenario.max_age_s, scenario.timeout_s) == (30, 1.5)
    assert DEFAULTS.max_age_s == scenario.max_age_s


@pytest.mark.parametrize("invocations_per_s", [0.05, 1, 20])
def test_fleet_within_the_limit_reads_as_the_formula_says(invocations_per_s: float) -> None:
    """The simulation agrees with the formulas in docs/scale.md."""
    running = 100_000
    expected = Scenario(
        running=running, invocations_per_s=invocations_per_s, until_s=1
    ).reads_per_s()

    found = observed(running=running, invocations_per_s=invocations_per_s, weight=20)

    assert found.served / 60 == pytest.approx(expected, rel=0.05)
    assert (found.refused, found.failed_checks) == (0, 0)


def test_partition_never_serves_more_than_its_limit_and_never_less_under_load() -> None:
    """Refused reads use no units."""
    found = observed(running=2 * limit(30, 1))

    assert found.hottest_units <= PARTITION_UNITS_PER_S
    assert found.served / 60 * 0.5 == pytest.approx(PARTITION_UNITS_PER_S, rel=0.02)
    assert found.failed_checks > 0


def test_every_read_is_served_or_refused() -> None:
    """The numbers of served and refused reads add up to all reads."""
    found = observed(running=400_000)

    assert found.served + found.refused == sum(found.asked.values())
    assert found.served == found.checks - found.failed_checks


def test_files_grow_older_only_if_checks_fail() -> None:
    """An older file is the only effect of a throttled table on a function."""
    within, beyond = observed(running=100_000), observed(running=500_000)

    assert within.age_s(0.9) < 31
    assert beyond.age_s(0.5) > within.age_s(0.5)
    assert len(beyond.ages_s) % (500_000 // 200) == 0


def test_larger_item_has_a_lower_limit() -> None:
    """Metadata is read with every check."""
    assert limit(30, 1, units=1.5) == limit(30, 1) // 3
    assert observed(running=80_000, units=1.5).failed_checks > 0
    assert observed(running=50_000, units=1.5).failed_checks == 0


def test_one_simulated_environment_represents_many() -> None:
    """A fleet that is simulated by fewer environments has the same results."""
    few, many = (observed(running=300_000, weight=weight) for weight in (400, 100))

    assert few.failing() == pytest.approx(many.failing(), abs=0.05)
    assert few.age_s(0.5) == pytest.approx(many.age_s(0.5), rel=0.1)


def test_success_is_followed_by_max_age_without_a_check() -> None:
    """A function that is invoked often does not check more often."""
    found = simulate(Scenario(running=1, invocations_per_s=1000, until_s=301))

    assert found.checks == 10


def test_zero_max_age_checks_at_every_invocation() -> None:
    """The simulation uses the extension's rule."""
    found = observed(running=1_000, max_age_s=0, invocations_per_s=2, weight=1)

    assert found.checks / 60 == pytest.approx(2_000, rel=0.05)


def test_copies_are_spread_evenly_over_partitions() -> None:
    """DynamoDB distributes partition keys by their hash."""
    places = Counter(
        partition_of(f"service-{name}", copy, 10) for name in range(100) for copy in range(50)
    )

    assert set(places) == set(range(10))
    assert all(400 < count < 600 for count in places.values())


def test_storm_without_copies_ends() -> None:
    """Every environment gets an answer within seconds."""
    found = simulate(Scenario(starting=50_000, starting_within_s=1, until_s=60, weight=50))

    assert 0 < found.failed_inits < found.inits == 50_000
    assert found.unresolved == 0
    assert found.unresolved_until_s < 30


def test_refused_cold_start_guesses_a_copy_once_in_each_check() -> None:
    """Without copies, a storm must not multiply the reads."""
    found = simulate(Scenario(starting=50_000, starting_within_s=1, until_s=60, weight=50))

    guesses = found.served - (found.checks - found.failed_checks)
    assert 0 < guesses <= found.checks


def test_storm_ends_sooner_with_copies() -> None:
    """Refused environments read other copies."""
    storm = Scenario(starting=50_000, starting_within_s=1, until_s=60, weight=50, copies=50)

    found = simulate(storm)

    assert found.failed_inits < 0.05 * found.inits


def test_readers_of_missing_copies_use_the_original() -> None:
    """Each reader asks for a missing copy only once."""
    found = simulate(Scenario(running=10_000, copies_before=50, copies=1, until_s=300, weight=1))

    assert found.failed_checks == 0
    assert 0 < found.served - found.checks <= 10_000
