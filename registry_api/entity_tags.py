"""Entity tags, in `ETag`, `If-Match` and `If-None-Match` (RFC 9110, section 8.8 and 13.1)."""

import re

# An entity tag: `W/` if it is weak, then a quoted string of visible characters.
_TAG = re.compile(r'(W/)?"[\x21\x23-\x7e\x80-\xff]*"')


def version_tag(revision: int) -> str:
    """Return the entity tag of a version's record, which changes whenever the record does."""
    return f'"{revision}"'


def service_tag(revision: int) -> str:
    """Return the entity tag of a service, which differs from those of its versions."""
    return f'"s{revision}"'


def matches_strongly(condition: str, tag: str | None) -> bool:
    """Return whether If-Match has the present tag, which is None if there is no entity."""
    return tag is not None and (condition.strip() == "*" or tag in _tags(condition))


def matches_weakly(condition: str, tag: str) -> bool:
    """Return whether If-None-Match has the present entity tag."""
    tags = {each.removeprefix("W/") for each in _tags(condition)}
    return condition.strip() == "*" or tag in tags


def _tags(condition: str) -> set[str]:
    return {match.group() for match in _TAG.finditer(condition)}
