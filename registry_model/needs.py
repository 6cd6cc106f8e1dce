"""What a function needs: the grammar of `NEEDED_SERVICES`, and what each need means.

Portable: runs under MicroPython and CPython. The extension and the registry's dry run share it.

A need is resolved with one item of the index. For `users~=1.4` this is the item of `1.x`: the
highest `1.x` is the answer if it is at least `1.4.0`; otherwise there is no answer.
"""

from registry_model.text import first_not_in, quote

# `registry_model.version` is imported only for a selector that has numbers. Most have none, and the
# function's start waits until the extension has parsed its needs.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from registry_model.version import Version

BLANKS = " \t\r\n"
LATEST = "latest"
_OPERATOR = "=~<>!^@"
# The most frequent ones first, because MicroPython searches from the beginning.
_NAME_FIRST = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_NAME = _NAME_FIRST + "-._"
_NAMES = "," + _NAME
_BEFORE_OPERATOR = _NAME + ":" + BLANKS
MAX_NAME = 64
# The limit for a recorded consumer; a function may have any number.
MAX_RECORDED_NEEDS = 1_000


def name_fault(name: str) -> "str | None":
    """Return why *name* is not a valid name of a service, an alias or a channel; None if it is."""
    if name and name[0] in _NAME_FIRST and len(name) <= MAX_NAME and not name.lstrip(_NAME):
        return None
    if not name:
        return "it is empty"
    if len(name) > MAX_NAME:
        return f"it is longer than {MAX_NAME} characters"
    if name[0] not in _NAME_FIRST:
        return f"it starts with {quote(name[0])}; a letter or a digit must come first"
    return (
        f"{quote(first_not_in(name, _NAME))} is not allowed; letters, digits, '.', '_' and '-' are"
    )


class Fault:
    """One fault of a text of needs.

    Attributes:
        position: The offset of the malformed need, in characters from 0.
        text: The malformed need.
        reason: What is wrong with it, and what to write.
    """

    __slots__ = ("position", "reason", "text")

    def __init__(self, position: int, text: str, reason: str) -> None:
        """Set the parts."""
        self.position = position
        self.text = text
        self.reason = reason

    def __str__(self) -> str:
        """Return position, text and reason for a message."""
        return f"at {self.position}: {quote(self.text)}: {self.reason}"


class NeedsError(ValueError):
    """A text of needs is malformed; `faults` has every fault, in the order of the text."""

    def __init__(self, faults: "list[Fault]") -> None:
        """Set the faults, and a message with all of them."""
        super().__init__("; ".join([str(fault) for fault in faults]))
        self.faults = faults


class Selector:
    """The version of a service that is requested.

    Attributes:
        requested: The selector in the services file: `latest`, `1.x`, `~=1.4`, `@beta`.
        index_selector: The sort key of its answer in the index.
        minimum: The lowest version that the answer may have, or None for any.
    """

    __slots__ = ("index_selector", "minimum", "requested")

    def __init__(
        self, requested: str, index_selector: str, minimum: "Version | None" = None
    ) -> None:
        """Set the parts; `parse_selector` parses a text."""
        self.requested = requested
        self.index_selector = index_selector
        self.minimum = minimum

    def accepts(self, version: str) -> bool:
        """Return whether the index's answer satisfies this selector.

        Raises:
            VersionError: *version* is malformed.
        """
        if self.minimum is None:
            return True
        from registry_model.version import Version

        return Version.parse(version) >= self.minimum

    def __str__(self) -> str:
        """Return the text with its operator, as it is written after a name."""
        return self.requested if self.requested[0] in _OPERATOR else "==" + self.requested


if TYPE_CHECKING:
    from typing import NamedTuple

    class Need(NamedTuple):
        """One service that a function needs.

        Attributes:
            key: Its member's name in the services file: the alias if there is one, otherwise the
                service's name.
            service: The service's name.
            selector: Which version of it.
        """

        key: str
        service: str
        selector: Selector

else:
    from collections import namedtuple

    Need = namedtuple("Need", ("key", "service", "selector"))

# The selector of a need that is only a name, as most needs are.
_LATEST = Selector(LATEST, LATEST)


class SelectorError(ValueError):
    """A selector is malformed; the message has the reason, and what to write."""


def _numbers(text: str, least: int) -> "list[int]":
    """Parse `major[.minor[.patch]]` with at least *least* numbers."""
    from registry_model.version import number_fault

    parts = text.split(".")
    if len(parts) < least or len(parts) > 3:
        wanted = "major.minor or major.minor.patch" if least == 2 else "one to three numbers"
        raise SelectorError(f"{quote(text)} should be {wanted}")
    for part in parts:
        fault = number_fault(part)
        if fault:
            raise SelectorError(f"in {quote(text)}, {fault}")
    return [int(part) for part in parts]


def _at_least(numbers: "list[int]") -> "Version":
    from registry_model.version import Version

    filled = numbers + [0, 0]
    return Version(filled[0], filled[1], filled[2])


def _equal_to(value: str) -> Selector:
    if value == LATEST:
        return _LATEST
    from registry_model.version import Version, VersionError, number_fault

    parts = value.split(".")
    if parts[-1] in ("x", "*") and len(parts) in (2, 3):
        for part in parts[:-1]:
            fault = number_fault(part)
            if fault:
                raise SelectorError(f"in {quote(value)}, {fault}")
        series = ".".join(parts[:-1]) + ".x"
        return Selector(series, series)
    try:
        return Selector(value, str(Version.parse(value)))
    except VersionError as error:
        forms = "'latest', '1.x', '1.4.x' or a whole version may follow '=='"
        raise SelectorError(f"{error}; {forms}")


def _compatible_with(value: str) -> Selector:
    numbers = _numbers(value, 2)
    series = ".".join([str(number) for number in numbers[:-1]]) + ".x"
    return Selector("~=" + value, series, _at_least(numbers))


def _no_lower_than(value: str) -> Selector:
    return Selector(">=" + value, LATEST, _at_least(_numbers(value, 1)))


def _channel(value: str) -> Selector:
    fault = name_fault(value)
    if fault:
        raise SelectorError(f"{quote(value)} can't name a channel: {fault}")
    if value == LATEST:
        return _LATEST
    return Selector("@" + value, "@" + value)


_FORMS = {"==": _equal_to, "~=": _compatible_with, ">=": _no_lower_than, "@": _channel}


def parse_selector(text: str) -> Selector:
    """Parse a selector with its operator; an empty one selects the latest version.

    Raises:
        SelectorError: It is malformed.
    """
    text = text.strip(BLANKS)
    if not text:
        return _LATEST
    end = 0
    while end < len(text) and text[end] in _OPERATOR:
        end += 1
    operator = text[:end]
    if not operator:
        raise SelectorError(f"{quote(text)} has no operator; put '==', '~=', '>=' or '@' before it")
    if operator not in _FORMS:
        raise SelectorError(f"unknown operator {quote(operator)}; use '==', '~=', '>=' or '@'")
    value = text[end:].strip(BLANKS)
    if not value:
        raise SelectorError(f"nothing follows {quote(operator)}")
    return _FORMS[operator](value)


def _operator_at(text: str) -> int:
    """Return the offset of the first operator; the text's length if there is none."""
    # Skip these characters in one call. Only a malformed need has others before its operator.
    offset = len(text) - len(text.lstrip(_BEFORE_OPERATOR))
    while offset < len(text) and text[offset] not in _OPERATOR:
        offset += 1
    return offset


def _parse_need(text: str, reasons: "list[str]") -> "tuple[str | None, Need | None]":
    """Parse one need; return its key if that is valid, and the need; add faults to *reasons*."""
    end = _operator_at(text)
    head, tail = text[:end], text[end:]
    alias, colon, service = head.partition(":")
    if not colon:
        alias, service = "", head
    alias = alias.strip(BLANKS)
    service = service.strip(BLANKS)
    key = None
    if colon:
        fault = name_fault(alias)
        if fault:
            reasons.append(f"{quote(alias)} can't be an alias: {fault}")
        else:
            key = alias
    fault = name_fault(service)
    if fault and not service and tail:
        # Usually the second part of `users>=1.2,<2`: report only this fault.
        reasons.append("no service is named before the operator; a need has one selector")
        return key, None
    if fault:
        reasons.append(f"{quote(service)} can't name a service: {fault}")
    elif not colon:
        key = service
    try:
        selector = parse_selector(tail)
    except SelectorError as error:
        reasons.append(str(error))
        return key, None
    return key, None if reasons else Need(alias or service, service, selector)


def _only_names(text: str) -> "list[str]":
    """Return the names in *text* if it has only distinct names, otherwise an empty list.

    This is the most frequent form. It is parsed without a function call for each name.
    """
    if text.lstrip(_NAMES):
        return []
    enclosed = "," + text + ","
    for malformed in (",,", ",-", ",.", ",_"):
        if malformed in enclosed:
            return []
    names = text.split(",")
    if len(dict.fromkeys(names)) < len(names):
        return []
    if len(text) > MAX_NAME:
        for name in names:
            if len(name) > MAX_NAME:
                return []
    return names


def parse_needs(text: str) -> "list[Need]":
    """Parse a text of needs, such as `users,billing==1.x`, in its order.

    Raises:
        NeedsError: A need is malformed, or two needs have the same key; it has every fault.
    """
    needs = [Need(name, name, _LATEST) for name in _only_names(text)]
    if needs:
        return needs
    faults: "list[Fault]" = []
    positions: "dict[str, int]" = {}
    end = -1
    for part in text.split(","):
        start = end + 1
        end = start + len(part)
        entry = part.strip(BLANKS)
        if not entry:
            continue
        position = start + part.find(entry)
        reasons: "list[str]" = []
        key, need = _parse_need(entry, reasons)
        if key is not None and key in positions:
            first = positions[key]
            reasons.append(
                f"the key {quote(key)} is taken by the need at {first}; give one an alias"
            )
        elif key is not None:
            positions[key] = position
        if need is not None and not reasons:
            needs.append(need)
        for reason in reasons:
            faults.append(Fault(position, entry, reason))
    if faults:
        raise NeedsError(faults)
    return needs
