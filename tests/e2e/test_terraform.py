"""The examples for Terraform, applied to the local stack with Terraform and AWS's provider.

Terraform takes the provider from a local mirror, which the file in TF_CLI_CONFIG_FILE names.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from local.emulator import credentials
from tests.conftest import ROOT
from tests.e2e.conftest import App

_ENDED_WITHIN_S = 240
_ARCHIVE = re.compile(r'data "archive_file" "\w+" \{.*?\n\}\n', re.DOTALL)
_ARCHIVE_PROVIDER = re.compile(r"\n    archive\s+= \{.*?\}", re.DOTALL)


class Configuration:
    """A copy of an example, whose functions' code is an archive that was made here.

    A mirror of providers may not have the one that makes archives.
    """

    def __init__(self, app: App, terraform: str, folder: Path) -> None:
        """Set Terraform's program, and the copy's folder."""
        self._terraform = terraform
        self._folder = folder
        self._main = folder / "main.tf"
        self._environment = {
            **os.environ,
            **credentials(),
            "AWS_ENDPOINT_URL": app.emulator.url,
            "CHECKPOINT_DISABLE": "1",
        }
        text = _ARCHIVE_PROVIDER.sub("", _ARCHIVE.sub("", self._main.read_text("utf-8")))
        text = re.sub(r"data\.archive_file\.\w+\.output_path", '"code.zip"', text)
        text = re.sub(
            r"data\.archive_file\.\w+\.output_base64sha256", 'filebase64sha256("code.zip")', text
        )
        self._main.write_text(text, encoding="utf-8")

    def replace(self, old: str, new: str) -> None:
        """Replace a text of the configuration."""
        text = self._main.read_text("utf-8")
        assert old in text
        self._main.write_text(text.replace(old, new), encoding="utf-8")

    def archive(self, source: Path) -> None:
        """Make the functions' archive of a folder."""
        shutil.make_archive(str(self._folder / "code"), "zip", source)

    def run(self, *arguments: str) -> str:
        """Run Terraform; return what it prints."""
        ended = subprocess.run(
            [self._terraform, *arguments],
            cwd=self._folder,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=_ENDED_WITHIN_S,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    def outputs(self) -> dict[str, Any]:
        """Return the values of the outputs."""
        found = json.loads(self.run("output", "-json"))
        return {name: output["value"] for name, output in found.items()}


Example = Callable[[str], Configuration]


@pytest.fixture
def example(app: App, tmp_path: Path) -> Example:
    """Return a function that initialises an example: `example("services/terraform")`."""
    terraform = shutil.which("terraform")
    mirrored = Path(os.environ.get("TF_CLI_CONFIG_FILE", "") or "/nonexistent")
    if terraform is None:
        pytest.skip("terraform is not installed here")
    if not mirrored.is_file():
        pytest.skip("TF_CLI_CONFIG_FILE names no file with a mirror of Terraform's providers")
    folder = shutil.copytree(ROOT / "examples", tmp_path / "examples")

    def _example(name: str) -> Configuration:
        configuration = Configuration(app, terraform, folder / name)
        configuration.run("init", "-input=false")
        return configuration

    return _example


def test_terraform_example_publishes_each_apply_and_keeps_the_versions(
    app: App, example: Example, tmp_path: Path
) -> None:
    """Apply, apply with other code, apply without a change, destroy."""
    service = example("services/terraform")
    # A service of its own, since other tests publish `users` to the same registry.
    service.replace('Name          = "users"', 'Name          = "tf-users"')
    service.replace('function_name    = "users"', 'function_name    = "tf-users"')
    # The emulator lists a function version's ARN without the version's number.
    service.replace(
        "aws_lambda_function.users.qualified_arn",
        '"${aws_lambda_function.users.arn}:${aws_lambda_function.users.version}"',
    )
    code = tmp_path / "examples/services/users"

    def apply() -> str:
        service.archive(code)
        service.run("apply", "-auto-approve", "-input=false", "-no-color")
        return str(service.outputs()["published_version"])

    first = apply()
    record = app.registry.send("GET", f"/services/tf-users/versions/{first}").document
    (code / "more.py").write_text("", encoding="utf-8")
    second = apply()
    latest = app.registry.send("GET", "/services/tf-users").document["latest"]
    again = apply()
    plan = service.run("plan", "-detailed-exitcode", "-input=false", "-no-color")
    service.run("destroy", "-auto-approve", "-input=false", "-no-color")

    assert (first, second, again) == ("1.1.0", "1.2.0", "1.2.0")
    assert record["arn"].endswith(":function:tf-users:1")
    assert record["metadata"]["team"] == "accounts"
    assert latest["version"] == "1.2.0"
    assert latest["arn"].endswith(":function:tf-users:2")
    assert "No changes" in plan
    kept = app.registry.send("GET", "/services/tf-users/versions").document["versions"]
    assert [each["version"] for each in kept] == ["1.2.0", "1.1.0"]


def test_terraform_example_attaches_the_layer(app: App, example: Example, tmp_path: Path) -> None:
    consumer = example("consumers/terraform")
    consumer.archive(tmp_path / "examples/consumers/terraform/src")

    consumer.run("apply", "-auto-approve", "-input=false", "-no-color")

    found = app.emulator.functions().get_function_configuration(FunctionName="checkout")
    consumer.run("destroy", "-auto-approve", "-input=false", "-no-color")
    (layer,) = found["Layers"]
    variables = found["Environment"]["Variables"]
    assert "service-discovery" in layer["Arn"]
    assert variables == {
        "NEEDED_SERVICES": "users==1.x",
        "SERVICE_DISCOVERY_TABLE": app.deployment.outputs["IndexTableName"],
    }
