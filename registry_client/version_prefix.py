"""Versions for teams without SemVer: a prefix and the number of a published function version.

`1` and `...:function:users:42` make `1.42.0`; `1.4` makes `1.4.42`.
"""

from registry_model.version import Version, VersionError, number_fault

_MOST_PARTS = 2
_QUALIFIED_PARTS = 8


class VersionPrefixError(ValueError):
    """A prefix and an ARN do not make a version; the message has the reason."""


def version_from_arn(prefix: str, arn: str) -> str:
    """Return the version from a prefix and an ARN's numeric qualifier.

    Raises:
        VersionPrefixError: The prefix is malformed, or the ARN has no numeric qualifier.
    """
    parts = prefix.split(".")
    for part in parts:
        fault = number_fault(part)
        if fault or len(parts) > _MOST_PARTS:
            message = f"{prefix!r} is not a version prefix: {fault or 'at most major.minor'}"
            raise VersionPrefixError(message)
    # arn:partition:service:region:account:type:name:qualifier; a name may be a number, too.
    arn_parts = arn.split(":")
    qualifier = arn_parts[-1]
    if len(arn_parts) != _QUALIFIED_PARTS or number_fault(qualifier):
        message = (
            f"{arn!r} has no numeric qualifier: give the ARN of a published function version, "
            "such as ...:function:users:42"
        )
        raise VersionPrefixError(message)
    version = ".".join([*parts, qualifier] + ["0"] * (_MOST_PARTS - len(parts)))
    try:
        return str(Version.parse(version))
    except VersionError as error:
        raise VersionPrefixError(str(error)) from error
