"""Versions: Semantic Versioning 2.0.0 without build metadata, and the order among them.

Portable: runs under MicroPython and CPython. Source of the rules: semver.org, items 2 and 9 to 11.
"""

from registry_model.text import DIGITS, first_not_in, quote

MAX_LENGTH = 64
MAX_DIGITS = 18
_IDENTIFIER = DIGITS + "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-"


class VersionError(ValueError):
    """A text is not a version that the registry accepts; `reason` has the fault."""

    def __init__(self, text: str, reason: str) -> None:
        """Set the reason, and a message with the text."""
        super().__init__(f"{quote(text)} is not a version: {reason}")
        self.reason = reason


def number_fault(text: str) -> "str | None":
    """Return why *text* is not a decimal number of SemVer; None if it is one."""
    if not text:
        return "a number is missing"
    if first_not_in(text, DIGITS):
        return f"{quote(text)} is not a number"
    if len(text) > 1 and text[0] == "0":
        return f"{quote(text)} has a leading zero"
    if len(text) > MAX_DIGITS:
        return f"{quote(text)} has more than {MAX_DIGITS} digits"
    return None


def _is_number(identifier: str) -> bool:
    return not first_not_in(identifier, DIGITS)


def _identifier_fault(identifier: str) -> "str | None":
    if not identifier:
        return "a pre-release identifier is empty"
    other = first_not_in(identifier, _IDENTIFIER)
    if other:
        return f"{quote(other)} is not allowed in a pre-release identifier"
    return number_fault(identifier) if _is_number(identifier) else None


class Version:
    """A version, compared by SemVer precedence: a total order, since it has no build metadata.

    Attributes:
        major, minor, patch: The three numbers.
        prerelease: The pre-release identifiers as written; empty for a stable version.
    """

    __slots__ = ("major", "minor", "patch", "precedence", "prerelease")

    def __init__(
        self, major: int, minor: int, patch: int, prerelease: "tuple[str, ...]" = ()
    ) -> None:
        """Set the parts; `parse` parses a text."""
        self.major = major
        self.minor = minor
        self.patch = patch
        self.prerelease = prerelease
        # A numeric identifier ranks below an alphanumeric one, a pre-release below its release.
        self.precedence = (
            major,
            minor,
            patch,
            0 if prerelease else 1,
            tuple([(0, int(i), "") if _is_number(i) else (1, 0, i) for i in prerelease]),
        )

    @classmethod
    def parse(cls, text: str) -> "Version":
        """Parse a version.

        Raises:
            VersionError: The text is not a version, is longer than 64 characters, or has a number
                of more than 18 digits.
        """
        if len(text) > MAX_LENGTH:
            raise VersionError(text, f"it is longer than {MAX_LENGTH} characters")
        if text[:1] in ("v", "V"):
            raise VersionError(text, f"it starts with {quote(text[0])}; write only the number")
        if "+" in text:
            raise VersionError(text, "build metadata ('+...') is not allowed; leave it out")
        core, dash, tail = text.partition("-")
        numbers = core.split(".")
        if len(numbers) != 3:
            raise VersionError(text, "it needs three numbers: major.minor.patch")
        for number in numbers:
            fault = number_fault(number)
            if fault:
                raise VersionError(text, fault)
        prerelease = tuple(tail.split(".")) if dash else ()
        for identifier in prerelease:
            fault = _identifier_fault(identifier)
            if fault:
                raise VersionError(text, fault)
        return cls(int(numbers[0]), int(numbers[1]), int(numbers[2]), prerelease)

    @property
    def is_stable(self) -> bool:
        """Whether it has no pre-release part."""
        return not self.prerelease

    def __str__(self) -> str:
        """Return the text that it was parsed from."""
        core = f"{self.major}.{self.minor}.{self.patch}"
        return core + "-" + ".".join(self.prerelease) if self.prerelease else core

    def __repr__(self) -> str:
        """Return the text for a debugger."""
        return f"Version({str(self)!r})"

    def __hash__(self) -> int:
        """Return a hash of the parts that `==` compares."""
        return hash(self.precedence)

    def __eq__(self, other: object) -> bool:
        """Compare by precedence."""
        return isinstance(other, Version) and self.precedence == other.precedence

    def __lt__(self, other: "Version") -> bool:
        """Compare by precedence."""
        return self.precedence < other.precedence

    def __le__(self, other: "Version") -> bool:
        """Compare by precedence."""
        return self.precedence <= other.precedence

    def __gt__(self, other: "Version") -> bool:
        """Compare by precedence."""
        return self.precedence > other.precedence

    def __ge__(self, other: "Version") -> bool:
        """Compare by precedence."""
        return self.precedence >= other.precedence
