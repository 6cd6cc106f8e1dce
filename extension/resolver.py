"""Keeps the last good answer of each need, and makes the services file from them.

Portable: runs under MicroPython and CPython.
"""

from extension.log import timestamp
from registry_model.index_layout import YANKED, partition_key
from registry_model.services_file import (
    MISSING,
    answers_need,
    member_for,
    render,
    unavailable_member,
    unavailable_members,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from extension.index_reader import ChooseOthers, Reading
    from extension.log import Log
    from registry_model.index_layout import Answer
    from registry_model.needs import Need
    from registry_model.services_file import Member

    Key = tuple[str, str]

    class Index(Protocol):
        """The index table, as the resolver needs it."""

        def read(
            self, keys: "list[Key]", deadline: float, choose_others: "ChooseOthers | None" = None
        ) -> Reading:
            """Read the items of distinct keys; faults are in the result, not raised."""


# The highest guess of the number of copies: with a higher one, most reads would find no item.
_MOST_GUESSED_COPIES = 32
NOT_ASKED = "the registry has not answered yet"


def choose_copy(copies: "int | None", refusals: int, random_number: float) -> int:
    """Return the number of the copy to read; 0 is the original.

    Args:
        copies: The number of copies; None if no item has been read yet.
        refusals: How many times in a row the table has refused.
        random_number: A number from 0 up to 1.
    """
    if copies is None:
        # If many cold starts at once read the original, its partition throttles them. Guess that
        # there are copies, twice as many after each refusal. A wrong guess costs one read.
        copies = min(2**refusals, _MOST_GUESSED_COPIES)
    return int(random_number * copies)


class CheckResult:
    """The result of one resolve or check.

    Attributes:
        has_changed: Whether at least one answer has changed.
        faults: The reasons why needs were not answered, by key; empty if all were answered.
    """

    __slots__ = ("faults", "has_changed")

    def __init__(self, *, has_changed: bool, faults: "dict[str, str]") -> None:
        """Set the parts."""
        self.has_changed = has_changed
        self.faults = faults


class Resolver:
    """Keeps the last good answer of each need."""

    def __init__(
        self,
        needs: "list[Need]",
        index: "Index",
        log: "Log",
        *,
        wall: "Callable[[], float]",
        random: "Callable[[], float]",
    ) -> None:
        """Set the needs, the index, the clock and the random source; nothing is known yet."""
        self._needs = needs
        self._index = index
        self._log = log
        self._wall = wall
        self._random = random
        self._members = unavailable_members(needs, NOT_ASKED)
        self._accepted: "dict[Key, Answer]" = {}
        self._doubted: "dict[Key, int]" = {}
        self._logged: "dict[str, str]" = {}

    def adopt(self, leftover: "dict[str, Member]") -> bool:
        """Adopt an earlier run's members; return whether they answer every need."""
        for need in self._needs:
            member = leftover.get(need.key)
            if member is not None and answers_need(need.key, member, need):
                self._members[need.key] = member
        for need in self._needs:
            if not self._members[need.key].is_answered:
                return False
        return True

    def document(self) -> bytes:
        """Return the services file with the present answers."""
        return render([(need.key, self._members[need.key]) for need in self._needs])

    def unresolved(self, result: CheckResult) -> "list[str]":
        """Return the needs without an `active` or `yanked` answer in *result*, with reasons."""
        found = []
        for need in self._needs:
            member = self._members[need.key]
            if need.key in result.faults:
                found.append(f"{need.key}: {result.faults[need.key]}")
            elif not member.is_resolved:
                found.append(f"{need.key}: {member.error}")
        return found

    def resolve(self, deadline: float) -> CheckResult:
        """Read the answers of all needs, each distinct key once.

        Args:
            deadline: When to give up, on the monotonic clock.
        """
        # Imported here, since the function's start waits for the imports at the top.
        from registry_model.version import VersionError

        wanted: "dict[Key, Key]" = {}
        for need in self._needs:
            key = (need.service, need.selector.index_selector)
            if key not in wanted:
                wanted[key] = self._key_to_ask(key, 0)
        answers, faults = self._read(wanted, deadline)
        has_changed = False
        missed: "dict[str, str]" = {}
        for need in self._needs:
            key = (need.service, need.selector.index_selector)
            if key in faults:
                missed[need.key] = faults[key]
                self._keep(need, faults[key])
                continue
            try:
                has_changed = self._update(need, answers[key]) or has_changed
            except VersionError as error:
                missed[need.key] = f"the index item is malformed: {error}"
                self._keep(need, missed[need.key])
        return CheckResult(has_changed=has_changed, faults=missed)

    def nothing_answered(self, fault: str) -> CheckResult:
        """Record that a check failed for every need because of *fault*; return its result."""
        members = unavailable_members(self._needs, fault)
        for key in members:
            if not self._members[key].is_answered:
                self._members[key] = members[key]
        return CheckResult(has_changed=False, faults={need.key: fault for need in self._needs})

    def _key_to_ask(self, key: "Key", refusals: int) -> "Key":
        """Return the key to read an item with: its own, or a copy's."""
        held = self._accepted.get(key)
        if held is not None and held.copies == 1:
            return key
        copy = choose_copy(None if held is None else held.copies, refusals, self._random())
        return partition_key(key[0], copy), key[1]

    def _read(
        self, wanted: "dict[Key, Key]", deadline: float
    ) -> "tuple[dict[Key, Answer | None], dict[Key, str]]":
        """Read the items, from copies if there are any; then the originals of missing copies."""

        def choose_keys(refused: "list[Key]", refusals: int) -> "list[Key]":
            refused_keys = [key for key, asked in wanted.items() if asked in refused]
            for key in refused_keys:
                wanted[key] = self._key_to_ask(key, refusals)
            return [wanted[key] for key in refused_keys]

        reading = self._index.read(list(wanted.values()), deadline, choose_keys)
        missing = [
            key
            for key, asked in wanted.items()
            if asked[0] != key[0] and asked in reading.answers and reading.answers[asked] is None
        ]
        again = self._index.read(missing, deadline) if missing else None
        answers: "dict[Key, Answer | None]" = {}
        faults: "dict[Key, str]" = {}
        for key, asked in wanted.items():
            source, at = (again, key) if again is not None and key in missing else (reading, asked)
            if at in source.answers:
                answers[key] = self._accept(key, source.answers[at])
            else:
                faults[key] = source.faults[at]
        return answers, faults

    def _accept(self, key: "Key", answer: "Answer | None") -> "Answer | None":
        """Return the answer to use; an older one is used only if a second check repeats it."""
        held = self._accepted.get(key)
        if answer is not None and held is not None and answer.revision < held.revision:
            doubted = self._doubted.get(key)
            if doubted is None or answer.revision < doubted:
                self._doubted[key] = answer.revision
                return held
        self._doubted.pop(key, None)
        if answer is None:
            self._accepted.pop(key, None)
        else:
            self._accepted[key] = answer
        return answer

    def _keep(self, need: "Need", fault: str) -> None:
        """Keep the last good answer of a need; if it has none, record *fault*."""
        if not self._members[need.key].is_answered:
            self._members[need.key] = unavailable_member(need, fault)

    def _update(self, need: "Need", answer: "Answer | None") -> bool:
        """Set the answer of a need; return whether it has changed."""
        before = self._members[need.key]
        after = member_for(need, answer, timestamp(self._wall()))
        self._log_change(need, before, after)
        if after.has_same_answer(before):
            return False
        self._members[need.key] = after
        return True

    def _log_change(self, need: "Need", before: "Member", after: "Member") -> None:
        """Log a changed answer, and when `missing` or `yanked` begins and ends."""
        logged = self._logged.get(need.key, "")
        state = after.status if after.status in (MISSING, YANKED) else ""
        facts = {"key": need.key, "service": need.service, "requested": need.selector.requested}
        if state != logged:
            self._logged[need.key] = state
            if state == MISSING:
                self._log.warn("service missing", error=after.error, **facts)
            elif state == YANKED:
                self._log.warn(
                    "version yanked", version=after.version, reason=after.reason or "none", **facts
                )
            else:
                self._log.warn("service resolved again", version=after.version, **facts)
        if before.is_answered and after.is_resolved and not after.has_same_answer(before):
            self._log.info(
                "answer changed",
                version=after.version,
                arn=after.arn,
                before=before.version or before.status,
                **facts,
            )
