"""Describes failures for a person: what happened, where, and what to do about it.

botocore and the client are imported on first use, so that `--help` is fast: every command imports
this module.
"""

import difflib
import re
import shlex
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from botocore.exceptions import BotoCoreError, ClientError

    from registry_cli.connection import Connection
    from registry_client.errors import RefusalError, RegistryClientError

FAILED, USAGE, NOT_RESOLVED, REFUSED = 1, 2, 3, 4

_SIGN_IN = (
    "sign in as for the AWS CLI: `aws sso login`, `aws configure`, AWS_PROFILE or --profile; "
    "`aws sts get-caller-identity` shows who you are"
)
_CHECK_ADDRESS = "check the address: it is the stack's output RegistryUrl, with its /v1 at the end"
_NOT_ALLOWED = frozenset(
    {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError"}
)
_BAD_CREDENTIALS = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidClientTokenId",
        "UnrecognizedClientException",
        "SignatureDoesNotMatch",
        "IncompleteSignature",
    }
)
_THROTTLED = frozenset({"Throttling", "ThrottlingException", "TooManyRequestsException"})
_ACTION = re.compile(r"not authorized to perform: (\S+)(?: on resource: (\S+))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A failure, as it is printed.

    Attributes:
        what: The fault.
        where: The request, stack or resource that failed; empty if `what` has it.
        way_out: What to do about it.
        status: The exit status.
    """

    what: str
    where: str = ""
    way_out: str = ""
    status: int = FAILED

    def lines(self) -> list[str]:
        """Return the text for stderr."""
        named = (("Error", self.what), ("Where", self.where), ("Way out", self.way_out))
        return [f"{name}: {text}" for name, text in named if text]


class CommandError(Exception):
    """A command failed; it has the failure to print."""

    def __init__(self, failure: Failure) -> None:
        """Set the failure."""
        super().__init__(failure.what)
        self.failure = failure


@contextmanager
def interruptible(check_command: str) -> Iterator[None]:
    """Send a change in the block; at Ctrl-C, warn that the change may have been made.

    Args:
        check_command: The command that shows whether the change was made.

    Raises:
        CommandError: Ctrl-C was pressed.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        raise CommandError(
            Failure(
                what="interrupted; the request may have been executed nevertheless",
                way_out=f"look before you repeat it: `service-registry {check_command}`",
            )
        ) from error


def did_you_mean(name: str, known: Iterable[str], *, cutoff: float = 0.6) -> str:
    """Return a question with the most similar known names; empty if none is similar."""
    close = difflib.get_close_matches(name, list(known), n=3, cutoff=cutoff)
    return f"did you mean {' or '.join(repr(each) for each in close)}?" if close else ""


def failure_of(error: Exception, connection: "Connection") -> Failure | None:
    """Describe an error of AWS or the registry; return None for others, which are bugs."""
    from botocore.exceptions import BotoCoreError, ClientError

    from registry_client.errors import RefusalError, RegistryClientError

    if isinstance(error, CommandError):
        return error.failure
    if isinstance(error, RefusalError):
        return _refusal(error, connection)
    if isinstance(error, RegistryClientError):
        return _no_response(error)
    if isinstance(error, ClientError):
        return _aws_refusal(error, connection)
    if isinstance(error, BotoCoreError):
        return _botocore_failure(error, connection)
    return None


def _no_response(error: "RegistryClientError") -> Failure:
    from registry_client.errors import (
        MissingCredentialsError,
        RegistryUnreachableError,
    )

    if isinstance(error, MissingCredentialsError):
        return Failure(what=str(error), way_out=_SIGN_IN)
    if isinstance(error, RegistryUnreachableError):
        unclear = (
            "; the request may have been executed nevertheless: check before you repeat it"
            if error.may_have_run
            else ""
        )
        return Failure(
            what=f"the registry did not respond: {error.reason}{unclear}",
            where=error.url,
            way_out="check the address (the stack's output RegistryUrl), your network, VPN and "
            "HTTPS_PROXY; was the stack deleted?",
        )
    return Failure(
        what=str(error),
        way_out=_CHECK_ADDRESS,
    )


def _refusal(error: "RefusalError", connection: "Connection") -> Failure:
    where = f"{error.method} {connection.registry_url()}{error.path}"
    if error.status == 403:
        return _forbidden(error, where, connection)
    if error.status == 404:
        return _not_found(error, where, connection)
    if error.is_conflict:
        return Failure(
            what=_conflict(error), where=where, way_out=_conflict_way_out(error), status=REFUSED
        )
    if error.faults:
        what = "; ".join(f"{fault['pointer']}: {fault['detail']}" for fault in error.faults)
        return Failure(what=what, where=where, way_out="correct it and repeat", status=USAGE)
    if error.is_throttled:
        # The registry's details end with the way out, such as a rebuild for a damaged item.
        what, has_way_out, way_out = str(error).rpartition("; ")
        if not has_way_out:
            what, way_out = way_out, "try again in a moment"
        return Failure(what=what, where=where, way_out=way_out)
    return Failure(
        what=f"status {error.status}: {error}",
        where=where,
        way_out="read the log of the stack's function registry-api",
    )


def _forbidden(error: "RefusalError", where: str, connection: "Connection") -> Failure:
    detail = error.detail
    if "authentication token" in detail.lower() or detail == "Forbidden":
        # API Gateway's response if it has no such stage or path. Below the complete address every
        # path exists, so the address must be wrong.
        return Failure(
            what=f"API Gateway refused the request: {detail}",
            where=where,
            way_out=_CHECK_ADDRESS,
        )
    if "expired" in detail or "security token" in detail or "signature" in detail.lower():
        clock = "; is this machine's clock right?" if "ignature" in detail else ""
        return Failure(
            what=f"the credentials were not accepted: {detail}",
            where=where,
            way_out=_SIGN_IN + clock,
        )
    if "scoped to" in detail:
        return Failure(
            what=f"the request was signed for another Region: {detail}",
            where=where,
            way_out="give the registry's Region with --region",
        )
    arn = connection.invocation_arn(error.method, error.path)
    return Failure(
        what=f"you are not allowed to do this: execute-api:Invoke on {arn} is missing"
        + (f" ({detail})" if detail else ""),
        where=where,
        way_out="ask for the policy that `service-registry policy publisher` or `policy operator` "
        "prints for this service",
    )


def _not_found(error: "RefusalError", where: str, connection: "Connection") -> Failure:
    if "no such path" in error.detail:
        return Failure(
            what="the registry does not have this route",
            where=where,
            way_out="deploy its current version, or check the address",
        )
    if error.method == "PUT" and error.path.startswith("/consumers/"):
        # A PUT creates the consumer if it does not exist, so a 404 is about a malformed name.
        return Failure(
            what=error.detail, where=where, way_out="correct the name and repeat", status=USAGE
        )
    return Failure(
        what=error.detail or str(error), where=where, way_out=_similar_names(error, connection)
    )


def _similar_names(error: "RefusalError", connection: "Connection") -> str:
    """Return the similar names in the registry, if the caller may read them."""
    from registry_client.errors import RegistryClientError

    parts = error.path.split("/")
    if parts[1] == "consumers" and len(parts) > 2:
        return "`service-registry consumers list` shows the consumers"
    if len(parts) < 3:
        return _CHECK_ADDRESS
    name = parts[2]
    try:
        registry = connection.registry()
        if not registry.has_service(name):
            return connection.similar_services(name)
        if len(parts) > 4 and parts[3] == "versions":
            known = [
                each["version"]
                for each, _ in zip(registry.versions(name), range(100), strict=False)
            ]
            question = did_you_mean(parts[4], known)
            return f"{question} `service-registry versions {name}` shows all".strip()
    except RegistryClientError:
        # The caller may not have the right to read services: suggest no names.
        return "`service-registry list` shows the services"
    return f"`service-registry show {name}` shows its channels"


def _conflict(error: "RefusalError") -> str:
    lost = error.problem.get("selectors")
    if isinstance(lost, list):
        # The API's message suggests ?force=true; `_conflict_way_out` suggests --force instead.
        return f"this would remove the last answer of {_lost_answers(error.problem)}"
    current = error.problem.get("current")
    if isinstance(current, dict) and "arn" in current and _IS_YANKED not in error.detail:
        return f"{error.detail or error}; the published ARN is {current['arn']}"
    return error.detail or str(error)


def _conflict_way_out(error: "RefusalError") -> str:
    if error.status == 412:
        return "it has changed since it was shown to you; look again, and repeat"
    if isinstance(error.problem.get("selectors"), list):
        return "publish or activate another version first, or repeat with --force"
    if isinstance(error.problem.get("current"), dict):
        name, version = (shlex.quote(str(error.problem["current"].get(key))) for key in _KEYS)
        if _IS_YANKED in error.detail:
            return (
                f"`service-registry unyank {name} {version}` makes it active again; "
                f"`service-registry versions {name}` shows the others"
            )
        return (
            "publish another version; to remove a version that was published with a wrong ARN: "
            f"`service-registry delete {name} {version}`"
        )
    service = " ".join(error.path.split("/")[2:3])
    return (
        f"`service-registry show {service}` and `service-registry versions {service}` show the "
        "present state"
    )


_IS_YANKED = "is yanked"
_KEYS = ("name", "version")
_MAX_LISTED = 10


def _lost_answers(problem: dict[str, Any]) -> str:
    named = (("selectors", problem["selectors"]), ("consumers", _consumers_of(problem)))
    return " and ".join(f"the {what} {', '.join(map(str, each))}" for what, each in named if each)


def _consumers_of(problem: dict[str, Any]) -> list[str]:
    listed = problem.get("consumers") or []
    names = [str(each["consumer"]) if isinstance(each, dict) else str(each) for each in listed]
    total = problem.get("consumers_total", len(names))
    more = [f"and {total - _MAX_LISTED} more"] if total > _MAX_LISTED else []
    return names[:_MAX_LISTED] + more


def _aws_refusal(error: "ClientError", connection: "Connection") -> Failure:
    code = error.response.get("Error", {}).get("Code", "")
    message = error.response.get("Error", {}).get("Message", "") or str(error)
    where = f"{error.operation_name} in {connection.region_or_none() or 'no Region'}"
    if code in _BAD_CREDENTIALS:
        return Failure(what=f"the credentials were not accepted: {message}", way_out=_SIGN_IN)
    if code in _NOT_ALLOWED:
        found = _ACTION.search(message)
        action = found.group(1) if found else f"the action {error.operation_name}"
        resource = f" on {found.group(2)}" if found and found.group(2) else ""
        return Failure(
            what=f"you are not allowed to do this: {action}{resource} is missing",
            where=f"{where} ({message})",
            way_out="ask for that right"
            + (
                "; or give the registry's address with --url or SERVICE_REGISTRY_URL, which needs "
                "no access to the stack"
                if error.operation_name == "DescribeStacks"
                else ""
            ),
        )
    if code in _THROTTLED:
        return Failure(what=message, where=where, way_out="try again in a moment")
    return Failure(what=message, where=where, way_out="correct what AWS names, and repeat")


def _botocore_failure(error: "BotoCoreError", connection: "Connection") -> Failure:
    from botocore import exceptions

    if isinstance(
        error,
        (
            exceptions.NoCredentialsError,
            exceptions.PartialCredentialsError,
            exceptions.CredentialRetrievalError,
            exceptions.SSOError,
            exceptions.TokenRetrievalError,
        ),
    ):
        return Failure(what=f"no AWS credentials: {error}", way_out=_SIGN_IN)
    if isinstance(error, exceptions.NoRegionError):
        return no_region()
    if isinstance(error, exceptions.ProfileNotFound):
        return Failure(
            what=str(error), way_out="`aws configure list-profiles` shows the existing profiles"
        )
    if isinstance(error, exceptions.EndpointConnectionError):
        return Failure(what=str(error), way_out=_other_endpoint(connection))
    return Failure(
        what=str(error),
        way_out="`aws configure list` shows the profile, keys and Region, and the source of each",
    )


def _other_endpoint(connection: "Connection") -> str:
    endpoint = connection.endpoint_url()
    if endpoint:
        return (
            f"start what should be at {endpoint}; for AWS itself, leave out --endpoint-url and "
            "AWS_ENDPOINT_URL"
        )
    return (
        f"is {connection.region_or_none()!r} the right Region? Check --region, your network, VPN "
        "and HTTPS_PROXY"
    )


def no_region() -> Failure:
    """Return the failure that no Region is set."""
    return Failure(
        what="no AWS Region is set",
        way_out="give the registry's Region: --region, AWS_REGION, or `region` in the profile",
    )
