"""Shell listings of the pages, run with the AWS CLI on the deployed app."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
import pytest

from local import processes
from local.emulator import REGION
from local.services import deploy_service
from tests.conftest import ROOT
from tests.docs.listings import listings, the_listing
from tests.e2e.conftest import App

pytestmark = pytest.mark.xdist_group("e2e")

_MIGRATIONS = [each.text for each in listings(ROOT / "docs/compare.md") if each.language == "sh"]
_ARN = f"arn:aws:lambda:{REGION}:123456789012:function"


def _run(app: App, listing: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run a listing in a folder, with the AWS CLI and `service-registry` on the PATH."""
    if shutil.which("aws") is None:
        pytest.skip("the AWS CLI is not installed here")
    program = folder / "service-registry"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m registry_cli "$@"\n')
    program.chmod(0o755)
    environment = app.emulator.environment()
    return subprocess.run(
        ["sh", "-euc", listing],
        cwd=folder,
        env={
            **environment,
            "PATH": f"{folder}:{environment['PATH']}",
            "PYTHONPATH": str(ROOT),
            "AWS_PAGER": "",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def _arn_of(app: App, service: str) -> Any:
    found = app.registry.send("GET", f"/services/{service}")
    assert found.status == 200, found.document
    return found.document["latest"]["arn"]


def _client(app: App, service: Any) -> Any:
    return boto3.client(
        service,
        region_name=REGION,
        endpoint_url=app.emulator.url,
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )


def test_exports_are_published(app: App, tmp_path: Path) -> None:
    """Only exports that are ARNs are published."""
    values = {"moved-users": f"{_ARN}:users:42", "moved-vpc": "vpc-0a1b"}
    template = {
        "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
        "Outputs": {
            name.replace("-", ""): {"Value": value, "Export": {"Name": name}}
            for name, value in values.items()
        },
    }
    client = _client(app, "cloudformation")
    client.create_stack(StackName="moved", TemplateBody=json.dumps(template))
    processes.wait_until(
        lambda: len(client.list_exports()["Exports"]) >= 2,
        within_s=60,
        what="the stack has its exports",
    )

    ran = _run(app, _MIGRATIONS[0], tmp_path)

    assert ran.returncode == 0, ran.stderr
    assert _arn_of(app, "moved-users") == values["moved-users"]
    assert app.registry.send("GET", "/services/moved-vpc").status == 404
    client.delete_stack(StackName="moved")


def test_parameters_are_published(app: App, tmp_path: Path) -> None:
    """The last part of a path may be `arn`, as in /services/users/arn."""
    client = _client(app, "ssm")
    for name, value in {
        "/services/moved-billing/arn": f"{_ARN}:billing:7",
        "/services/moved-orders": f"{_ARN}:orders:9",
        "/services/moved-limit": "100",
    }.items():
        client.put_parameter(Name=name, Value=value, Type="String")

    ran = _run(app, _MIGRATIONS[1], tmp_path)

    assert ran.returncode == 0, ran.stderr
    assert _arn_of(app, "moved-billing") == f"{_ARN}:billing:7"
    assert _arn_of(app, "moved-orders") == f"{_ARN}:orders:9"
    assert app.registry.send("GET", "/services/moved-limit").status == 404


def test_pipeline_in_a_shell_publishes_what_passes_its_smoke_test(app: App, tmp_path: Path) -> None:
    """A function that fails is not published, although `aws lambda invoke` succeeds."""
    pipeline = the_listing("docs/pipelines.md", "sh").replace(" users ", " piped-users ")
    deploy_service(app.emulator, "piped-users", "1.0.0")

    (tmp_path / "smoke-test.json").write_text('{"fail": true}', encoding="utf-8")
    failed = _run(app, pipeline, tmp_path)
    (tmp_path / "smoke-test.json").write_text('{"id": 7}', encoding="utf-8")
    passed = _run(app, pipeline, tmp_path)

    assert failed.returncode != 0
    assert "published" not in failed.stdout
    assert passed.returncode == 0, passed.stderr
    arn = _arn_of(app, "piped-users")
    assert f"published piped-users 1.{arn.rpartition(':')[2]}.0 = {arn}" in passed.stdout
