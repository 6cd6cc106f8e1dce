"""Errors: the fault, its place and the way out on stderr, and an exit status for each kind."""

import json
import os
import socket
from pathlib import Path

import pytest

from registry_cli.main import cli
from tests.functional.http_gateway import Canned, HttpGateway, client_environment
from tests.functional.registry_cli.aws_server import AwsServer
from tests.functional.registry_cli.conftest import ARN, Publish, Run

_PROBLEM = {"Content-Type": "application/problem+json"}


def _problem(status: int, detail: str, **members: object) -> Canned:
    document = {"type": "about:blank", "title": "", "status": status, "detail": detail, **members}
    return Canned(status=status, body=json.dumps(document).encode(), headers=_PROBLEM)


def _remove_keys(environment: pytest.MonkeyPatch) -> None:
    for name in client_environment():
        environment.delenv(name)


def _use_profile(environment: pytest.MonkeyPatch, configuration: str) -> None:
    _remove_keys(environment)
    Path(os.environ["AWS_CONFIG_FILE"]).write_text(configuration, encoding="utf-8")


def test_missing_credentials_lead_to_aws_sso_login(
    run: Run, environment: pytest.MonkeyPatch
) -> None:
    """It is often the first error on a new machine."""
    _remove_keys(environment)
    for arguments in (("list",), ("list", "--url", "https://registry.example.com")):
        ended = run(*arguments)

        assert (ended.status, ended.out) == (1, "")
        assert "credentials" in ended.err
        assert "Way out: sign in as for the AWS CLI: `aws sso login`" in ended.err


def test_missing_region_leads_to_the_region_option(
    run: Run, environment: pytest.MonkeyPatch
) -> None:
    environment.delenv("AWS_REGION")

    ended = run("list")

    assert ended.status == 1
    assert "no AWS Region is set" in ended.err
    assert "--region" in ended.err


def test_unknown_profile_leads_to_the_list_of_profiles(run: Run) -> None:
    ended = run("list", "--profile", "prodd")

    assert ended.status == 1
    assert "prodd" in ended.err
    assert "aws configure list-profiles" in ended.err


def test_missing_stack_error_has_the_region_and_its_registries(
    run: Run, aws_server: AwsServer
) -> None:
    """The stack may have another name, or be in another Region."""
    aws_server.stacks = {"discovery-prod": aws_server.stacks["service-discovery"], "web": {}}

    for arguments in (("list",), ("verify",), ("policy", "publisher", "users")):
        ended = run(*arguments)

        assert ended.status == 1
        assert "there is no registry stack 'service-discovery' in eu-west-1" in ended.err
        assert "registries in eu-west-1: discovery-prod;" in ended.err
        for way in ("--stack", "--region", "--url"):
            assert way in ended.err


def test_stack_without_a_registry_is_an_error(run: Run, aws_server: AwsServer) -> None:
    aws_server.stacks["web"] = {}

    ended = run("list", "--stack", "web")

    assert ended.status == 1
    assert "the stack 'web' is no registry" in ended.err


@pytest.mark.parametrize(
    ("command", "function"),
    [
        (("verify",), "IndexRebuildFunction"),
        (("consumers", "scan"), "ConsumerScanFunction"),
    ],
)
def test_stack_without_the_needed_function_is_an_error(
    run: Run, aws_server: AwsServer, command: tuple[str, ...], function: str
) -> None:
    """The stack exists, so the message must not say that there is no such stack."""
    aws_server.stacks["web"] = {}

    ended = run(*command, "--stack", "web")

    assert ended.status == 1
    assert ended.out == ""
    assert f"the stack 'web' has no {function}" in ended.err
    assert "deploy the registry's current version" in ended.err


def test_missing_right_to_see_the_stack_names_action_and_resource(
    run: Run, aws_server: AwsServer
) -> None:
    """A pipeline's role may have the right to call the registry only."""
    aws_server.denied = {"DescribeStacks"}

    ended = run("list")

    assert ended.status == 1
    assert "cloudformation:DescribeStacks on arn:aws:cloudformation:eu-west-1:" in ended.err
    assert "SERVICE_REGISTRY_URL" in ended.err


def test_missing_right_to_call_the_registry_names_action_and_resource(
    run: Run, gateway: HttpGateway
) -> None:
    gateway.script.append(_problem(403, "User: x is not authorized to perform: execute-api:Invoke"))

    ended = run("publish", "users", "1.0.0", "--arn", ARN)

    assert ended.status == 1
    arn = "arn:*:execute-api:*:*:abc1234567/v1/PUT/services/users/versions/1.0.0"
    assert f"execute-api:Invoke on {arn} is missing" in ended.err
    assert "service-registry policy publisher" in ended.err


@pytest.mark.parametrize(
    "detail",
    [
        "The security token included in the request is expired",
        "The request signature we calculated does not match the signature you provided.",
    ],
)
def test_refused_credentials_lead_to_aws_sso_login(
    run: Run, gateway: HttpGateway, detail: str
) -> None:
    gateway.script.append(_problem(403, detail))

    ended = run("list")

    assert ended.status == 1
    assert detail in ended.err
    assert "aws sso login" in ended.err


def test_unreachable_registry_is_an_error_with_its_address(run: Run) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"

        ended = run("list", "--url", url)

    assert ended.status == 1
    assert "the registry did not respond: Connection refused" in ended.err
    assert f"Where: {url}/services" in ended.err
    assert "RegistryUrl" in ended.err


def test_unreachable_emulator_is_an_error_with_its_address(
    run: Run, environment: pytest.MonkeyPatch
) -> None:
    """AWS_ENDPOINT_URL may be left over from a `make run` that has ended."""
    environment.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")

    ended = run("list")

    assert ended.status == 1
    assert "Way out: start what should be at http://127.0.0.1:1; for AWS itself" in ended.err


@pytest.mark.parametrize("address", ["127.0.0.1:4566", "localhost", "http://"])
@pytest.mark.parametrize("arguments", [("list",), ("policy", "publisher", "users")])
def test_malformed_address_of_aws_is_a_usage_error(
    run: Run, environment: pytest.MonkeyPatch, address: str, arguments: tuple[str, ...]
) -> None:
    """Most often the scheme is missing; botocore raises a plain ValueError."""
    assert run(*arguments, "--endpoint-url", address).status == 2
    environment.setenv("AWS_ENDPOINT_URL", address)

    ended = run(*arguments)

    assert (ended.status, ended.out) == (2, "")
    assert address in ended.err
    assert "AWS_ENDPOINT_URL as http://HOST:PORT" in ended.err


def test_inconsistent_profile_leads_to_aws_configure_list(
    run: Run, environment: pytest.MonkeyPatch
) -> None:
    _use_profile(
        environment,
        "[profile dev]\nrole_arn = arn:aws:iam::123456789012:role/x\nsource_profile = nobody\n",
    )

    ended = run("list", "--profile", "dev")

    assert ended.status == 1
    assert "nobody" in ended.err
    assert "Way out: `aws configure list`" in ended.err


def test_profile_without_a_sign_in_leads_to_aws_sso_login(
    run: Run, environment: pytest.MonkeyPatch
) -> None:
    _use_profile(
        environment,
        "[profile dev]\nsso_session = nowhere\nsso_account_id = 123456789012\n"
        "sso_role_name = Dev\n[sso-session nowhere]\nsso_region = eu-west-1\n"
        "sso_start_url = https://nowhere.example.com\n",
    )

    ended = run("list", "--profile", "dev")

    assert ended.status == 1
    assert "Token for nowhere does not exist" in ended.err
    assert "Way out: sign in as for the AWS CLI: `aws sso login`" in ended.err


@pytest.mark.parametrize(
    "canned",
    [
        Canned(status=200, body=b"<html>"),
        Canned(status=404, body=b"not here"),
        Canned(status=404, body=b'{"message": "Stage v2 not found"}'),
        Canned(status=403, body=b'{"message": "Missing Authentication Token"}'),
        Canned(status=403, body=b'{"message": "Forbidden"}'),
    ],
)
def test_response_of_another_server_leads_to_the_stage_in_the_address(
    run: Run, gateway: HttpGateway, canned: Canned
) -> None:
    """Most often the stage is missing from the address."""
    gateway.script.append(canned)

    ended = run("list")

    assert ended.status == 1
    assert "with its /v1 at the end" in ended.err


@pytest.mark.parametrize("url", ["registry", "ftp://x", "https://"])
def test_malformed_address_is_a_usage_error(run: Run, url: str) -> None:
    ended = run("list", "--url", url)

    assert ended.status == 2
    assert repr(url) in ended.err


@pytest.mark.parametrize("command", ["show", "versions", "history"])
def test_misspelt_service_gets_a_suggestion(run: Run, publish: Publish, command: str) -> None:
    publish("1.0.0")

    ended = run(command, "usres")

    assert (ended.status, ended.out) == (1, "")
    assert "did you mean 'users'?" in ended.err


def test_misspelt_version_gets_a_suggestion(run: Run, publish: Publish) -> None:
    publish("1.0.0", "1.4.2")

    ended = run("yank", "users", "1.4.3")

    assert ended.status == 1
    assert "did you mean '1.4.2'" in ended.err


def test_missing_route_leads_to_a_deployment_of_the_registry(
    run: Run, gateway: HttpGateway
) -> None:
    """An older registry does not have the routes for consumers."""
    gateway.script.append(_problem(404, "there is no such path"))

    ended = run("consumers", "list")

    assert ended.status == 1
    assert "the registry does not have this route" in ended.err
    assert "deploy its current version" in ended.err


def test_misspelt_command_gets_suggestions(run: Run) -> None:
    ended = run("pulish")

    assert ended.status == 2
    assert "Did you mean publish or list?" in ended.err


def test_faults_that_only_the_registry_sees_are_usage_errors(
    run: Run, gateway: HttpGateway
) -> None:
    faults = [
        {"pointer": "/arn", "detail": "it is not one"},
        {"pointer": "/metadata", "detail": "too long"},
    ]
    gateway.script.append(_problem(422, "…", errors=faults))

    ended = run("publish", "users", "1.0.0", "--arn", "x")

    assert ended.status == 2
    assert "/arn: it is not one; /metadata: too long" in ended.err


def test_guard_names_selectors_consumers_and_force(run: Run, gateway: HttpGateway) -> None:
    """The message shows what `force` would break."""
    consumers = [{"consumer": f"orders-{number}", "need": "users"} for number in range(12)]
    gateway.script.append(
        _problem(
            409,
            "the last answer would go",
            selectors=["latest", "1.x"],
            consumers=consumers,
            consumers_total=40,
        )
    )

    ended = run("yank", "users", "1.0.0")

    assert ended.status == 4
    assert "Way out: publish or activate another version first, or repeat with --force" in ended.err
    assert "the last answer of the selectors latest, 1.x and the consumers orders" in ended.err
    assert "orders-0, orders-1" in ended.err
    assert "and 30 more" in ended.err


def test_refused_delete_is_exit_status_4(run: Run, publish: Publish) -> None:
    publish("1.0.0", channel="beta")

    ended = run("delete", "users", "1.0.0")

    assert (ended.status, ended.out) == (4, "")
    assert "beta" in ended.err
    assert "`service-registry show users`" in ended.err


@pytest.mark.parametrize(
    "arguments", [("pin", "users", "1.0.0"), ("channel", "set", "users", "beta", "1.0.0")]
)
def test_channel_for_a_yanked_version_leads_to_unyank(
    run: Run, publish: Publish, arguments: tuple[str, ...]
) -> None:
    """Publishing or deleting a version would not help here."""
    publish("1.0.0", "1.1.0")
    run("yank", "users", "1.0.0")

    ended = run(*arguments)

    assert (ended.status, ended.out) == (4, "")
    assert "version 1.0.0 is yanked; no channel may point at it\n" in ended.err
    assert "Way out: `service-registry unyank users 1.0.0` makes it active again" in ended.err
    assert "delete" not in ended.err


@pytest.mark.parametrize(
    ("arguments", "look"),
    [
        (("publish", "users", "1.0.0", "--arn", ARN), "history users"),
        (("unpin", "users"), "history users"),
        (("consumers", "declare", "orders", "--needed", "users"), "consumers list"),
        (("consumers", "forget", "orders"), "consumers list"),
    ],
)
def test_interrupted_change_may_have_been_made(
    run: Run, environment: pytest.MonkeyPatch, arguments: tuple[str, ...], look: str
) -> None:
    """Ctrl-C ends the wait for the response, not the request."""

    def interrupt(*_arguments: object) -> None:
        raise KeyboardInterrupt

    environment.setattr("registry_client.signed_http.URLLib3Session.send", interrupt)

    ended = run(*arguments, "--url", "http://127.0.0.1:1/v1")

    assert (ended.status, ended.out) == (1, "")
    assert "interrupted; the request may have been executed nevertheless" in ended.err
    assert f"look before you repeat it: `service-registry {look}`" in ended.err
    assert run("list", "--url", "http://127.0.0.1:1/v1").err == "\nAborted!\n"


def test_throttled_registry_says_to_try_again(
    run: Run, gateway: HttpGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    gateway.script.extend([Canned(status=429, body=b'{"detail": "too many"}')] * 9)

    ended = run("list", "--json")

    assert (ended.status, ended.out) == (1, "")
    assert "try again in a moment" in ended.err


@pytest.mark.parametrize(
    ("detail", "what", "way_out"),
    [
        ("the registry is throttled; try again in a moment", "throttled", "try again in a moment"),
        ("an item is damaged (x; y); a rebuild writes it again", "(x; y)", "a rebuild writes it"),
    ],
)
def test_way_out_of_a_503_is_the_registrys(
    run: Run,
    gateway: HttpGateway,
    monkeypatch: pytest.MonkeyPatch,
    detail: str,
    what: str,
    way_out: str,
) -> None:
    """To try again would not help if an item is damaged."""
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    gateway.script.extend([_problem(503, detail)] * 9)

    ended = run("list")

    error, _, rest = ended.err.partition("\n")
    assert (ended.status, error.endswith(what)) == (1, True)
    assert f"Way out: {way_out}" in rest
    assert ended.err.count("try again") == detail.count("try again")


def test_server_error_leads_to_the_log(run: Run, gateway: HttpGateway) -> None:
    gateway.script.append(_problem(500, "a bug"))

    ended = run("list")

    assert ended.status == 1
    assert "registry-api" in ended.err


def test_options_may_come_before_or_after_the_command(run: Run, gateway: HttpGateway) -> None:
    """`aws` accepts them in both places."""
    for arguments in (
        ("--url", gateway.url, "--json", "list"),
        ("list", "--url", gateway.url, "--json"),
    ):
        gateway.requests.clear()

        assert run(*arguments).document == {"services": []}

        assert [target.partition("?")[0] for _, target in gateway.calls()] == ["/services"]


@pytest.mark.parametrize(
    ("arguments", "variables"),
    [
        ((), {}),
        (("--stack", "sd"), {}),
        ((), {"SERVICE_REGISTRY_STACK": "sd"}),
        (("--stack", "sd"), {"SERVICE_REGISTRY_STACK": "other"}),
    ],
)
def test_registry_is_found_by_its_stack(
    run: Run,
    gateway: HttpGateway,
    aws_server: AwsServer,
    environment: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    variables: dict[str, str],
) -> None:
    if arguments or variables:
        aws_server.stacks = {"sd": aws_server.stacks["service-discovery"]}
    for name, text in variables.items():
        environment.setenv(name, text)

    ended = run("list", "--json", *arguments)

    assert ended.document == {"services": []}
    assert "/restapis/abc1234567/v1/_user_request_/services" in gateway.calls()[-1][1]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--stack", "sd", "policy", "publisher", "users"),
        ("policy", "--stack", "sd", "publisher", "users"),
        ("policy", "publisher", "users", "--stack", "sd"),
        ("--stack", "other", "policy", "publisher", "users", "--stack", "sd"),
    ],
)
def test_option_may_follow_each_part_of_a_command(
    run: Run, aws_server: AwsServer, arguments: tuple[str, ...]
) -> None:
    """The last occurrence counts."""
    aws_server.stacks = {"sd": aws_server.stacks["service-discovery"]}

    assert run(*arguments).status == 0


@pytest.mark.parametrize("way", ["--url", "SERVICE_REGISTRY_URL"])
def test_address_takes_precedence_over_the_stack(
    run: Run, gateway: HttpGateway, environment: pytest.MonkeyPatch, way: str
) -> None:
    """A pipeline that has the address needs no right to see the stack."""
    arguments = ["list", "--json"]
    if way == "--url":
        environment.setenv("SERVICE_REGISTRY_URL", "https://other.example.com")
        arguments += ["--url", gateway.url]
    else:
        environment.setenv("SERVICE_REGISTRY_URL", gateway.url + "/")

    assert run(*arguments).document == {"services": []}

    assert [target.partition("?")[0] for _, target in gateway.calls()] == ["/services"]


def test_stack_option_that_the_url_variable_overrides_is_a_warning(
    run: Run, gateway: HttpGateway, environment: pytest.MonkeyPatch
) -> None:
    """Otherwise a change could go to another registry than the user intended."""
    environment.setenv("SERVICE_REGISTRY_URL", gateway.url)

    ended = run("list", "--stack", "staging", "--json")

    assert ended.document == {"services": []}
    assert "Warning: SERVICE_REGISTRY_URL is set" in ended.err


def test_bug_is_not_hidden(environment: pytest.MonkeyPatch) -> None:
    """A traceback is more useful than a wrong explanation."""
    environment.setattr("registry_cli.connection.Connection.registry", lambda _self: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        cli.main(["list"], prog_name="service-registry")
