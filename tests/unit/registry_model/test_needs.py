"""Needs: one key of the index answers each need as docs/functions.md says.

The vectors have the cases.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_model.needs import (
    BLANKS,
    Need,
    NeedsError,
    SelectorError,
    name_fault,
    parse_needs,
    parse_selector,
)
from registry_model.version import Version

_SMALL = st.integers(0, 3)
_STABLE = st.builds(Version, _SMALL, _SMALL, _SMALL)
_PUBLISHED = st.dictionaries(
    st.builds(Version, _SMALL, _SMALL, _SMALL, st.sampled_from([(), (), ("rc", "1")])),
    st.sampled_from(["active", "active", "yanked"]),
    max_size=12,
)
_BLANKS = st.text(st.sampled_from(BLANKS), max_size=2)
_NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,6}", fullmatch=True)
_EXACT = ["==1.4.2", "==2.0.0-rc.1"]
_SERIES = ["==1.x", "==1.4.x", "~=1.4", "~=1.4.2"]
_LATEST = ["", "==latest", "@latest", ">=1", ">=1.4", ">=1.4.2"]
_SELECTORS = st.sampled_from([*_EXACT, *_SERIES, *_LATEST, "@beta"])


def _index(published: dict[Version, str], pin: Version | None) -> dict[str, Version]:
    """Return the selectors and versions in the index for a service."""
    index = {}
    answers = sorted(v for v, status in published.items() if status == "active" and v.is_stable)
    for version in answers:
        index["latest"] = index[f"{version.major}.x"] = version
        index[f"{version.major}.{version.minor}.x"] = version
    index |= {str(version): version for version in published}
    return index | ({} if pin is None else {"latest": pin})


def _resolved(need: Need, index: dict[str, Version]) -> Version | None:
    version = index.get(need.selector.index_selector)
    if version is None or not need.selector.accepts(str(version)):
        return None
    return version


def _highest(published: dict[Version, str], low: Version, below: Version) -> Version | None:
    return max(
        (
            version
            for version, status in published.items()
            if status == "active" and version.is_stable and low <= version < below
        ),
        default=None,
    )


@given(_PUBLISHED, _SMALL, _SMALL, _SMALL)
def test_compatible_selector_is_the_highest_of_its_major_from_the_minimum_on(
    published: dict[Version, str], major: int, minor: int, patch: int
) -> None:
    """One key of the index answers `~=1.4` or `~=1.4.2` as a search of all versions does."""
    index = _index(published, None)
    (loose,) = parse_needs(f"users~={major}.{minor}")
    (tight,) = parse_needs(f"users~={major}.{minor}.{patch}")

    assert _resolved(loose, index) == _highest(
        published, Version(major, minor, 0), Version(major + 1, 0, 0)
    )
    assert _resolved(tight, index) == _highest(
        published, Version(major, minor, patch), Version(major, minor + 1, 0)
    )


@given(_PUBLISHED, _SMALL, _SMALL)
def test_series_is_its_highest_stable_active_version(
    published: dict[Version, str], major: int, minor: int
) -> None:
    """`==1.x` and `==1.4.x`, with `*` too."""
    index = _index(published, None)
    of_major = _highest(published, Version(major, 0, 0), Version(major + 1, 0, 0))
    of_minor = _highest(published, Version(major, minor, 0), Version(major, minor + 1, 0))

    for wildcard in "x*":
        (whole,) = parse_needs(f"users=={major}.{wildcard}")
        (part,) = parse_needs(f"users=={major}.{minor}.{wildcard}")
        assert _resolved(whole, index) == of_major
        assert _resolved(part, index) == of_minor


@given(_PUBLISHED, st.none() | _STABLE, _STABLE, st.integers(1, 3))
def test_at_least_is_the_latest_if_it_is_high_enough(
    published: dict[Version, str], pin: Version | None, least: Version, parts: int
) -> None:
    """`>=1.4` has no answer if latest was rolled back to a lower version."""
    index = _index(published, pin)
    numbers = str(least).split(".")[:parts]
    text = ".".join(numbers)
    floor = Version.parse(".".join([*numbers, "0", "0"][:3]))
    (need,) = parse_needs("users>=" + text)

    latest = index.get("latest")
    expected = latest if latest is not None and latest >= floor else None
    assert _resolved(need, index) == expected


@given(_PUBLISHED, _STABLE)
def test_exact_version_may_be_yanked_or_a_pre_release(
    published: dict[Version, str], version: Version
) -> None:
    """Pre-releases and yanked versions are found too, so a pin keeps working."""
    index = _index(published, None)

    for wanted in [version, *published]:
        (need,) = parse_needs(f"users=={wanted}")
        assert _resolved(need, index) == (wanted if wanted in published else None)


@given(st.lists(st.tuples(_NAMES, _NAMES, _SELECTORS), unique_by=lambda need: need[0]), st.data())
def test_blanks_and_empty_entries_are_ignored(
    wanted: list[tuple[str, str, str]], data: st.DataObject
) -> None:
    """A long variable may be wrapped over lines; every need is read, in order."""

    def blank() -> str:
        return data.draw(_BLANKS)

    entries = []
    for alias, service, selector in wanted:
        operator = selector.rstrip("0123456789.abcdefghijklmnopqrstuvwxyz-")
        value = selector[len(operator) :]
        parts = [alias, ":", service, operator, value] if operator else [alias, ":", service]
        entries += [blank() + "".join(part + blank() for part in parts), *data.draw(_EMPTY)]

    needs = parse_needs(",".join(entries))

    plain = parse_needs(",".join(f"{a}:{service}{selector}" for a, service, selector in wanted))
    assert [_parts(need) for need in needs] == [_parts(need) for need in plain]
    assert [(need.key, need.service) for need in needs] == [(n[0], n[1]) for n in wanted]


_EMPTY = st.lists(_BLANKS, max_size=2)


def _parts(need: Need) -> tuple[str, str, str, str, str]:
    selector = need.selector
    return need.key, need.service, str(selector), selector.index_selector, str(selector.minimum)


@given(_NAMES, _SELECTORS)
def test_formatted_selector_is_parsed_back(name: str, text: str) -> None:
    """A selector that is copied from a message selects the same version."""
    (need,) = parse_needs(name + text)
    (again,) = parse_needs(f"{need.service}{need.selector}")

    assert _parts(again) == _parts(need)
    assert _parts(need)[3:] == (
        parse_selector(text).index_selector,
        str(parse_selector(text).minimum),
    )


@given(st.lists(st.sampled_from(["a", "b:a", "c@beta", "d=1", "e==v1", ":f", "g h", " ", "a"])))
def test_every_fault_is_named_with_its_place(entries: list[str]) -> None:
    """Each deployment of a function takes minutes, so every fault is reported at once."""
    text = ",".join(entries)
    keys: set[str] = set()
    expected = []
    at = 0
    for entry in entries:
        key = entry.partition(":")[0].partition("@")[0].partition("=")[0]
        if entry in {"d=1", "e==v1", ":f", "g h"}:
            expected.append((at, entry))
        if key in keys:
            expected.append((at, entry))
        elif entry.strip() and entry not in {":f", "g h"}:
            keys.add(key)
        at += len(entry) + 1

    try:
        needs = parse_needs(text)
    except NeedsError as error:
        seen = [(fault.position, fault.text) for fault in error.faults]
        message = str(error)
    else:
        assert {need.key for need in needs} == keys
        seen, message = [], ""

    assert seen == expected
    assert all(f"at {position}: '{entry}'" in message for position, entry in expected)


@given(st.text(max_size=12))
def test_any_text_is_a_selector_or_refused(text: str) -> None:
    """A query parameter may be any text."""
    try:
        selector = parse_selector(text)
    except SelectorError as error:
        message = str(error)
    else:
        assert parse_selector(str(selector)).index_selector == selector.index_selector
        message = "taken"

    assert message


@given(st.text(max_size=70))
def test_names_are_what_the_documentation_allows(text: str) -> None:
    """ASCII only, at most 64 characters, compared with a regular expression."""
    allowed = set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")
    is_name = 1 <= len(text) <= 64 and set(text) <= allowed and text[0] not in "._-"

    assert (name_fault(text) is None) == is_name


@pytest.mark.parametrize("length", [64, 65])
def test_longest_name_has_64_characters(length: int) -> None:
    assert (name_fault("n" * length) is None) == (length == 64)
