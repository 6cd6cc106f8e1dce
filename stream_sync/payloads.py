"""Parses the payloads of invocations."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from registry_model.needs import name_fault
from stream_sync.checkpoint import Checkpoint


class RebuildAction(StrEnum):
    """Whether to correct wrong index items, or only to report them."""

    REBUILD = "rebuild"
    VERIFY = "verify"


class RequestError(ValueError):
    """A payload is malformed; the message has the fault, and what is expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RebuildRequest:
    """A rebuild or a verification.

    Attributes:
        service: The service to rebuild or verify, or None for all.
        checkpoint: Where to begin.
        seconds: The longest time to work; None for the rest of the function's timeout.
    """

    action: RebuildAction
    service: str | None = None
    checkpoint: Checkpoint | None = None
    seconds: float | None = None

    @classmethod
    def parse(cls, payload: Any) -> "RebuildRequest":  # noqa: ANN401  # any JSON
        """Parse an invocation's payload.

        Raises:
            RequestError, CheckpointError: It is malformed.
        """
        if not isinstance(payload, dict) or payload.get("action") not in list(RebuildAction):
            message = f'expected {{"action": "rebuild"}} or {{"action": "verify"}}, got {payload!r}'
            raise RequestError(message)
        _refuse_unknown(payload, {"action", "service", "cursor", "seconds"})
        service = payload.get("service")
        if service is not None and (not isinstance(service, str) or name_fault(service)):
            message = f"service: {service!r} is not a service's name"
            raise RequestError(message)
        cursor = _cursor(payload)
        return cls(
            action=RebuildAction(payload["action"]),
            service=service,
            checkpoint=None if cursor is None else Checkpoint.from_cursor(cursor),
            seconds=_seconds(payload),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreRequest:
    """A restore of the versions table.

    Attributes:
        source: The name or the ARN of the table to restore from.
        cursor: Where to continue; None to begin.
        seconds: The longest time to work; None for the rest of the function's timeout.
    """

    source: str
    cursor: str | None = None
    seconds: float | None = None

    @classmethod
    def parse(cls, payload: Any) -> "RestoreRequest":  # noqa: ANN401  # any JSON
        """Parse an invocation's payload.

        Raises:
            RequestError: It is malformed.
        """
        if not isinstance(payload, dict) or payload.get("action") != "restore":
            message = f'expected {{"action": "restore", "from": TABLE}}, got {payload!r}'
            raise RequestError(message)
        _refuse_unknown(payload, {"action", "from", "cursor", "seconds"})
        source = payload.get("from")
        if not isinstance(source, str) or not source:
            message = f"from: expected a table's name or ARN, got {source!r}"
            raise RequestError(message)
        return cls(source=source, cursor=_cursor(payload), seconds=_seconds(payload))


def _refuse_unknown(payload: dict[str, Any], known: set[str]) -> None:
    unknown = sorted(set(payload) - known)
    if unknown:
        message = f"unknown: {', '.join(unknown)}; expected some of {', '.join(sorted(known))}"
        raise RequestError(message)


def _cursor(payload: dict[str, Any]) -> str | None:
    cursor = payload.get("cursor")
    if cursor is not None and not isinstance(cursor, str):
        message = f"cursor: expected a string, got {cursor!r}"
        raise RequestError(message)
    return cursor


def _seconds(payload: dict[str, Any]) -> float | None:
    seconds = payload.get("seconds")
    if seconds is not None and (type(seconds) not in (int, float) or not seconds > 0):
        message = f"seconds: expected a number above 0, got {seconds!r}"
        raise RequestError(message)
    return seconds
