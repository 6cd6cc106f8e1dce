"""The listings of docs/compare.md that move to the registry what exports and parameters have."""

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
from tests.conftest import ROOT
from tests.docs.listings import listings
from tests.e2e.conftest import App

pytestmark = pytest.mark.xdist_group("e2e")

_LISTINGS = [each.text for each in listings(ROOT / "docs/compare.md") if each.language == "sh"]
_ARN = f"arn:aws:lambda:{REGION}:123456789012:function"


def _run(app: App, listing: str, folder: Path) -> str:
    """Run a listing with the AWS CLI and ours on the PATH."""
    if shutil.which("aws") is None:
        pytest.skip("the AWS CLI is not installed here")
    program = folder / "service-registry"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m registry_cli "$@"\n')
    program.chmod(0o755)
    environment = app.emulator.environment()
    ended = subprocess.run(
        ["sh", "-euc", listing],
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
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


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
    """Those that are ARNs; what else is exported stays where it is."""
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
        lambda: len(client.list_exports()["Exports"]) >= 2, within_s=60, what="the stack exports"
    )

    _run(app, _LISTINGS[0], tmp_path)

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

    _run(app, _LISTINGS[1], tmp_path)

    assert _arn_of(app, "moved-billing") == f"{_ARN}:billing:7"
    assert _arn_of(app, "moved-orders") == f"{_ARN}:orders:9"
    assert app.registry.send("GET", "/services/moved-limit").status == 404
