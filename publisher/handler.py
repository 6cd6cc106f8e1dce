"""The Lambda function behind `Custom::ServiceVersion`: composes, answers, and watches the time."""

import os
import time
from typing import Any

import boto3
from aws_lambda_powertools.logging import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config

from publisher.cloudformation import CloudFormationStacks
from publisher.deadline import Deadline, OutOfTimeError, watchdog
from publisher.dynamo_ledger import DynamoLedger
from publisher.events import StackRequest, TerraformRequest, parse_event
from publisher.ledger import LedgerError, RequestResult
from publisher.operations import Publications
from publisher.registry_access import RegistryAccess
from publisher.resource import (
    EXPECTED_ERRORS,
    StackResources,
    describe_failure,
    handle_terraform,
    physical_id_of,
)
from publisher.responder import Responder
from publisher.settings import PublisherSettings
from registry_client.client import RegistryClient
from registry_client.signed_http import SignedHttp

logger = Logger()

# What the watchdog needs: to write the result, and to send it several times.
_MARGIN_S = 20.0
# What a response needs to be sent.
_SENDING_MARGIN_S = 2.0
_REGISTRY_TIMEOUT_S = 12
# The deadline ends the attempts.
_REGISTRY_ATTEMPTS = 1000
_CLIENT = Config(
    connect_timeout=1, read_timeout=3, retries={"mode": "standard", "total_max_attempts": 4}
)


class PublishFailedError(Exception):
    """A publish failed; Terraform shows the message."""


class Publisher:
    """Carries out what the function is invoked for."""

    def __init__(self, settings: PublisherSettings) -> None:
        """Make the clients."""
        self._settings = settings
        self._session = boto3.Session()
        self._ledger = DynamoLedger(
            self._session.client("dynamodb", config=_CLIENT),
            settings.ledger_table,
            clock=time.time,
        )
        self._stacks = CloudFormationStacks(self._session.client("cloudformation", config=_CLIENT))

    def handle(self, event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        """Carry out an event; return the result, which Terraform reads.

        Raises:
            PublishFailedError: Terraform's request failed.
            ResponseNotSentError: CloudFormation did not accept the response: Lambda invokes the
                function again, and the same response is sent again.
        """

        def remaining_s() -> float:
            return context.get_remaining_time_in_millis() / 1000

        request = parse_event(event)
        work = Deadline(remaining_s, margin_s=_MARGIN_S, sleep=time.sleep)
        if isinstance(request, TerraformRequest):
            return self._handle_terraform(request, context.aws_request_id, work)
        sending = Deadline(remaining_s, margin_s=_SENDING_MARGIN_S, sleep=time.sleep)
        self._handle_stack(request, work, Responder(sending.sleep))
        return {}

    def _handle_stack(self, request: StackRequest, work: Deadline, responder: Responder) -> None:
        def give_up() -> None:
            logger.error("the watchdog ends a request", physical_id=request.physical_id)
            responder.send(request, self._recorded(request, _failed(request, OutOfTimeError())))

        with watchdog(work.left_s(), give_up):
            result = self._recorded(request, self._result(request, work))
        responder.send(request, result)
        logger.info(
            "request answered",
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
            logger.exception("request failed")
            fault = f"a fault of the publisher's own, see its log: {type(error).__name__}"
            return _failed(request, PublishFailedError(fault))

    def _recorded(self, request: StackRequest, result: RequestResult) -> RequestResult:
        """Return the result that stands: the first one that was written for the request."""
        try:
            return self._ledger.record_result(request.key, result)
        except LedgerError:
            logger.exception("result not recorded")
            return result

    def _handle_terraform(
        self, request: TerraformRequest, request_id: str, work: Deadline
    ) -> dict[str, Any]:
        try:
            result = handle_terraform(request, request_id, self._publications(work))
        except EXPECTED_ERRORS as error:
            logger.warning("request failed", kind=request.kind.value, reason=str(error))
            raise PublishFailedError(describe_failure(error)) from error
        logger.info("request answered", kind=request.kind.value, result=result)
        return result

    def _publications(self, work: Deadline) -> Publications:
        http = SignedHttp(
            self._settings.registry_url,
            credentials=self._session.get_credentials(),
            region=self._settings.region,
            timeout_s=_REGISTRY_TIMEOUT_S,
            max_attempts=_REGISTRY_ATTEMPTS,
            sleep=work.sleep,
        )
        return Publications(
            RegistryAccess(RegistryClient(http), work.check),
            self._ledger,
            allowed_names=self._settings.allowed_names,
            sleep=work.sleep,
        )


def _failed(request: StackRequest, error: Exception) -> RequestResult:
    return RequestResult(
        is_success=False,
        physical_id=physical_id_of(request),
        reason=describe_failure(error),
        data={},
    )


_publisher = Publisher(PublisherSettings.from_env(os.environ.get))


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Carry out a request of CloudFormation's or Terraform's."""
    return _publisher.handle(event, context)
