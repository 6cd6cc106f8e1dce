"""Order keys: versions encoded such that the byte order is the SemVer precedence.

DynamoDB compares sort keys byte by byte, so it can page versions from the highest down. A letter
before each number gives its length (`a` for one digit). A release ends in `~`; a pre-release
continues with `-`, which is lower. Numeric identifiers begin with `0`, others with `1`, and `!`,
lower than any character of an identifier, separates them.
"""

from registry_model.text import DIGITS
from registry_model.version import Version

_RELEASE = "~"
_PRERELEASE = "-"
_SEPARATOR = "!"


def number_key(number: int) -> str:
    """Return a text for a number below 10**18; byte order is the order of the numbers."""
    digits = str(number)
    return chr(ord("a") + len(digits) - 1) + digits


def _identifier_key(identifier: str) -> str:
    if all(character in DIGITS for character in identifier):
        return "0" + number_key(int(identifier))
    return "1" + identifier


def order_key(version: Version) -> str:
    """Return the order key: for `1.4.2` it is `a1.a4.a2~`."""
    core = release_bound(version)
    if version.is_stable:
        return core + _RELEASE
    return core + _PRERELEASE + _SEPARATOR.join(map(_identifier_key, version.prerelease))


def release_bound(version: Version) -> str:
    """Return a bound above the keys of all releases lower than *version*, below all others."""
    return series_prefix(version.major, version.minor) + number_key(version.patch)


def series_prefix(major: int, minor: int | None = None) -> str:
    """Return the prefix of the order keys of `<major>.` or `<major>.<minor>.` versions."""
    prefix = number_key(major) + "."
    return prefix if minor is None else prefix + number_key(minor) + "."
