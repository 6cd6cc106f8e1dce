"""Sends change events to an EventBridge bus, and to a queue if the bus fails.

Source: EventBridge API Reference, "PutEvents": a call has up to ten entries, and each of them can
fail although the call succeeds.
"""

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

    class EventBridgeClient(Protocol):
        """The part of boto3's EventBridge client that is used."""

        def put_events(self, *, Entries: Sequence[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803  # boto3's
            """Send up to ten events."""


_AT_ONCE = 10
_ATTEMPTS = 3
_FIRST_PAUSE_S = 0.1


class EventBus:
    """An EventBridge bus, and a queue for the events that it does not accept."""

    def __init__(
        self,
        events: "EventBridgeClient",
        queues: "SQSClient",
        *,
        name: str,
        queue_url: str,
        sleep: Callable[[float], None],
        random: Callable[[], float],
    ) -> None:
        """Use the clients of EventBridge and SQS.

        Args:
            name: The event bus's name or ARN.
            sleep: Waits for a number of seconds.
            random: Returns numbers from 0 up to 1.
        """
        self._events = events
        self._queues = queues
        self._name = name
        self._queue_url = queue_url
        self._sleep = sleep
        self._random = random

    @property
    def name(self) -> str:
        """The event bus's name or ARN."""
        return self._name

    def send(self, entries: Sequence[dict[str, Any]]) -> tuple[list[str | None], int]:
        """Send entries of `PutEvents`; queue those that the bus does not accept.

        Returns:
            For each entry None, or the reason why neither bus nor queue accepted it; and the number
            of queued entries.
        """
        faults: list[str | None] = [None] * len(entries)
        queued = 0
        for start in range(0, len(entries), _AT_ONCE):
            chunk = list(range(start, min(start + _AT_ONCE, len(entries))))
            for position, reason in self._put(entries, chunk).items():
                faults[position] = self._queue(entries[position], reason)
                queued += faults[position] is None
        return faults, queued

    def _put(self, entries: Sequence[dict[str, Any]], wanted: list[int]) -> dict[int, str]:
        """Put entries, with retries; return the reasons of those not accepted, by position."""
        failed: dict[int, str] = {}
        for attempt in range(_ATTEMPTS):
            if attempt:
                self._sleep(_FIRST_PAUSE_S * 2**attempt * self._random())
            try:
                response = self._events.put_events(Entries=[entries[each] for each in wanted])
            except (BotoCoreError, ClientError) as error:
                failed = dict.fromkeys(wanted, str(error))
                continue
            failed = {
                position: f"{result['ErrorCode']}: {result.get('ErrorMessage', '')}"
                for position, result in zip(wanted, response["Entries"], strict=True)
                if "ErrorCode" in result
            }
            if not failed:
                break
            wanted = sorted(failed)
        return failed

    def _queue(self, entry: dict[str, Any], reason: str) -> str | None:
        """Put a complete entry into the queue; return the reason if that fails, otherwise None."""
        try:
            self._queues.send_message(
                QueueUrl=self._queue_url, MessageBody=json.dumps({"entry": entry, "error": reason})
            )
        except (BotoCoreError, ClientError) as error:
            return f"{reason}; the queue refused it, too: {error}"
        return None
