"""The examples of services that publish themselves, and of rules: tests without AWS."""

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from samcli.yamlhelper import yaml_parse

from publisher.properties import ServiceVersion
from testing import example_tools, hcl
from testing.arns import ARN as _ARN
from testing.template_faults import template_faults
from tests.conftest import ROOT

_EXAMPLES = ROOT / "examples/services"


def _assert_publishes(resources: dict[str, Any]) -> None:
    """Check that the publisher accepts the one published version, and keeps it on deletion."""
    (published,) = (
        each["Properties"]
        for each in resources.values()
        if each["Type"] == "Custom::ServiceVersion"
    )
    versions = [name for name, each in resources.items() if each["Type"] == "AWS::Lambda::Version"]
    (version,) = versions
    assert published["Arn"] == {"Ref": version}
    assert resources[version]["DeletionPolicy"] == "Retain"
    parsed = ServiceVersion.parse(published | {"Arn": _ARN})
    assert parsed.physical_id == "users@1.42.0"
    assert parsed.metadata == {"team": "accounts"}
    assert "ServiceToken" in published


def test_function_of_the_serverless_example_is_that_of_the_others() -> None:
    """The framework packages only its own folder."""
    assert (_EXAMPLES / "serverless/app.py").read_text() == (_EXAMPLES / "users/app.py").read_text()


def test_sam_template_passes_cfn_lint() -> None:
    template = (_EXAMPLES / "sam/template.yaml").read_text(encoding="utf-8")

    # E1020: SAM defines `!Ref Function.Version`.
    assert template_faults(template, regions=["eu-west-1"], ignore_checks=["E1020"]) == []
    properties = yaml_parse(template)["Resources"]["UsersPublished"]["Properties"]
    assert ServiceVersion.parse(properties | {"Arn": _ARN}).physical_id == "users@1.42.0"


@pytest.mark.parametrize("name", ["chat", "pipeline"])
def test_template_of_a_rule_passes_cfn_lint(name: str) -> None:
    template = (ROOT / f"examples/events/{name}.yaml").read_text(encoding="utf-8")

    assert template_faults(template, regions=["eu-west-1"]) == []


@pytest.mark.timeout(600)
def test_cdk_app_is_synthesized(tmp_path: Path) -> None:
    python = example_tools.python_with(*example_tools.CDK)
    folder = shutil.copytree(_EXAMPLES, tmp_path / "services") / "cdk"

    ran = example_tools.run([str(python), "app.py"], folder, CDK_OUTDIR=str(tmp_path / "out"))

    assert ran.returncode == 0, ran.stderr
    template = json.loads((tmp_path / "out/users.template.json").read_text(encoding="utf-8"))
    _assert_publishes(template["Resources"])
    defaults = [each.get("Default") for each in template["Parameters"].values()]
    assert "/service-discovery/publisher" in defaults


@pytest.mark.timeout(600)
def test_serverless_service_is_packaged(tmp_path: Path) -> None:
    """The framework's open-source successor reads the same files."""
    serverless = example_tools.node_program("serverless", "osls@3.51.0")
    folder = shutil.copytree(_EXAMPLES / "serverless", tmp_path / "serverless")

    ran = example_tools.run(
        [str(serverless), "package"],
        folder,
        AWS_ACCESS_KEY_ID="none",
        AWS_SECRET_ACCESS_KEY="none",
        SLS_TELEMETRY_DISABLED="1",
        SLS_NOTIFICATIONS_MODE="off",
        HOME=str(tmp_path),
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr
    built = folder / ".serverless/cloudformation-template-update-stack.json"
    template = json.loads(built.read_text(encoding="utf-8"))
    _assert_publishes(template["Resources"])
    assert template["Parameters"]["Publisher"]["Default"] == "/service-discovery/publisher"


def test_terraform_input_has_the_publishers_properties() -> None:
    """The provider sends it unchanged: its names are compared with the publisher's."""
    found = hcl.parse((_EXAMPLES / "terraform/main.tf").read_text(encoding="utf-8"))
    (published,) = found["resource"]["aws_lambda_invocation"]["users_published"]
    names = re.findall(r"^    (\w+) +=", published["input"], re.MULTILINE)

    properties = dict.fromkeys(names, "users") | {
        "VersionPrefix": "1",
        "Arn": _ARN,
        "Metadata": {},
        "OnDelete": "Retain",
    }
    assert ServiceVersion.parse(properties).physical_id == "users@1.42.0"
    assert published["lifecycle_scope"] == "CRUD"


def test_unit_tests_pass(tmp_path: Path) -> None:
    """They run as for a user: in a copy of the folder outside the repository."""
    folder = shutil.copytree(_EXAMPLES, tmp_path / "services")

    ran = example_tools.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"], folder
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "1 passed" in ran.stdout
