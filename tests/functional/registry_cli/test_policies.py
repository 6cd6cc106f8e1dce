"""`policy`: two evaluators check what its policies allow: moto's, and the npm package pbac.

moto's evaluates actions and resources; pbac also evaluates conditions.
"""

import json
import subprocess
from typing import Any, NamedTuple

import pytest
from moto.iam.access_control import IAMPolicy, PermissionResult

from testing import node_packages
from testing.template_faults import template_faults
from tests.functional.http_gateway import HttpGateway
from tests.functional.registry_cli.aws_server import ACCOUNT, API, AwsServer
from tests.functional.registry_cli.conftest import Publish, Run

_API = f"arn:aws:execute-api:eu-west-1:{ACCOUNT}:{API}/v1/"
_INDEX = f"arn:aws:dynamodb:eu-west-1:{ACCOUNT}:table/ServiceIndex"
_OTHER = "210987654321"


def allows(policy: Any, action: str, resource: str, **values: Any) -> bool:
    """Evaluate a policy."""
    evaluator = IAMPolicy({"policy_document": json.dumps(policy)})
    found = evaluator.is_action_permitted(
        action, resource, incoming_condition_values=values or None
    )
    return bool(found == PermissionResult.PERMITTED)


_PBAC = """
const PBAC = require("pbac");
const { policy, requests } = JSON.parse(require("fs").readFileSync(0, "utf8"));
for (const statement of policy.Statement) {
  for (const name of ["Action", "Resource"]) statement[name] = [statement[name]].flat();
}
const evaluator = new PBAC([policy]);
console.log(JSON.stringify(requests.map((each) => evaluator.evaluate(each))));
"""


class IamRequest(NamedTuple):
    """A request as IAM sees it; `keys` are the partition keys of a request to DynamoDB."""

    action: str
    resource: str
    keys: tuple[str, ...] = ()


def evaluate(policy: Any, requests: list[IamRequest]) -> dict[IamRequest, bool]:
    """Evaluate requests with pbac."""
    described = [
        {
            "action": each.action,
            "resource": each.resource,
            "context": {"dynamodb": {"LeadingKeys": list(each.keys)}},
        }
        for each in requests
    ]
    ended = subprocess.run(
        [node_packages.node(), "-e", _PBAC],
        cwd=node_packages.node_modules().parent,
        input=json.dumps({"policy": policy, "requests": described}),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stderr
    return dict(zip(requests, json.loads(ended.stdout), strict=True))


def invocations(*methods_and_paths: str) -> list[IamRequest]:
    """Return the requests of the registry's routes."""
    return [IamRequest("execute-api:Invoke", _API + each) for each in methods_and_paths]


def invokes(policy: Any, method_and_path: str) -> bool:
    """Evaluate whether a policy lets a request through API Gateway."""
    return allows(policy, "execute-api:Invoke", _API + method_and_path)


def test_publisher_may_publish_its_services(run: Run) -> None:
    policy = run("policy", "publisher", "users", "billing").document

    assert invokes(policy, "PUT/services/users/versions/1.4.2")
    assert invokes(policy, "PUT/services/billing/versions/2.0.0-rc.1")


_REFUSED_TO_PUBLISHERS = [
    "PUT/services/orders/versions/1.4.2",
    "PUT/services/users2/versions/1.4.2",
    "PUT/services/users/channels/latest",
    "POST/services",
    "PATCH/services/users/versions/1.4.2",
    "DELETE/services/users/versions/1.4.2",
    "GET/services/users",
    "GET/services",
    "PUT/consumers/orders",
]
_ALLOWED_TO_OPERATORS = [
    "GET/services/users",
    "GET/services/users/versions",
    "GET/services/users/versions/1.4.2",
    "GET/services/users/history",
    "GET/services/users/consumers",
    "PATCH/services/users/versions/1.4.2",
    "DELETE/services/users/versions/1.4.2",
    "PUT/services/users/channels/latest",
    "DELETE/services/users/channels/beta",
]
_REFUSED_TO_OPERATORS = [
    "PUT/services/users/versions/1.4.2",
    "POST/services",
    "PATCH/services/orders/versions/1.4.2",
    "DELETE/services/users2/versions/1.4.2",
    "PUT/services/orders/channels/latest",
    "DELETE/consumers/orders",
]


@pytest.mark.parametrize("request_", _REFUSED_TO_PUBLISHERS)
def test_publisher_may_do_nothing_else(run: Run, request_: str) -> None:
    """A stolen pipeline credential can't redirect another service."""
    assert not invokes(run("policy", "publisher", "users").document, request_)


@pytest.mark.parametrize("request_", _ALLOWED_TO_OPERATORS)
def test_operator_may_look_after_its_service(run: Run, request_: str) -> None:
    assert invokes(run("policy", "operator", "users").document, request_)


@pytest.mark.parametrize("request_", _REFUSED_TO_OPERATORS)
def test_operator_may_neither_publish_nor_touch_other_services(run: Run, request_: str) -> None:
    assert not invokes(run("policy", "operator", "users").document, request_)


def test_second_evaluator_agrees_on_publisher_and_operator(run: Run) -> None:
    """Two evaluators are unlikely to have the same bug."""
    publisher = run("policy", "publisher", "users").document
    operator = run("policy", "operator", "users").document

    for policy, allowed, refused in (
        (publisher, ["PUT/services/users/versions/1.4.2"], _REFUSED_TO_PUBLISHERS),
        (operator, _ALLOWED_TO_OPERATORS, _REFUSED_TO_OPERATORS),
    ):
        found = evaluate(policy, invocations(*allowed, *refused))

        assert [each for each, is_allowed in found.items() if is_allowed] == invocations(*allowed)


def test_rights_end_at_the_registrys_own_api_stage_account_and_region(run: Run) -> None:
    """Other APIs have the same paths."""
    policy = run("policy", "operator", "users").document
    right = _API + "GET/services/users"

    assert allows(policy, "execute-api:Invoke", right)
    for before, after in (
        (API, "other12345"),
        ("/v1/", "/v2/"),
        (ACCOUNT, _OTHER),
        ("eu-west-1", "us-east-1"),
    ):
        assert not allows(policy, "execute-api:Invoke", right.replace(before, after))
    assert not allows(policy, "execute-api:ManageConnections", right)


def test_api_is_also_found_in_its_address(run: Run, environment: pytest.MonkeyPatch) -> None:
    url = f"https://{API}.execute-api.eu-west-1.amazonaws.com/v1"
    environment.setenv("SERVICE_REGISTRY_URL", url)

    assert invokes(
        run("policy", "publisher", "users").document, "PUT/services/users/versions/1.0.0"
    )


def test_custom_domain_needs_the_stack(run: Run) -> None:
    ended = run("policy", "publisher", "users", "--url", "https://registry.example.com")

    assert ended.status == 2
    assert "--stack" in ended.err


@pytest.fixture
def consumer_policy(run: Run, publish: Publish) -> Any:
    """Return a function that runs `policy consumer` for a service with this ARN."""

    def _policy(arn: str, *arguments: str) -> Any:
        publish("1.0.0", arn=arn)
        return run("policy", "consumer", "--needed", "users==1.x", *arguments)

    return _policy


_LAMBDA = f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:users"
_STATES = f"arn:aws:states:eu-west-1:{ACCOUNT}:stateMachine:users"


@pytest.mark.parametrize(
    ("arn", "action", "allowed", "refused"),
    [
        (
            f"{_LAMBDA}:42",
            "lambda:InvokeFunction",
            [_LAMBDA, f"{_LAMBDA}:42", f"{_LAMBDA}:43", f"{_LAMBDA}:live"],
            [f"{_LAMBDA}2", f"{_LAMBDA}2:1", _LAMBDA.replace(ACCOUNT, _OTHER)],
        ),
        (_LAMBDA, "lambda:InvokeFunction", [_LAMBDA, f"{_LAMBDA}:7"], [f"{_LAMBDA}s"]),
        (
            f"arn:aws:sqs:eu-west-1:{ACCOUNT}:users",
            "sqs:SendMessage",
            [f"arn:aws:sqs:eu-west-1:{ACCOUNT}:users"],
            [f"arn:aws:sqs:eu-west-1:{ACCOUNT}:users2"],
        ),
        (
            f"arn:aws:sns:eu-west-1:{ACCOUNT}:users",
            "sns:Publish",
            [f"arn:aws:sns:eu-west-1:{ACCOUNT}:users"],
            [f"arn:aws:sns:eu-west-1:{ACCOUNT}:users2"],
        ),
        (
            f"{_STATES}:live",
            "states:StartExecution",
            [_STATES, f"{_STATES}:live", f"{_STATES}:3"],
            [f"{_STATES}2"],
        ),
        (
            f"arn:aws:events:eu-west-1:{ACCOUNT}:event-bus/users",
            "events:PutEvents",
            [f"arn:aws:events:eu-west-1:{ACCOUNT}:event-bus/users"],
            [f"arn:aws:events:eu-west-1:{ACCOUNT}:event-bus/default"],
        ),
    ],
)
def test_consumer_may_call_what_its_need_resolves_to(
    consumer_policy: Any, arn: str, action: str, allowed: list[str], refused: list[str]
) -> None:
    """The version that the need resolves to changes; the right to call stays the same."""
    ended = consumer_policy(arn)

    assert (ended.status, ended.err) == (0, "")
    assert all(allows(ended.document, action, each) for each in allowed)
    assert not any(allows(ended.document, action, each) for each in refused)


def test_consumer_may_make_no_other_calls(consumer_policy: Any) -> None:
    policy = consumer_policy(f"{_LAMBDA}:42").document

    for action in ("lambda:UpdateFunctionCode", "lambda:GetFunction", "lambda:InvokeAsync"):
        assert not allows(policy, action, _LAMBDA)
    assert not allows(policy, "sqs:SendMessage", _LAMBDA)


def test_consumer_reads_only_the_answers_to_its_needs(consumer_policy: Any) -> None:
    """Copies of the index (docs/scale.md) have partition keys of their own."""
    policy = consumer_policy(f"{_LAMBDA}:42").document
    read, batch = "dynamodb:GetItem", "dynamodb:BatchGetItem"
    allowed = [
        IamRequest(read, _INDEX, ("users",)),
        IamRequest(batch, _INDEX, ("users", "users")),
        IamRequest(batch, _INDEX, ("users", "#1#users", "#49#users")),
        IamRequest("lambda:InvokeFunction", f"{_LAMBDA}:43"),
    ]
    refused = [
        IamRequest(read, _INDEX, ("billing",)),
        IamRequest(read, _INDEX, ("users2",)),
        IamRequest(read, _INDEX, ("#1#billing",)),
        IamRequest(batch, _INDEX, ("users", "billing")),
        IamRequest(read, f"{_INDEX}2", ("users",)),
        IamRequest("dynamodb:Query", _INDEX, ("users",)),
        IamRequest("dynamodb:PutItem", _INDEX, ("users",)),
        IamRequest("lambda:InvokeFunction", f"{_LAMBDA}2:43"),
    ]

    found = evaluate(policy, allowed + refused)

    assert [each for each, is_allowed in found.items() if is_allowed] == allowed


@pytest.mark.parametrize("service", ["lambda", "sqs", "sns", "states", "events"])
def test_policies_are_valid_for_iam(run: Run, consumer_policy: Any, service: str) -> None:
    """cfn-lint checks the policy's grammar, and the resources of each action."""
    resource = {"lambda": "function:users:42", "states": "stateMachine:users:1"}
    resource |= {"events": "event-bus/users"}
    arn = f"arn:aws:{service}:eu-west-1:{ACCOUNT}:{resource.get(service, 'users')}"
    policies = [consumer_policy(arn).document]
    policies += [run("policy", kind, "users").document for kind in ("publisher", "operator")]
    template = {
        "Resources": {
            f"Policy{number}": {
                "Type": "AWS::IAM::ManagedPolicy",
                "Properties": {"PolicyDocument": policy},
            }
            for number, policy in enumerate(policies)
        }
    }

    assert template_faults(json.dumps(template)) == []


def test_key_of_an_encrypted_index_is_included(consumer_policy: Any, aws_server: AwsServer) -> None:
    key = f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/0a1b"
    aws_server.parameters["KmsKeyArn"] = key

    assert allows(consumer_policy(f"{_LAMBDA}:42").document, "kms:Decrypt", key)


@pytest.mark.parametrize(
    ("service", "resource", "what"),
    [
        ("lambda", "function:users:42", "aws lambda add-permission"),
        ("sqs", "users", "queue policy"),
        ("sns", "users", "topic policy"),
        ("events", "event-bus/users", "event bus"),
        ("states", "stateMachine:users", "assume a role"),
    ],
)
def test_service_in_another_account_is_a_warning(
    consumer_policy: Any, service: str, resource: str, what: str
) -> None:
    """The warning names the account that has to grant the call."""
    ended = consumer_policy(f"arn:aws:{service}:eu-west-1:{_OTHER}:{resource}")

    assert ended.status == 0
    assert f"is in account {_OTHER}, which has to allow the call" in ended.err
    assert what in ended.err


def test_consumer_in_another_account_than_the_registry_is_warned(consumer_policy: Any) -> None:
    ended = consumer_policy(f"{_LAMBDA}:42", "--account", _OTHER)

    assert "ConsumerOrgId" in ended.err
    assert f"{_LAMBDA}:42 is in account {ACCOUNT}" in ended.err


@pytest.mark.parametrize("account", ["12", "prod", "1234567890123", ""])
def test_malformed_account_is_a_usage_error(run: Run, account: str) -> None:
    ended = run("policy", "consumer", "--needed", "users", "--account", account)

    assert (ended.status, ended.out) == (2, "")
    assert f"'{account}' should have 12 digits" in ended.err


def test_arn_of_an_unknown_kind_is_a_warning(consumer_policy: Any) -> None:
    ended = consumer_policy(f"arn:aws:kinesis:eu-west-1:{ACCOUNT}:stream/users")

    assert ended.status == 0
    assert "no right to call arn:aws:kinesis" in ended.err
    assert len(ended.document["Statement"]) == 1


def test_unresolved_need_prints_no_policy(run: Run, publish: Publish) -> None:
    """A policy without the right to call would fail only in production."""
    publish("1.0.0")

    ended = run("policy", "consumer", "--needed", "users,usres")

    assert (ended.status, ended.out) == (3, "")
    assert "did you mean 'users'?" in ended.err


def test_policy_changes_nothing(run: Run, publish: Publish, gateway: HttpGateway) -> None:
    publish("1.0.0")

    run("policy", "consumer", "--needed", "users")
    run("policy", "publisher", "users")
    run("policy", "operator", "users")

    routes = {
        (method, target.rpartition("_user_request_")[2]) for method, target in gateway.calls()
    }
    assert routes - {("POST", "/")} == {("POST", "/resolve")}
