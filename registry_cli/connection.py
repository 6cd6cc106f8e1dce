"""The connection to the registry: the caller's AWS session, the stack, the address.

boto3 is imported on first use, to keep `--help` fast.
"""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from registry_cli.failures import USAGE, CommandError, Failure, did_you_mean, no_region
from registry_cli.settings import DEFAULT_STACK, STACK_VARIABLE, URL_VARIABLE, ConnectionOptions

if TYPE_CHECKING:
    import boto3
    from botocore.exceptions import ClientError

    from registry_client.address import DeployedApi
    from registry_client.client import RegistryClient

_URL_OUTPUT = "RegistryUrl"
# A function may work longer than the requested seconds, since it completes its last step.
_READ_TIMEOUT_S = 300
_ATTEMPTS = 5
# The errors that a function of the stack raises for an invalid payload.
_PAYLOAD_ERRORS = frozenset({"CheckpointError", "RequestError"})
_MAX_CANDIDATES = 500
_ALMOST_THE_SAME = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryStack:
    """The registry's CloudFormation stack.

    Attributes:
        partition: Its AWS partition.
        account_id: Its account.
    """

    name: str
    partition: str
    region: str
    account_id: str
    outputs: Mapping[str, str]
    parameters: Mapping[str, str]

    def output(self, name: str) -> str:
        """Return an output.

        Raises:
            CommandError: There is no output with this name.
        """
        if name not in self.outputs:
            raise CommandError(
                Failure(
                    what=f"the stack {self.name!r} is no registry: it has no output {name!r}",
                    where=f"{self.region}, account {self.account_id}",
                    way_out="name the registry's stack with --stack or SERVICE_REGISTRY_STACK",
                )
            )
        return self.outputs[name]


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiAddress:
    """The parts of a deployed API's ARN, for IAM policies."""

    partition: str
    region: str
    account_id: str
    api: str
    stage: str

    def arn(self, method_and_path: str) -> str:
        """Return the ARN for `execute-api:Invoke` on `GET/services/users`, for example."""
        return (
            f"arn:{self.partition}:execute-api:{self.region}:{self.account_id}:"
            f"{self.api}/{self.stage}/{method_and_path}"
        )


class Connection:
    """Finds the registry, and calls it with the caller's credentials.

    The session, the stack and the client are created on first use.
    """

    def __init__(self, options: ConnectionOptions, env: Mapping[str, str] = os.environ) -> None:
        """Set the options and the environment."""
        self.options = options
        self.env = env

    @cached_property
    def session(self) -> "boto3.Session":
        """The caller's session: boto3's credential chain, with --profile and --region."""
        import boto3

        # The AWS CLI reads AWS_REGION; boto3 reads only AWS_DEFAULT_REGION.
        region = self.options.region or self.env.get("AWS_REGION") or None
        return boto3.Session(profile_name=self.options.profile, region_name=region)

    def region_or_none(self) -> str | None:
        """Return the Region; None if none is set, or the profile does not exist."""
        from botocore.exceptions import BotoCoreError

        try:
            return self.session.region_name
        except BotoCoreError:
            return None

    def endpoint_url(self) -> str | None:
        """Return the endpoint to call instead of AWS's, such as an emulator's, or None."""
        return self.options.endpoint_url or self.env.get("AWS_ENDPOINT_URL") or None

    @property
    def region(self) -> str:
        """The Region.

        Raises:
            CommandError: No Region is set.
        """
        if not self.session.region_name:
            raise CommandError(no_region())
        return self.session.region_name

    def client(self, service: str, *, region: str | None = None, config: object = None) -> Any:  # noqa: ANN401  # boto3's clients have no common type
        """Return a client of an AWS service.

        Raises:
            CommandError: The endpoint's address is malformed.
        """
        from botocore.exceptions import BotoCoreError

        # boto3's type stubs accept only `Literal` names; here the name is a `str`.
        make: Any = self.session.client
        try:
            return make(
                service,
                region_name=region or self.region,
                endpoint_url=self.options.endpoint_url,
                config=config,
            )
        except BotoCoreError:
            raise
        except ValueError as error:
            raise CommandError(
                Failure(
                    what=f"the address of AWS is malformed: {error}",
                    way_out="give --endpoint-url or AWS_ENDPOINT_URL as http://HOST:PORT; for AWS "
                    "itself, leave both out",
                    status=USAGE,
                )
            ) from error

    @property
    def stack_name(self) -> str:
        """The stack's name."""
        return self.options.stack or self.env.get(STACK_VARIABLE) or DEFAULT_STACK

    @cached_property
    def stack(self) -> RegistryStack:
        """The registry's stack.

        Raises:
            CommandError: There is no stack with this name in the Region.
        """
        from botocore.exceptions import ClientError

        client = self.client("cloudformation")
        try:
            (found,) = client.describe_stacks(StackName=self.stack_name)["Stacks"]
        except ClientError as error:
            if not _is_missing(error):
                raise
            raise CommandError(self._no_stack(client)) from error
        _, partition, _, region, account_id, _ = found["StackId"].split(":", 5)
        return RegistryStack(
            name=self.stack_name,
            partition=partition,
            region=region,
            account_id=account_id,
            outputs={each["OutputKey"]: each["OutputValue"] for each in found.get("Outputs", [])},
            parameters={
                each["ParameterKey"]: each.get("ParameterValue", "")
                for each in found.get("Parameters", [])
            },
        )

    def stack_resource(self, logical_id: str) -> str:
        """Return the physical id of one of the stack's resources.

        Raises:
            CommandError: There is no such stack, or it has no such resource.
        """
        from botocore.exceptions import ClientError

        client = self.client("cloudformation")
        try:
            found = client.describe_stack_resource(
                StackName=self.stack_name, LogicalResourceId=logical_id
            )
        except ClientError as error:
            if not _is_missing(error):
                raise
            if logical_id not in str(error):
                raise CommandError(self._no_stack(client)) from error
            raise CommandError(
                Failure(
                    what=f"the stack {self.stack_name!r} has no {logical_id}",
                    where=self.region,
                    way_out=f"name the registry's stack with --stack or {STACK_VARIABLE}, or "
                    "deploy the registry's current version to it",
                )
            ) from error
        physical_id: str = found["StackResourceDetail"]["PhysicalResourceId"]
        return physical_id

    def function(self, logical_id: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
        """Return a callable that invokes one of the stack's functions with a payload.

        Raises:
            CommandError: There is no such stack or function. The callable also raises it, if the
                function fails.
        """
        from botocore.config import Config

        name = self.stack_resource(logical_id)
        retries: Any = {"mode": "standard", "total_max_attempts": _ATTEMPTS}
        client = self.client("lambda", config=Config(read_timeout=_READ_TIMEOUT_S, retries=retries))

        def invoke(payload: dict[str, Any]) -> dict[str, Any]:
            response = client.invoke(FunctionName=name, Payload=json.dumps(payload).encode())
            document: dict[str, Any] = json.load(response["Payload"])
            if "FunctionError" in response:
                kind, text = document.get("errorType"), document.get("errorMessage", document)
                if kind in _PAYLOAD_ERRORS:
                    raise CommandError(
                        Failure(what=text, way_out="correct it and repeat", status=USAGE)
                    )
                raise CommandError(
                    Failure(
                        what=f"{kind}: {text}",
                        where=f"the function {name}",
                        way_out="read the function's log",
                    )
                )
            return document

        return invoke

    def _no_stack(self, client: Any) -> Failure:  # noqa: ANN401  # boto3's
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            registries = [
                each["StackName"]
                for page in client.get_paginator("describe_stacks").paginate()
                for each in page["Stacks"]
                if any(output["OutputKey"] == _URL_OUTPUT for output in each.get("Outputs", []))
            ]
        except (BotoCoreError, ClientError):
            registries = []
        here = f"registries in {self.region}: {', '.join(registries)}; " if registries else ""
        return Failure(
            what=f"there is no registry stack {self.stack_name!r} in {self.region}",
            way_out=f"{here}name another stack with --stack or {STACK_VARIABLE}, or its Region "
            f"with --region; or give the registry's address with --url or {URL_VARIABLE}",
        )

    def registry_url(self) -> str:
        """Return the registry's address.

        Raises:
            CommandError: It is malformed, or there is no such stack.
        """
        url = self.options.url or self.env.get(URL_VARIABLE)
        if not url:
            return self._url_of_stack()
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise CommandError(
                Failure(
                    what=f"{url!r} is not an address of a registry",
                    way_out="give the stack's output RegistryUrl: https://….amazonaws.com/v1",
                    status=USAGE,
                )
            )
        return url.rstrip("/")

    def _url_of_stack(self) -> str:
        url = self.stack.output(_URL_OUTPUT).rstrip("/")
        endpoint = self.endpoint_url()
        found = _api_of(url)
        # An emulator serves deployed APIs at its own address.
        return found.emulated_at(endpoint) if endpoint and found else url

    @cached_property
    def _registry(self) -> "RegistryClient":
        from registry_client.client import RegistryClient
        from registry_client.signed_http import SignedHttp

        url = self.registry_url()
        if self.options.stack and not self.options.url and self.env.get(URL_VARIABLE):
            click.echo(
                f"Warning: {URL_VARIABLE} is set, so the registry is {url}; --stack does not "
                "choose it",
                err=True,
            )
        found = _api_of(url)
        http = SignedHttp(
            url,
            credentials=self.session.get_credentials(),
            region=(found and found.region) or self.region,
        )
        return RegistryClient(http)

    def registry(self) -> "RegistryClient":
        """Return a client of the registry.

        Raises:
            CommandError: The registry was not found.
        """
        return self._registry

    @cached_property
    def account(self) -> tuple[str, str]:
        """The caller's partition and account."""
        arn = self.client("sts").get_caller_identity()["Arn"]
        _, partition, _, _, account_id, _ = arn.split(":", 5)
        return partition, account_id

    def api_address(self) -> ApiAddress:
        """Return the parts of the API's ARN, for IAM policies.

        Raises:
            CommandError: The registry's address does not contain the API's id.
        """
        if not (self.options.url or self.env.get(URL_VARIABLE)):
            stack = self.stack
            found = _api_of(stack.output(_URL_OUTPUT))
            partition, account_id, region = stack.partition, stack.account_id, stack.region
        else:
            found = _api_of(self.registry_url())
            partition, account_id = self.account
            region = ""
        if found is None:
            raise CommandError(
                Failure(
                    what=f"{self.registry_url()} does not have the API's id",
                    way_out="name the registry's stack (--stack) in place of its address",
                    status=USAGE,
                )
            )
        return ApiAddress(
            partition=partition,
            region=found.region or region or self.region,
            account_id=account_id,
            api=found.api,
            stage=found.stage,
        )

    def invocation_arn(self, method: str, path: str) -> str:
        """Return the ARN that the caller may not invoke, with `*` for its unknown parts."""
        found = _api_of(self.registry_url())
        if found is None:
            return f"arn:*:execute-api:*:*:*/*/{method}{path}"
        region = found.region or "*"
        return f"arn:*:execute-api:{region}:*:{found.api}/{found.stage}/{method}{path}"

    def similar_services(self, name: str) -> str:
        """Return a question with the services that have similar names."""
        question = did_you_mean(name, self._some_services())
        return f"{question} `service-registry list` shows the services".strip()

    def almost_the_same_service(self, name: str) -> str:
        """Return a question with a service that has almost the same name; empty for none."""
        others = [each for each in self._some_services() if each != name]
        return did_you_mean(name, others, cutoff=_ALMOST_THE_SAME)

    def _some_services(self) -> list[str]:
        services = zip(self.registry().services(), range(_MAX_CANDIDATES), strict=False)
        return [each["name"] for each, _ in services]


def _is_missing(error: "ClientError") -> bool:
    # CloudFormation returns ValidationError both for what is missing and for malformed requests.
    return "does not exist" in str(error)


def _api_of(url: str) -> "DeployedApi | None":
    from registry_client.address import DeployedApi

    return DeployedApi.of(url)
