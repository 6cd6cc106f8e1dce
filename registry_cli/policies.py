"""Least-privilege IAM policies for a publisher, an operator and a consumer."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from registry_cli.connection import ApiAddress

_VERSION = "2012-10-17"
# The resources whose versions and aliases have ARNs with one more part: `…:users:42`. That part
# changes with each publish, so the policy allows all versions and aliases.
_QUALIFIED = {"lambda": "function", "states": "stateMachine"}
_CALL_ACTIONS = {
    "lambda": ["lambda:InvokeFunction"],
    "sqs": ["sqs:SendMessage"],
    "sns": ["sns:Publish"],
    "states": ["states:StartExecution", "states:StartSyncExecution"],
    "events": ["events:PutEvents"],
}
_HOW_TO_ALLOW = {
    "lambda": "its function needs a resource policy (aws lambda add-permission)",
    "sqs": "its queue needs a queue policy",
    "sns": "its topic needs a topic policy",
    "events": "its event bus needs a resource policy",
    "states": "Step Functions has no resource policies: assume a role of that account",
}


def publisher_policy(api: ApiAddress, names: Iterable[str]) -> dict[str, Any]:
    """Return a policy to publish versions of these services."""
    return _policy([_invoke([api.arn(f"PUT/services/{name}/versions/*") for name in names])])


def operator_policy(api: ApiAddress, names: Sequence[str]) -> dict[str, Any]:
    """Return a policy to look at these services and to yank, delete, pin and set channels."""
    resources = [
        api.arn(f"{method}/services/{name}{rest}")
        for name in names
        for method, rest in (
            ("GET", ""),
            ("GET", "/*"),
            ("PATCH", "/versions/*"),
            ("DELETE", "/versions/*"),
            ("PUT", "/channels/*"),
            ("DELETE", "/channels/*"),
        )
    ]
    return _policy([_invoke(resources)])


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerPolicy:
    """A policy, and warnings about what it cannot grant.

    Attributes:
        document: The policy.
        warnings: What another account has to do, and what is missing from the policy.
    """

    document: dict[str, Any]
    warnings: list[str]


def consumer_policy(
    *, account_id: str, index_arn: str, key_arn: str, services: Sequence[str], arns: Iterable[str]
) -> ConsumerPolicy:
    """Return a policy to resolve services and to call what they resolve to.

    Args:
        account_id: The consumer's account.
        index_arn: The index table's ARN.
        key_arn: The ARN of the index table's KMS key; empty for a key that AWS owns.
        services: The needed services' names.
        arns: The ARNs that they resolve to now.
    """
    warnings: list[str] = []
    statements = [_read(index_arn, sorted(set(services)))]
    if key_arn:
        statements.append({"Effect": "Allow", "Action": "kms:Decrypt", "Resource": key_arn})
    owner = index_arn.split(":")[4]
    if owner != account_id:
        warnings.append(
            f"the index table is in account {owner}: its stack's parameter ConsumerOrgId lets an "
            "organization read it; and SERVICE_DISCOVERY_TABLE has to be the table's ARN"
        )
    by_service: dict[str, list[str]] = {}
    for arn in sorted(set(arns)):
        service, its_account = arn.split(":")[2], arn.split(":")[4]
        if service not in _CALL_ACTIONS:
            warnings.append(f"no right to call {arn} is included: add the one that you need")
            continue
        resources = by_service.setdefault(service, [])
        resources += [each for each in _call_resources(arn) if each not in resources]
        if its_account and its_account != account_id:
            how = _HOW_TO_ALLOW[service]
            warnings.append(
                f"{arn} is in account {its_account}, which has to allow the call: {how}"
            )
    statements += [
        {"Effect": "Allow", "Action": _CALL_ACTIONS[service], "Resource": resources}
        for service, resources in by_service.items()
    ]
    return ConsumerPolicy(document=_policy(statements), warnings=warnings)


def _policy(statements: list[dict[str, Any]]) -> dict[str, Any]:
    return {"Version": _VERSION, "Statement": statements}


def _invoke(resources: list[str]) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": resources}


def _read(index_arn: str, services: list[str]) -> dict[str, Any]:
    # A copy's partition key is `#1#users` (docs/scale.md); no service's name contains '#'.
    keys = [key for name in services for key in (name, f"#*#{name}")]
    return {
        "Effect": "Allow",
        "Action": ["dynamodb:BatchGetItem", "dynamodb:GetItem"],
        "Resource": index_arn,
        "Condition": {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": keys}},
    }


def _call_resources(arn: str) -> list[str]:
    """Return the resources that a policy to call an ARN lists: also its other versions."""
    head, resource = ":".join(arn.split(":")[:5]), arn.split(":", 5)[5]
    kind = _QUALIFIED.get(arn.split(":")[2])
    parts = resource.split(":")
    if kind is None or parts[0] != kind or len(parts) < 2:
        return [arn]
    unqualified = f"{head}:{parts[0]}:{parts[1]}"
    return [unqualified, f"{unqualified}:*"]
