"""The examples of consumers: their own unit tests, and what can be checked without AWS."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from testing import example_tools, node_packages
from testing.template_faults import template_faults
from tests.conftest import ROOT

EXAMPLES = ROOT / "examples/consumers"
_PYTHON = ("sam-python", "snapstart", "cdk", "terraform", "container-image")
_SAM = ("sam-python", "sam-node", "sam-shell", "snapstart")
# These examples have the function and the tests of the first one; only the deployment differs.
_SAME_FILES = {
    "src/app.py": ("container-image/app.py", "cdk/src/app.py", "terraform/src/app.py"),
    "tests/test_app.py": tuple(
        f"{name}/tests/test_app.py" for name in ("container-image", "cdk", "terraform")
    ),
}


@pytest.mark.parametrize("name", _PYTHON)
def test_unit_tests_in_python_pass(name: str, tmp_path: Path) -> None:
    """They run as for a user: in a copy of the example's folder outside the repository."""
    folder = shutil.copytree(EXAMPLES / name, tmp_path / name)

    ran = example_tools.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        folder,
        PYTHONPATH=str(ROOT / "helpers/python"),
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "2 passed" in ran.stdout


def test_unit_tests_in_javascript_pass(tmp_path: Path) -> None:
    """They run with the command of `npm test`, and the packages of `npm install`."""
    folder = shutil.copytree(EXAMPLES / "sam-node", tmp_path / "sam-node")
    package = json.loads((folder / "package.json").read_text(encoding="utf-8"))
    assert package["scripts"]["test"] == "node --test"
    helper = package["devDependencies"]["service-discovery"].removeprefix("file:")
    assert (EXAMPLES / "sam-node" / helper).resolve() == ROOT / "helpers/node"
    (folder / "node_modules").mkdir()
    (folder / "node_modules/service-discovery").symlink_to(ROOT / "helpers/node")
    for each in node_packages.node_modules().iterdir():
        (folder / "node_modules" / each.name).symlink_to(each)

    ran = example_tools.run([node_packages.node(), "--test"], folder)

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "# pass 2" in ran.stdout


def test_unit_tests_in_shell_pass() -> None:
    ran = example_tools.run(["bash", "tests/test.sh"], EXAMPLES / "sam-shell")

    assert (ran.returncode, ran.stdout) == (0, "3 tests passed\n"), ran.stderr


@pytest.mark.parametrize("name", _SAM)
def test_template_passes_cfn_lint(name: str) -> None:
    template = (EXAMPLES / name / "template.yaml").read_text(encoding="utf-8")

    assert template_faults(template, regions=["eu-west-1"]) == []


@pytest.mark.parametrize("original", _SAME_FILES)
def test_copies_are_those_of_the_first_example(original: str) -> None:
    """Each folder is complete, so that it can be copied alone."""
    expected = (EXAMPLES / "sam-python" / original).read_text(encoding="utf-8")

    for path in _SAME_FILES[original]:
        assert (EXAMPLES / path).read_text(encoding="utf-8") == expected


@pytest.mark.timeout(600)
def test_cdk_app_is_synthesized(tmp_path: Path) -> None:
    python = example_tools.python_with(*example_tools.CDK)
    folder = shutil.copytree(EXAMPLES / "cdk", tmp_path / "cdk")

    ran = example_tools.run([str(python), "app.py"], folder, CDK_OUTDIR=str(tmp_path / "out"))

    assert ran.returncode == 0, ran.stderr
    template = json.loads((tmp_path / "out/checkout.template.json").read_text(encoding="utf-8"))
    (function,) = (
        each["Properties"]
        for each in template["Resources"].values()
        if each["Type"] == "AWS::Lambda::Function"
    )
    (layer,) = function["Layers"]
    parameters = template["Parameters"]
    assert parameters[layer["Ref"]]["Default"] == "/service-discovery/layer/x86_64"
    variables = function["Environment"]["Variables"]
    assert variables["NEEDED_SERVICES"] == "users==1.x"
    table = parameters[variables["SERVICE_DISCOVERY_TABLE"]["Ref"]]["Default"]
    assert table == "/service-discovery/index-table"
