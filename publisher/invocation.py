"""An invocation: handles a request once, and sends one result before the time is over."""

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from publisher.deadline import Deadline, OutOfTimeError, watchdog
from publisher.events import StackRequest, TerraformRequest, parse_event
from publisher.ledger import Ledger, LedgerError, RequestResult
from publisher.operations import Publications
from publisher.resource import (
    EXPECTED_ERRORS,
    StackResources,
    describe_failure,
    handle_terraform,
    physical_id_of,
)
from publisher.responder import Responder
from publisher.stacks import Stacks

if TYPE_CHECKING:
    from aws_lambda_powertools.logging import Logger
    from aws_lambda_powertools.utilities.typing import LambdaContext

# The watchdog's time, to write the result and to send it several times.
WORK_MARGIN_S = 20.0
# The time for one more attempt to send a response.
SENDING_MARGIN_S = 2.0


class PublishFailedError(Exception):
    """A request failed; Terraform shows the message."""


class Invocations:
    """Handles the function's invocations."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        stacks: Stacks,
        publications: Callable[[Deadline], Publications],
        logger: "Logger",
    ) -> None:
        """Set the parts; *publications* returns operations that end at a deadline."""
        self._ledger = ledger
        self._stacks = stacks
        self._publications = publications
        self._logger = logger

    def handle(self, event: Mapping[str, Any], context: "LambdaContext") -> dict[str, Any]:
        """Handle an event; return the result, which Terraform reads.

        Raises:
            EventError: The event is malformed.
            PublishFailedError: Terraform's request failed.
            ResponseNotSentError: CloudFormation did not accept the response. Lambda then retries
                the event, and the same response is sent again.
        """

        def remaining_s() -> float:
            return context.get_remaining_time_in_millis() / 1000

        request = parse_event(event)
        work = Deadline(remaining_s, margin_s=WORK_MARGIN_S, sleep=time.sleep)
        if isinstance(request, TerraformRequest):
            return self._handle_terraform(request, context.aws_request_id, work)
        sending = Deadline(remaining_s, margin_s=SENDING_MARGIN_S, sleep=time.sleep)
        self._handle_stack(request, work, Responder(sending.sleep))
        return {}

    def _handle_stack(self, request: StackRequest, work: Deadline, responder: Responder) -> None:
        def give_up() -> None:
            self._logger.error("request given up by the watchdog", request_id=request.request_id)
            responder.send(request, self._recorded(request, _failed(request, OutOfTimeError())))

        with watchdog(work.left_s(), give_up):
            result = self._recorded(request, self._result(request, work))
        responder.send(request, result)
        self._logger.info(
            "request served",
            kind=request.kind.value,
            stack=request.resource.stack_name,
            logical_id=request.resource.logical_id,
            physical_id=result.physical_id,
            is_success=result.is_success,
            reason=result.reason,
        )

    def _result(self, request: StackRequest, work: Deadline) -> RequestResult:
        try:
            known = self._ledger.result(request.key)
            if known is not None:
                return known
            resources = StackResources(publications=self._publications(work), stacks=self._stacks)
            return resources.handle(request)
        except EXPECTED_ERRORS as error:
            return _failed(request, error)
        except Exception as error:
            self._logger.exception("request failed")
            fault = f"a bug of the publisher, see its log: {type(error).__name__}"
            return _failed(request, PublishFailedError(fault))

    def _recorded(self, request: StackRequest, result: RequestResult) -> RequestResult:
        """Return the final result: the first one that was recorded for the request."""
        try:
            return self._ledger.record_result(request.key, result)
        except LedgerError:
            self._logger.exception("result not recorded")
            return result

    def _handle_terraform(
        self, request: TerraformRequest, request_id: str, work: Deadline
    ) -> dict[str, Any]:
        try:
            result = handle_terraform(request, request_id, self._publications(work))
        except EXPECTED_ERRORS as error:
            self._logger.warning("request failed", kind=request.kind.value, reason=str(error))
            raise PublishFailedError(describe_failure(error)) from error
        self._logger.info("request served", kind=request.kind.value, result=result)
        return result


def _failed(request: StackRequest, error: Exception) -> RequestResult:
    return RequestResult(
        is_success=False,
        physical_id=physical_id_of(request),
        reason=describe_failure(error),
        data={},
    )
