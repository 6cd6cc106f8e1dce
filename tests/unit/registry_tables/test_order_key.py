"""Order keys: their byte order is the versions' order."""

import json

from hypothesis import given
from hypothesis import strategies as st

from registry_model.version import Version
from registry_tables.order_key import number_key, order_key, series_prefix
from tests.conftest import ROOT
from tests.unit.registry_model.versions import NUMBERS, VERSIONS


@given(VERSIONS, VERSIONS)
def test_order_keys_order_as_versions_do(one: Version, other: Version) -> None:
    """DynamoDB compares bytes."""
    assert (order_key(one).encode() < order_key(other).encode()) == (one < other)
    assert (order_key(one) == order_key(other)) == (one == other)


@given(VERSIONS, st.data())
def test_order_keys_order_close_versions(version: Version, data: st.DataObject) -> None:
    """Versions that Hypothesis draws independently are seldom close."""
    identifiers = [*version.prerelease, "0", "10", "9", "a", "A", "-", "a-", "0a"]
    prerelease = tuple(data.draw(st.lists(st.sampled_from(identifiers), max_size=4)))
    close = Version(version.major, version.minor, version.patch, prerelease)

    assert (order_key(version).encode() < order_key(close).encode()) == (version < close)


@given(VERSIONS, NUMBERS, NUMBERS)
def test_series_prefix_finds_only_its_series(version: Version, major: int, minor: int) -> None:
    """`1.` must not find `10.`."""
    key = order_key(version)

    assert key.startswith(series_prefix(version.major))
    assert key.startswith(series_prefix(version.major, version.minor))
    assert key.startswith(series_prefix(major)) == (version.major == major)
    in_minor = (version.major, version.minor) == (major, minor)
    assert key.startswith(series_prefix(major, minor)) == in_minor


@given(st.integers(0, 10**18 - 1), st.integers(0, 10**18 - 1))
def test_number_keys_order_as_numbers_do(one: int, other: int) -> None:
    """Revision 10 comes after revision 9."""
    assert (number_key(one).encode() < number_key(other).encode()) == (one < other)


def test_published_list_of_versions_is_in_order_by_key() -> None:
    """The expected order is that of a published list."""
    vectors = json.loads((ROOT / "tests/vectors/versions.json").read_text(encoding="utf-8"))

    for chain in (vectors["ascending"], *vectors["reference"]["precedence"]):
        ascending = [Version.parse(text) for text in chain]
        assert sorted(ascending, key=order_key) == ascending


def test_encoding_of_order_keys_does_not_change() -> None:
    """Existing tables contain such keys: another encoding would need a migration."""
    keys = {text: order_key(Version.parse(text)) for text in ("1.4.2", "10.0.0-rc.11")}

    assert keys == {"1.4.2": "a1.a4.a2~", "10.0.0-rc.11": "b10.a0.a0-1rc!0b11"}
