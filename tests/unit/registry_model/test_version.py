"""Versions, and the order keys that let DynamoDB sort them. The vectors have the plain cases."""

import json

from hypothesis import given
from hypothesis import strategies as st

from registry_model.order_key import order_key, series_prefix
from registry_model.version import Version
from tests.conftest import ROOT

NUMBERS = st.one_of(st.integers(0, 12), st.integers(0, 10**18 - 1))
IDENTIFIERS = st.one_of(
    st.integers(0, 12).map(str),
    st.from_regex(r"[0-9A-Za-z-]{0,5}[A-Za-z-][0-9A-Za-z-]{0,5}", fullmatch=True),
)
PRERELEASES = st.lists(IDENTIFIERS, max_size=4).map(tuple)
VERSIONS = st.builds(Version, NUMBERS, NUMBERS, NUMBERS, PRERELEASES).filter(
    lambda version: len(str(version)) <= 64
)


@given(VERSIONS)
def test_spelled_version_is_read_back(version: Version) -> None:
    """What is stored is what was published."""
    again = Version.parse(str(version))

    assert again == version
    assert str(again) == str(version)
    assert hash(again) == hash(version)


@given(VERSIONS, VERSIONS)
def test_order_keys_order_as_versions_do(one: Version, other: Version) -> None:
    """Bytes are what DynamoDB compares."""
    assert (order_key(one).encode() < order_key(other).encode()) == (one < other)
    assert (order_key(one) == order_key(other)) == (one == other)


@given(VERSIONS, NUMBERS, NUMBERS)
def test_series_prefix_finds_its_series_alone(version: Version, major: int, minor: int) -> None:
    """`1.` must not find `10.`."""
    key = order_key(version)

    assert key.startswith(series_prefix(major)) == (version.major == major)
    in_minor = (version.major, version.minor) == (major, minor)
    assert key.startswith(series_prefix(major, minor)) == in_minor


def test_published_list_of_versions_is_in_order_by_key() -> None:
    """An order that others have published, not one that we have computed."""
    vectors = json.loads((ROOT / "tests/vectors/versions.json").read_text(encoding="utf-8"))
    ascending = [Version.parse(text) for text in vectors["ascending"]]

    assert sorted(ascending, key=order_key) == ascending
