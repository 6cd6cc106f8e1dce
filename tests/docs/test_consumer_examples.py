"""The examples of consumers: their own unit tests, and what can be checked without AWS."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cfnlint.api
import pytest

from testing import node_packages
from tests.conftest import ROOT

EXAMPLES = ROOT / "examples/consumers"
_PYTHON = ("sam-python", "snapstart")
_SAM = ("sam-python", "sam-node", "sam-shell", "snapstart")
_SAME_CODE = ("container-image/app.py", "cdk/src/app.py", "terraform/src/app.py")


def _run(command: list[str], folder: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize("name", _PYTHON)
def test_unit_tests_in_python_pass(name: str, tmp_path: Path) -> None:
    """As a user runs them: in the example's folder, copied out of the repository."""
    folder = shutil.copytree(EXAMPLES / name, tmp_path / name)

    ran = _run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        folder,
        PYTHONPATH=str(ROOT / "helpers/python"),
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "2 passed" in ran.stdout


def test_unit_tests_in_javascript_pass(tmp_path: Path) -> None:
    """Run with `npm test`'s own command, with the packages that `npm install` would install."""
    folder = shutil.copytree(EXAMPLES / "sam-node", tmp_path / "sam-node")
    package = json.loads((folder / "package.json").read_text(encoding="utf-8"))
    assert package["scripts"]["test"] == "node --test"
    helper = package["devDependencies"]["service-discovery"].removeprefix("file:")
    assert (EXAMPLES / "sam-node" / helper).resolve() == ROOT / "helpers/node"
    (folder / "node_modules").mkdir()
    (folder / "node_modules/service-discovery").symlink_to(ROOT / "helpers/node")
    for each in node_packages.node_modules().iterdir():
        (folder / "node_modules" / each.name).symlink_to(each)

    ran = _run([node_packages.node(), "--test"], folder)

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "# pass 2" in ran.stdout


def test_unit_tests_in_shell_pass() -> None:
    ran = _run(["bash", "tests/test.sh"], EXAMPLES / "sam-shell")

    assert (ran.returncode, ran.stdout) == (0, "3 tests passed\n"), ran.stderr


@pytest.mark.parametrize("name", _SAM)
def test_template_passes_cfn_lint(name: str) -> None:
    template = (EXAMPLES / name / "template.yaml").read_text(encoding="utf-8")
    config = cfnlint.api.ManualArgs(regions=["eu-west-1"])

    assert [str(fault) for fault in cfnlint.api.lint(template, config=config)] == []


@pytest.mark.parametrize("path", _SAME_CODE)
def test_function_is_that_of_the_first_example(path: str) -> None:
    """The first example's unit tests cover it; these examples only deploy it differently."""
    first = (EXAMPLES / "sam-python/src/app.py").read_text(encoding="utf-8")

    assert (EXAMPLES / path).read_text(encoding="utf-8") == first


def test_terraform_configuration_is_valid(tmp_path: Path) -> None:
    terraform = shutil.which("terraform")
    if terraform is None:
        pytest.skip("terraform is not installed here: the example was not validated")
    folder = shutil.copytree(EXAMPLES / "terraform", tmp_path / "terraform")
    formatted = _run([terraform, "fmt", "-check", "-diff"], folder)
    assert formatted.returncode == 0, formatted.stdout + formatted.stderr
    initialized = _run([terraform, "init", "-backend=false", "-no-color"], folder)
    if initialized.returncode != 0:
        pytest.skip("terraform cannot get the AWS provider here: the example was only formatted")

    validated = _run([terraform, "validate", "-no-color"], folder)

    assert validated.returncode == 0, validated.stdout + validated.stderr


def test_cdk_app_can_be_synthesized(tmp_path: Path) -> None:
    if importlib.util.find_spec("aws_cdk") is None:
        pytest.skip("aws-cdk-lib is not installed here: the example was not synthesized")
    folder = shutil.copytree(EXAMPLES / "cdk", tmp_path / "cdk")

    ran = _run([sys.executable, "app.py"], folder, CDK_OUTDIR=str(tmp_path / "out"))

    assert ran.returncode == 0, ran.stderr
    template = (tmp_path / "out/checkout.template.json").read_text(encoding="utf-8")
    assert "/service-discovery/layer/x86_64" in template
    assert "users==1.x" in template


def test_dockerfile_copies_the_layer_to_where_lambda_looks() -> None:
    """It is not built here, since that takes a container engine."""
    text = (EXAMPLES / "container-image/Dockerfile").read_text(encoding="utf-8")
    copies = dict(re.findall(r"^COPY (.*) (\S+)$", text, re.MULTILINE))

    assert copies == {"--from=layer /": "/opt/", "app.py": "${LAMBDA_TASK_ROOT}/"}
