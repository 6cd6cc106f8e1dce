"""Versions as values. The vectors have the simple cases, for both interpreters."""

import json
import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_model.version import Version, VersionError
from tests.conftest import ROOT
from tests.unit.registry_model.versions import NUMBERS, VERSIONS

# The expression of semver.org, without the part for build metadata.
_IDENTIFIER = r"(?:0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)"
_NUMBER = r"(?:0|[1-9][0-9]*)"
_SUGGESTED = re.compile(rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-{_IDENTIFIER}(?:\.{_IDENTIFIER})*)?")


@given(VERSIONS)
def test_formatted_version_is_parsed_back(version: Version) -> None:
    """The stored text is the published one."""
    again = Version.parse(str(version))

    assert again == version
    assert str(again) == str(version)
    assert hash(again) == hash(version)


@given(VERSIONS.map(str), st.data())
def test_text_is_a_version_if_it_matches_semvers_expression(
    valid: str, data: st.DataObject
) -> None:
    """Versions with one character more, less or changed are tested."""
    at = data.draw(st.integers(0, len(valid)))
    end = data.draw(st.integers(at, min(at + 1, len(valid))))
    text = valid[:at] + data.draw(st.sampled_from(["", *"019.-+aZxv \n\u0661"])) + valid[end:]
    is_version = (
        _SUGGESTED.fullmatch(text) is not None
        and len(text) <= 64
        and all(not part.isdigit() or len(part) <= 18 for part in re.split("[.-]", text))
    )

    if is_version:
        assert str(Version.parse(text)) == text
    else:
        with pytest.raises(VersionError, match=r"is not a version: .*\w"):
            Version.parse(text)


@pytest.mark.parametrize("text", ["1.2.3\n", "1.2.3-a\n", "\n1.2.3", "\u0661.2.3", "1.2.3-\u0661"])
def test_almost_valid_text_is_no_version(text: str) -> None:
    """`$`, `strip` or `isdigit` would accept these."""
    with pytest.raises(VersionError):
        Version.parse(text)


@given(VERSIONS, VERSIONS, VERSIONS)
def test_versions_have_a_total_order(one: Version, two: Version, three: Version) -> None:
    """The order is total, and all comparisons agree."""
    assert (one < two) + (one == two) + (one > two) == 1
    assert (one <= two) == (not one > two)
    assert (one >= two) == (not one < two)
    assert (one == two) == (str(one) == str(two))
    low, middle, high = sorted([one, two, three])
    assert low <= middle <= high
    assert low <= high


@given(NUMBERS, NUMBERS, NUMBERS, st.sampled_from([("rc", "1"), ("0",), ("z",)]))
def test_release_is_higher_than_its_pre_releases(
    major: int, minor: int, patch: int, prerelease: tuple[str, ...]
) -> None:
    """SemVer, item 11.3."""
    stable = Version(major, minor, patch)
    unstable = Version(major, minor, patch, prerelease)

    assert unstable < stable
    assert (stable.is_stable, unstable.is_stable) == (True, False)


def test_semvers_example_of_precedence_holds() -> None:
    """SemVer, items 11.2 and 11.4.4."""
    vectors = json.loads((ROOT / "tests/vectors/versions.json").read_text(encoding="utf-8"))
    chains = vectors["reference"]["precedence"]

    for chain in chains:
        for low, high in pairwise(map(Version.parse, chain)):
            assert low < high
            assert not high <= low


@pytest.mark.parametrize("other", ["1.0.0", None, (1, 0, 0, 1, ())])
def test_version_equals_no_other_kind_of_value(other: object) -> None:
    """A text is not equal to the version that it is parsed to."""
    assert Version.parse("1.0.0") != other
