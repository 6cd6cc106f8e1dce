"""The Lambda function behind `Custom::ServiceVersion`: creates its parts."""

import logging
import os
import time
from typing import Any

import boto3
from aws_lambda_powertools.logging import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config

from publisher.cloudformation import CloudFormationStacks
from publisher.deadline import Deadline
from publisher.dynamo_ledger import DynamoLedger
from publisher.invocation import Invocations
from publisher.operations import Publications
from publisher.registry_access import RegistryAccess
from publisher.settings import PublisherSettings
from registry_client.client import RegistryClient
from registry_client.signed_http import SignedHttp

logger = Logger()
# At DEBUG, botocore logs signed headers, session tokens and whole responses.
logging.getLogger("botocore").setLevel(logging.INFO)

_REGISTRY_TIMEOUT_S = 12
# In effect unlimited: the deadline ends the attempts.
_REGISTRY_ATTEMPTS = 1000
_CLIENT = Config(
    connect_timeout=1, read_timeout=3, retries={"mode": "standard", "total_max_attempts": 4}
)


def _compose() -> Invocations:
    settings = PublisherSettings.from_env(os.environ.get)
    session = boto3.Session()
    ledger = DynamoLedger(
        session.client("dynamodb", config=_CLIENT), settings.ledger_table, clock=time.time
    )

    def publications(work: Deadline) -> Publications:
        http = SignedHttp(
            settings.registry_url,
            credentials=session.get_credentials(),
            region=settings.region,
            timeout_s=_REGISTRY_TIMEOUT_S,
            max_attempts=_REGISTRY_ATTEMPTS,
            sleep=work.sleep,
        )
        return Publications(
            RegistryAccess(RegistryClient(http), work.check),
            ledger,
            allowed_names=settings.allowed_names,
            sleep=work.sleep,
        )

    return Invocations(
        ledger=ledger,
        stacks=CloudFormationStacks(session.client("cloudformation", config=_CLIENT)),
        publications=publications,
        logger=logger,
    )


_invocations = _compose()


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Handle a request of CloudFormation or Terraform."""
    return _invocations.handle(event, context)
