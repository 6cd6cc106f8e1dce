"""Run the vectors; print each case that fails, and a count.

Runs on MicroPython and CPython.

Usage: run_vectors.py FOLDER, with the packages on the path.
"""

# ruff: noqa: B905, FBT003, PTH123  # MicroPython has neither `strict` nor pathlib; checks are of values
import json
import sys

from registry_model import services_file, strict_json
from registry_model.index_layout import Answer, answer_from_item, answer_to_item
from registry_model.needs import NeedsError, parse_needs
from registry_model.version import Version, VersionError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FAILURES: "list[str]" = []
COUNT = [0]


def check(what: str, expected: object, seen: object) -> None:
    """Compare, and record a difference."""
    COUNT[0] += 1
    if expected != seen:
        FAILURES.append(f"{what}: expected {expected!r}, got {seen!r}")


def load(folder: str, name: str) -> "Any":
    """Read a file of vectors."""
    with open(folder + "/" + name, "rb") as file:
        return strict_json.loads(file.read())


def check_refused(text: str, reason: str) -> None:
    """Parse a malformed version, and compare the message's reason."""
    try:
        Version.parse(text)
        check(text, "refused", "taken")
    except VersionError as error:
        check(text, True, reason in str(error) or str(error))


def run_versions(vectors: "Any") -> None:
    """Parse, format and compare versions."""
    reference = vectors["reference"]
    for text in vectors["valid"] + reference["valid"]:
        check(text, text, str(Version.parse(text)))
    for case in vectors["invalid"] + reference["valid_but_not_taken"]:
        check_refused(case["text"], case["reason"])
    for text in reference["invalid"]:
        check_refused(text, "is not a version: ")
    for chain in [vectors["ascending"]] + reference["precedence"]:
        run_ascending([Version.parse(text) for text in chain])


def run_ascending(ascending: "list[Version]") -> None:
    """Compare each version with each."""
    for low in range(len(ascending)):
        for high in range(len(ascending)):
            one, other = ascending[low], ascending[high]
            check(f"{one} < {other}", low < high, one < other)
            check(f"{one} == {other}", low == high, one == other)
            check(f"{one} >= {other}", low >= high, one >= other)


def run_needs(vectors: "Any") -> None:
    """Parse needs, and compare their faults."""
    for case in vectors["good"]:
        seen = [
            {
                "key": need.key,
                "service": need.service,
                "requested": need.selector.requested,
                "index": need.selector.index_selector,
                "minimum": None if need.selector.minimum is None else str(need.selector.minimum),
            }
            for need in parse_needs(case["text"])
        ]
        check(case["text"], case["needs"], seen)
    for case in vectors["bad"]:
        try:
            parse_needs(case["text"])
            check(case["text"], "refused", "taken")
        except NeedsError as error:
            check(case["text"], len(case["faults"]), len(error.faults))
            for wanted, fault in zip(case["faults"], error.faults):
                check(case["text"], wanted["position"], fault.position)
                check(case["text"], wanted["text"], fault.text)
                check(case["text"], True, wanted["reason"] in fault.reason or fault.reason)


def run_json(vectors: "Any") -> None:
    """Parse whole documents, and check that others are refused."""
    for case in vectors["whole"]:
        check(case["text"], case["value"], strict_json.loads(case["text"].encode()))
    for text in vectors["broken"]:
        try:
            strict_json.loads(text.encode())
            check(text, "refused", "taken")
        except ValueError:
            check(text, True, True)
    for text in vectors["texts"]:
        check(text, text, json.loads(strict_json.dumps(text)))


def run_members(vectors: "Any") -> None:
    """Render members, and parse them back."""
    for case in vectors["members"]:
        answer = answer_from_item(case["item"]) if case["item"] else None
        (need,) = parse_needs(case["need"])
        member = services_file.member_for(need, answer, "2026-01-01T00:00:00Z")
        document = services_file.render([(need.key, member)])
        check(case["need"], case["member"], json.loads(document)[need.key])
        again = services_file.parse(document)[need.key]
        check(case["need"], True, again.has_same_answer(member))
        check(case["need"], True, services_file.answers_need(need.key, again, need))
        if answer is not None:
            item = answer_to_item("users", "latest", answer)
            check(case["need"], case["item"], {name: item[name] for name in case["item"]})
    check("copies", 3, answer_from_item(answer_to_item("u", "latest", _copied())).copies)


def _copied() -> Answer:
    return Answer(version="1.0.0", arn="a", status="active", revision=1, updated_at="t", copies=3)


def main(folder: str) -> None:
    """Run all vectors."""
    run_versions(load(folder, "versions.json"))
    run_needs(load(folder, "needs.json"))
    run_json(load(folder, "documents.json"))
    run_members(load(folder, "documents.json"))
    for failure in FAILURES:
        print(failure)
    print(f"{COUNT[0]} checks, {len(FAILURES)} failed")


main(sys.argv[1])
