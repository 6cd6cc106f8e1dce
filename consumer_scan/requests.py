"""The scan function's events, parsed. No I/O.

- EventBridge's schedule (any event without `action`): scan the function's own account and Region.
- `{"action": "record", "account_id", "region", "consumers": [{"name", "needed", "arn"}…]}`: record
  what an operator's command line has found, in any account and Region.
- `{"action": "remove-gone", "account_id", "region", "present": [name…]}`: remove the scanned
  consumers of that account and Region that are not present. Sent only after a complete listing.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from consumer_scan.listing import FoundConsumer, Scope
from registry_model.needs import MAX_RECORDED_NEEDS, NeedsError, parse_needs

_ACCOUNT = re.compile(r"[0-9]{12}")
_REGION = re.compile(r"[a-z]{2,}(-[a-z0-9]+)+")
_CONSUMER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,255}")


class ScanRequestError(ValueError):
    """The event is not one of the above, or malformed; the message names the member."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordRequest:
    """Record these consumers."""

    scope: Scope
    consumers: tuple[FoundConsumer, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveGoneRequest:
    """Remove the scope's scanned consumers that are not in `present`."""

    scope: Scope
    present: frozenset[str]


def parse_request(event: Mapping[str, Any]) -> RecordRequest | RemoveGoneRequest | None:
    """Parse an event; return None for a scan of the function's own account and Region.

    Raises:
        ScanRequestError: A member is missing or malformed.
    """
    action = event.get("action")
    if action is None:
        return None
    if action not in ("record", "remove-gone"):
        message = f"'action' is {action!r}; it should be 'record' or 'remove-gone'"
        raise ScanRequestError(message)
    scope = Scope(
        account_id=_text(event, "account_id", _ACCOUNT), region=_text(event, "region", _REGION)
    )
    if action == "record":
        consumers = tuple(_consumer(each, scope) for each in _list(event, "consumers"))
        return RecordRequest(scope=scope, consumers=consumers)
    return RemoveGoneRequest(
        scope=scope, present=frozenset(str(each) for each in _list(event, "present"))
    )


def _list(event: Mapping[str, Any], member: str) -> list[Any]:
    value = event.get(member)
    if not isinstance(value, list):
        message = f"{member!r} should be a list"
        raise ScanRequestError(message)
    return value


def _text(event: Mapping[str, Any], member: str, form: re.Pattern[str]) -> str:
    value = event.get(member)
    if not isinstance(value, str) or not form.fullmatch(value):
        message = f"{member!r} is {value!r}; it should match {form.pattern}"
        raise ScanRequestError(message)
    return value


def _consumer(value: object, scope: Scope) -> FoundConsumer:
    if not isinstance(value, dict):
        message = "each of 'consumers' should be an object"
        raise ScanRequestError(message)
    name = _text(value, "name", _CONSUMER)
    if not name.startswith(scope.prefix):
        message = f"'name' is {name!r}; it should start with {scope.prefix!r}"
        raise ScanRequestError(message)
    needed, arn = value.get("needed"), value.get("arn")
    if not isinstance(needed, str) or not isinstance(arn, str):
        message = f"'needed' and 'arn' of {name!r} should be strings"
        raise ScanRequestError(message)
    try:
        count = len(parse_needs(needed))
    except NeedsError as error:
        message = f"'needed' of {name!r} is malformed: {error}"
        raise ScanRequestError(message) from error
    if count > MAX_RECORDED_NEEDS:
        message = f"{name!r} has {count:,} needs; {MAX_RECORDED_NEEDS:,} can be recorded"
        raise ScanRequestError(message)
    return FoundConsumer(name=name, needed=needed, arn=arn)
