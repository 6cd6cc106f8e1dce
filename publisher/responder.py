"""Sends responses to CloudFormation: a JSON document, with PUT to the request's ResponseURL."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException

from publisher.deadline import OutOfTimeError
from publisher.events import StackRequest
from publisher.ledger import RequestResult

# CloudFormation rejects a larger response ("Custom resource response objects").
_MAX_BYTES = 4096
_CUT = " ..."
_TIMEOUT_S = 5
_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 3.0


class ResponseNotSentError(Exception):
    """CloudFormation did not accept the response in time."""

    def __init__(self, reason: str) -> None:
        """Set the message with the last reason."""
        super().__init__(f"CloudFormation did not accept the response: {reason}")


def render_response(request: StackRequest, result: RequestResult) -> bytes:
    """Return the response's body; the reason is truncated if the response would be too large."""
    reason = result.reason
    while True:
        document = {
            "Status": "SUCCESS" if result.is_success else "FAILED",
            "Reason": reason,
            "PhysicalResourceId": result.physical_id,
            "StackId": request.resource.stack_id,
            "RequestId": request.request_id,
            "LogicalResourceId": request.resource.logical_id,
            "Data": dict(result.data),
        }
        body = json.dumps(document).encode()
        if len(body) <= _MAX_BYTES or len(reason) <= len(_CUT):
            return body
        reason = reason[: len(reason) * 3 // 4 - len(_CUT)] + _CUT


class Responder:
    """Sends responses, with retries until one is accepted."""

    def __init__(self, sleep: Callable[[float], None]) -> None:
        """Set *sleep*, which waits, or raises an `OutOfTimeError` if no time is left."""
        self._sleep = sleep

    def send(self, request: StackRequest, result: RequestResult) -> None:
        """Send a response.

        Raises:
            ResponseNotSentError: It was not accepted in time.
        """
        body = render_response(request, result)
        pause_s = _FIRST_PAUSE_S
        while True:
            reason = _put(request.response_url, body)
            if reason is None:
                return
            try:
                self._sleep(pause_s)
            except OutOfTimeError as error:
                raise ResponseNotSentError(reason) from error
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)


def _put(url: str, body: bytes) -> str | None:
    """Send a body once; return the reason if it was not accepted."""
    # The URL's signature requires an empty content type.
    headers = {"Content-Type": "", "Content-Length": str(len(body))}
    request = urllib.request.Request(url, data=body, headers=headers, method="PUT")  # noqa: S310  # parse_event lets http and https through
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S):  # noqa: S310  # likewise
            return None
    except urllib.error.HTTPError as error:
        with error:
            return f"status {error.code}"
    except (OSError, HTTPException) as error:
        return str(error) or type(error).__name__
