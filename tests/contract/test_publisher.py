"""The template and the publisher: rights, variables, and the parameters for other templates."""

import re
import subprocess
import sys
from typing import Any

from publisher.invocation import WORK_MARGIN_S
from testing.template import as_list, properties_of, statements_of, template
from tests.conftest import ROOT

_PREFIX = {
    "layer/x86_64": {"Ref": "ServiceDiscoveryLayer"},
    "layer/arm64": {"Ref": "ServiceDiscoveryLayerArm64"},
    "publisher": {"Fn::GetAtt": ["PublisherFunction", "Arn"]},
    "index-table": {"Ref": "IndexTable"},
    "index-read-policy": {"Ref": "IndexReadPolicy"},
}


def _parameters() -> dict[str, dict[str, Any]]:
    return {
        each["Properties"]["Name"]["Fn::Sub"]: each["Properties"]
        for each in template()["Resources"].values()
        if each["Type"] == "AWS::SSM::Parameter"
    }


def test_ssm_parameters_have_the_values_for_consumers_templates() -> None:
    """`{{resolve:ssm:/service-discovery/layer/x86_64}}` needs no ARN."""
    found = _parameters()
    url = template()["Outputs"]["RegistryUrl"]["Value"]

    assert {name: each["Value"] for name, each in found.items()} == {
        **{"${ParameterPrefix}/" + name: value for name, value in _PREFIX.items()},
        "${ParameterPrefix}/registry-url": url,
    }
    assert all(each["Description"] for each in found.values())
    assert {each["Type"] for each in found.values()} == {"String"}


def test_publisher_may_make_its_calls_only_for_the_allowed_services() -> None:
    """IAM prevents a team's template from publishing another team's service."""
    calls, ledger, stacks = statements_of("PublisherFunction")[:3]

    paths = [re.sub(r"^.*/v1/", "", each["Fn::Sub"]) for each in as_list(calls["Resource"])]
    assert calls["Action"] == "execute-api:Invoke"
    assert paths == [
        "GET/services/${PublisherServices}",
        "*/services/${PublisherServices}/versions/*",
        "PUT/services/${PublisherServices}/channels/*",
        "DELETE/services/${PublisherServices}/channels/*",
    ]
    assert ledger["Resource"] == {"Fn::GetAtt": ["PublisherLedger", "Arn"]}
    assert {each.removeprefix("dynamodb:") for each in ledger["Action"]} == {
        "DeleteItem",
        "GetItem",
        "PutItem",
        "Query",
    }
    assert {each.removeprefix("cloudformation:") for each in stacks["Action"]} == {
        "DescribeStackResource",
        "DescribeStacks",
    }


def test_publisher_knows_the_registry_the_ledger_and_the_names() -> None:
    variables = properties_of("PublisherFunction")["Environment"]["Variables"]

    assert variables["REGISTRY_URL"] == template()["Outputs"]["RegistryUrl"]["Value"]
    assert variables["LEDGER_TABLE"] == {"Ref": "PublisherLedger"}
    assert variables["ALLOWED_SERVICES"] == {"Ref": "PublisherServices"}


def test_results_of_requests_expire_in_the_ledger() -> None:
    """The attribute that the code writes is the one that the table's time to live uses."""
    ledger = properties_of("PublisherLedger")

    assert ledger["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}
    assert '"expires_at"' in (ROOT / "publisher/dynamo_ledger.py").read_text("utf-8")


def test_publisher_starts_with_the_variables_that_the_template_sets() -> None:
    """With a wrong name every cold start fails."""
    variables = dict.fromkeys(properties_of("PublisherFunction")["Environment"]["Variables"], "1")
    # Lambda's runtime sets the root logger to the stack's LogLevel: botocore would log headers.
    script = (
        "import logging; logging.getLogger().setLevel(logging.DEBUG)\n"
        "from publisher.handler import handler\n"
        "print(callable(handler))\n"
        "print(logging.getLogger('botocore.parsers').isEnabledFor(logging.DEBUG))"
    )

    started = subprocess.run(
        [sys.executable, "-c", script],
        env={**variables, "POWERTOOLS_LOG_LEVEL": "INFO", "AWS_REGION": "eu-west-1"}
        | {"AWS_DEFAULT_REGION": "eu-west-1"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (started.returncode, started.stdout) == (0, "True\nFalse\n"), started.stderr


def test_source_folder_holds_only_the_publisher_and_what_it_imports() -> None:
    """SAM's builder copies the whole folder."""
    folder = ROOT / "infra/publisher"

    assert {path.name for path in folder.iterdir()} == {
        "publisher",
        "registry_client",
        "registry_model",
        "requirements.txt",
    }
    assert all(path.is_symlink() and path.exists() for path in folder.iterdir())


def test_most_of_the_time_is_for_the_registry_and_the_rest_for_the_response() -> None:
    """The watchdog's margin is a part of the function's timeout."""
    assert properties_of("PublisherFunction")["Timeout"] > 4 * WORK_MARGIN_S
