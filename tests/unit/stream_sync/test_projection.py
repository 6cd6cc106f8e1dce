import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_model.version import Version
from registry_tables.records import ServiceRecord
from registry_tables.series import Series
from stream_sync import projection

_numbers = st.integers(0, 2)
_versions = st.builds(Version, _numbers, _numbers, _numbers, st.sampled_from([(), (), ("rc", "1")]))


def service(**channels: Version) -> ServiceRecord:
    return ServiceRecord(
        name="users", revision=7, created_at="then", updated_at="now", channels=channels
    )


def highest_in(versions: set[Version], query: Series) -> Version | None:
    """Return the highest version of a series in the simplest way."""
    return max((each for each in versions if each.is_stable and query.includes(each)), default=None)


@given(st.frozensets(_versions, max_size=8), st.frozensets(_versions, max_size=4))
def test_narrower_series_is_looked_up_only_if_a_wider_one_does_not_answer_it(
    existing: frozenset[Version], changed: frozenset[Version]
) -> None:
    """To publish a new highest version takes one look-up for its three series."""
    asked: list[Series] = []

    def look_up(query: Series) -> Version | None:
        asked.append(query)
        return highest_in(set(existing), query)

    queries = projection.affected_by(set(changed), set()).series
    found = projection.highest_of(queries, look_up)

    assert found == {query: highest_in(set(existing), query) for query in queries}
    assert len(asked) == len(set(asked))
    highest = highest_in(set(existing), Series())
    if highest is None or all(query.includes(highest) for query in queries):
        assert len(asked) <= 1


@given(st.frozensets(_versions, max_size=5))
def test_selectors_of_the_index_are_parsed(
    versions: frozenset[Version],
) -> None:
    """If a rebuild parsed a selector incorrectly, it would delete an answer."""
    what = projection.affected_by(set(versions), {"beta", "x"})

    again = projection.answers_to_check((), what.selectors, includes_all_channels=False, revision=0)

    assert again.selectors == what.selectors
    assert again.malformed == set()
    assert again.versions == what.versions
    assert again.channels == what.channels


@pytest.mark.parametrize(
    "selector",
    [
        *("", "x", "1", "1.4", "1.X", "1.*", "01.x", "1.01.x", "1.2.3.x", "v1.0.0", "1.0.0+b", "@"),
        *("@latest", "@a b", "==1.x", "~=1.4", "Latest", "1..x", ".x", f"{10**18}.x", "1.x "),
    ],
)
def test_malformed_selector_is_reported(selector: str) -> None:
    """The index has no items of other kinds."""
    what = projection.answers_to_check((), [selector], includes_all_channels=False, revision=0)

    assert what.malformed == {selector}
    assert projection.resolve_answers(what, service(), {}) == {selector: None}


def test_every_channel_is_one_that_the_service_has_and_latest_is_pinned() -> None:
    """After the loss of the index, only the service's item has the channels."""
    what = projection.answers_to_check((), ["@old"], includes_all_channels=True, revision=0)
    one, two = Version(1, 0, 0), Version(2, 0, 0)

    chosen = projection.resolve_answers(what, service(latest=one, beta=two), {Series(): two})

    assert chosen == {"latest": one, "@beta": two, "@old": None}
