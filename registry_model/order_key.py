"""Order keys: a version spelled so that the order of its bytes is SemVer precedence.

DynamoDB compares sort keys byte by byte, so with this spelling it pages versions from the highest
down by itself. Each number is led by a letter for its length (`a` for one digit), a release ends in
`~` and a pre-release goes on with `-`, which is lower; numeric identifiers are led by `0`, others
by `1`, and `!`, lower than any character of an identifier, parts them.
"""

from registry_model.text import DIGITS
from registry_model.version import Version

_RELEASE = "~"
_PRERELEASE = "-"
_SEPARATOR = "!"


def number_key(number: int) -> str:
    """Spell a number below 10**18 so that byte order is the order of numbers."""
    digits = str(number)
    return chr(ord("a") + len(digits) - 1) + digits


def _identifier_key(identifier: str) -> str:
    if all(character in DIGITS for character in identifier):
        return "0" + number_key(int(identifier))
    return "1" + identifier


def order_key(version: Version) -> str:
    """Spell *version*: `1.4.2` is `a1.a4.a2~`."""
    core = series_prefix(version.major, version.minor) + number_key(version.patch)
    if version.is_stable:
        return core + _RELEASE
    return core + _PRERELEASE + _SEPARATOR.join(map(_identifier_key, version.prerelease))


def series_prefix(major: int, minor: int | None = None) -> str:
    """Spell what the order keys of `<major>.` or `<major>.<minor>.` begin with."""
    prefix = number_key(major) + "."
    return prefix if minor is None else prefix + number_key(minor) + "."
