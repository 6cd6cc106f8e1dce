"""The services file, which a function reads: one member for each of its needs.

Portable: runs under MicroPython and CPython. The extension writes it; the registry's dry run
returns the same members.
"""

from registry_model import strict_json
from registry_model.index_layout import ACTIVE, YANKED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from registry_model.index_layout import Answer
    from registry_model.needs import Need

MISSING = "missing"
UNAVAILABLE = "unavailable"

_MOST_PIECES = 500
_TEXTS = ("requested", "service", "version", "arn", "status", "error", "resolved_at", "reason")


class Member:
    """One need's entry in the services file.

    Attributes:
        requested: The selector as the file shows it.
        status: `active`, `yanked`, `missing` or `unavailable`.
        service: The service's name if the key is an alias, otherwise None.
        version, arn, resolved_at: Set if the status is `active` or `yanked`, otherwise None.
        metadata: The publisher's metadata; may be empty.
        reason: The reason of a yank, or None.
        error: The reason why there is no answer, or None.
    """

    __slots__ = (
        "arn",
        "error",
        "metadata",
        "reason",
        "requested",
        "resolved_at",
        "service",
        "status",
        "version",
    )

    def __init__(  # noqa: PLR0913  # one for each field of the file
        self,
        *,
        requested: str,
        status: str,
        service: "str | None" = None,
        version: "str | None" = None,
        arn: "str | None" = None,
        metadata: "dict[str, str] | None" = None,
        reason: "str | None" = None,
        error: "str | None" = None,
        resolved_at: "str | None" = None,
    ) -> None:
        """Set the parts."""
        self.requested = requested
        self.status = status
        self.service = service
        self.version = version
        self.arn = arn
        self.metadata = metadata or {}
        self.reason = reason
        self.error = error
        self.resolved_at = resolved_at

    @property
    def is_resolved(self) -> bool:
        """Whether it has a version and an ARN."""
        return self.status in (ACTIVE, YANKED)

    @property
    def is_answered(self) -> bool:
        """Whether the registry has answered: `missing` is an answer, `unavailable` is not."""
        return self.status != UNAVAILABLE

    def has_same_answer(self, other: "Member") -> bool:
        """Return whether both have the same answer; times and error texts are ignored."""
        return (
            self.requested == other.requested
            and self.status == other.status
            and self.service == other.service
            and self.version == other.version
            and self.arn == other.arn
            and self.metadata == other.metadata
            and self.reason == other.reason
        )

    def to_json(self) -> "list[tuple[str, str | dict[str, str]]]":
        """Return the fields that are set, in the order of the file."""
        fields: "list[tuple[str, str | dict[str, str]]]" = [("requested", self.requested)]
        if self.service is not None:
            fields.append(("service", self.service))
        if self.version is not None:
            fields.append(("version", self.version))
        if self.arn is not None:
            fields.append(("arn", self.arn))
        fields.append(("status", self.status))
        if self.reason is not None:
            fields.append(("reason", self.reason))
        if self.metadata:
            fields.append(("metadata", self.metadata))
        if self.resolved_at is not None:
            fields.append(("resolved_at", self.resolved_at))
        if self.error is not None:
            fields.append(("error", self.error))
        return fields


def _service_if_aliased(need: "Need") -> "str | None":
    return None if need.key == need.service else need.service


def resolved_member(need: "Need", answer: "Answer", resolved_at: str) -> Member:
    """Return the member of a need that resolves to *answer*."""
    return Member(
        requested=need.selector.requested,
        service=_service_if_aliased(need),
        status=answer.status,
        version=answer.version,
        arn=answer.arn,
        metadata=answer.metadata,
        reason=answer.reason,
        resolved_at=resolved_at,
    )


def missing_member(need: "Need") -> Member:
    """Return the member of a need for which the registry has no answer."""
    return Member(
        requested=need.selector.requested,
        service=_service_if_aliased(need),
        status=MISSING,
        error=f"no version of '{need.service}' matches '{need.selector}'",
    )


def unavailable_member(need: "Need", error: str) -> Member:
    """Return the member of a need that was never resolved, with the reason."""
    return Member(
        requested=need.selector.requested,
        service=_service_if_aliased(need),
        status=UNAVAILABLE,
        error=error,
    )


def unavailable_members(needs: "list[Need]", error: str) -> "dict[str, Member]":
    """Return the members of needs that were never resolved, by key.

    Consecutive needs with equal fields share one object, which `render` encodes only once. This
    saves time before the function starts.
    """
    members: "dict[str, Member]" = {}
    member = None
    for need in needs:
        if (
            member is None
            or need.key != need.service
            or member.service is not None
            or member.requested != need.selector.requested
        ):
            member = unavailable_member(need, error)
        members[need.key] = member
    return members


def member_for(need: "Need", answer: "Answer | None", resolved_at: str) -> Member:
    """Return the member of a need for the index's *answer*, which may be None."""
    if answer is None or not need.selector.accepts(answer.version):
        return missing_member(need)
    return resolved_member(need, answer, resolved_at)


def _add_map(pieces: "list[str]", entries: "dict[str, str]") -> None:
    opening = "{"
    for name in sorted(entries):
        pieces += (opening, strict_json.dumps(name), ": ", strict_json.dumps(entries[name]))
        opening = ", "
    pieces.append("}")


def _text_of(member: Member, encoded: "dict[str, str]") -> str:
    """Return the rest of a member's line after its key: a quote, a colon and a JSON object."""
    pieces: "list[str]" = []
    opening = '": {"'
    for name, value in member.to_json():
        pieces += (opening, name, '": ')
        if isinstance(value, str):
            text = encoded.get(value)
            if text is None:
                text = encoded[value] = strict_json.dumps(value)
            pieces.append(text)
        else:
            _add_map(pieces, value)
        opening = ', "'
    pieces.append("}")
    return "".join(pieces)


def render(members: "list[tuple[str, Member]]") -> bytes:
    """Return the document: an object with one member for each need, under its key.

    The document is joined from pieces. A text that several members share is encoded only once,
    since each further string costs MicroPython memory and a look-up. The pieces take several times
    the size of their text, so they are joined before there are too many.
    """
    if not members:
        return b"{}\n"
    parts: "list[bytes]" = []
    pieces: "list[str]" = []
    encoded: "dict[str, str]" = {}
    opening = '{\n"'
    before: "Member | None" = None
    text = ""
    for key, member in members:
        if member is not before:
            before, text = member, _text_of(member, encoded)
        # No character of a key has to be escaped in JSON.
        pieces += (opening, key, text)
        opening = ',\n"'
        if len(pieces) > _MOST_PIECES:
            parts.append("".join(pieces).encode("utf-8"))
            pieces = []
    pieces.append("\n}\n")
    last = "".join(pieces).encode("utf-8")
    return b"".join(parts + [last]) if parts else last


def _is_text_map(value: object) -> bool:
    if not isinstance(value, dict):
        return False
    for name in value:
        if not isinstance(name, str) or not isinstance(value[name], str):
            return False
    return True


def _member_from_json(fields: object) -> "Member | None":
    """Parse one member; return None if it is malformed."""
    if not isinstance(fields, dict):
        return None
    texts: "dict[str, str]" = {}
    for name in _TEXTS:
        value = fields.get(name)
        if value is not None and not isinstance(value, str):
            return None
        if value is not None:
            texts[name] = value
    metadata = fields.get("metadata", {})
    if "requested" not in texts or not _is_text_map(metadata):
        return None
    wanted = {
        ACTIVE: ("version", "arn", "resolved_at"),
        YANKED: ("version", "arn", "resolved_at"),
        MISSING: ("error",),
        UNAVAILABLE: ("error",),
    }.get(texts.get("status", ""))
    if wanted is None:
        return None
    for name in wanted:
        if name not in texts:
            return None
    return Member(metadata=metadata, **texts)


def parse(data: bytes) -> "dict[str, Member]":
    """Parse a services file; return its well-formed members by key.

    Raises:
        ValueError: It is not a complete JSON object.
    """
    document = strict_json.loads(data)
    if not isinstance(document, dict):
        raise ValueError("it is not a JSON object")
    members: "dict[str, Member]" = {}
    for key in document:
        member = _member_from_json(document[key])
        if member is not None:
            members[key] = member
    return members


def answers_need(key: str, member: Member, need: "Need") -> bool:
    """Return whether *member*, which an earlier run wrote under *key*, answers *need*."""
    return (
        member.is_answered
        and key == need.key
        and (member.service or key) == need.service
        and member.requested == need.selector.requested
    )
