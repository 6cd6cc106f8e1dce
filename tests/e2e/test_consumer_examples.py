"""The SAM examples of consumers, deployed to the local stack and run with the layer."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import boto3
import pytest

from local import deployment
from local.emulator import REGION, Emulator, credentials
from local.execution_environment import Function, execution_environment
from local.services import deploy_service
from testing import node_packages
from tests.conftest import ROOT
from tests.e2e.conftest import App

_EXAMPLES = ROOT / "examples/consumers"
_REFERENCE = re.compile(r"\{\{resolve:ssm:([\w/-]+)\}\}")
_INDEX = {"latest": "1.4.2", "1.x": "1.4.2", "1.4.x": "1.4.2", "1.4.2": "1.4.2"}


@pytest.fixture(scope="module")
def users(app: App) -> str:
    """Publish `users` 1.4.2, a function on the emulator, and return its ARN."""
    arn = deploy_service(app.emulator, "users", "1.4.2")
    app.publish("users", "1.4.2", arn=arn)
    app.wait_for_index("users", _INDEX)
    return arn


def _python(folder: Path) -> tuple[list[str], dict[str, str]]:
    # In the order of Lambda's runtime for Python: the function's folder, then the layers'.
    variables = {"PYTHONPATH": f"{folder / 'src'}:/opt/python", "PYTHONDONTWRITEBYTECODE": "1"}
    return [sys.executable, "-m", "awslambdaric", "app.handler"], variables


def _node(folder: Path) -> tuple[list[str], dict[str, str]]:
    # Lambda's runtime for Node.js also looks for ES modules in NODE_PATH; Node.js does not.
    modules = folder / "node_modules"
    modules.mkdir()
    (modules / "service-discovery").symlink_to("/opt/nodejs/node_modules/service-discovery")
    for each in node_packages.node_modules().iterdir():
        (modules / each.name).symlink_to(each)
    runtime = str(ROOT / "local/node_runtime.mjs")
    return [node_packages.node(), runtime, str(folder / "src"), "app.handler"], {}


def _shell(folder: Path) -> tuple[list[str], dict[str, str]]:
    return [str(folder / "src/bootstrap")], {}


def _resolve_parameters(template: Path, aws: Emulator) -> None:
    """Replace `{{resolve:ssm:...}}` as CloudFormation does; the emulator does not."""
    client = boto3.client(
        "ssm",
        region_name=REGION,
        endpoint_url=aws.url,
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )

    def _value(match: "re.Match[str]") -> str:
        return str(client.get_parameter(Name=match[1])["Parameter"]["Value"])

    text = template.read_text(encoding="utf-8")
    template.write_text(_REFERENCE.sub(_value, text), encoding="utf-8")


_RUN = {"sam-python": _python, "sam-node": _node, "sam-shell": _shell}


@pytest.mark.parametrize("name", _RUN)
def test_example_calls_the_service(name: str, app: App, users: str, tmp_path: Path) -> None:
    """The example is deployed as in its README, then run with the deployed function's variables."""
    folder = shutil.copytree(_EXAMPLES / name, tmp_path / name)
    command, variables = _RUN[name](folder)
    _resolve_parameters(folder / "template.yaml", app.emulator)
    stack = f"example-{name}"
    outputs = deployment.deploy_template(
        app.emulator, tmp_path, folder / "template.yaml", stack=stack
    )
    deployed = app.emulator.functions().get_function_configuration(
        FunctionName=outputs["FunctionName"]
    )
    function = Function(
        name=name,
        command=command,
        variables={
            **credentials(),
            **deployed["Environment"]["Variables"],
            **variables,
            "AWS_ENDPOINT_URL": app.emulator.url,
            "SERVICES_FILE": str(tmp_path / "services.json"),
        },
    )

    with execution_environment(function, app.deployment.layer, tmp_path / "run") as environment:
        invocation = environment.invoke({"user": 7})

    assert invocation.status == 200
    assert [layer["Arn"] for layer in deployed["Layers"]] == [
        app.deployment.outputs["ExtensionLayerArn"]
    ]
    if name == "sam-shell":
        assert invocation.payload == {"status": 200, "users": users}
    else:
        expected = {"status": 200, "greeting": "Hello, Ada!", "users": "1.4.2"}
        assert invocation.payload == expected


def _build_image(layer: Path, folder: Path) -> Path:
    """Build the example's image, and return the folder with its files.

    AWS's base image is not available here: it is replaced by an empty image with its variables.
    """
    program = shutil.which("buildah")
    if program is None:
        pytest.skip("buildah is not installed here: the image was not built")
    storage = ("--root", str(folder / "root"), "--runroot", str(folder / "run"))
    files = folder / "files"

    def buildah(*arguments: str) -> str:
        ended = subprocess.run(
            [program, *storage, "--storage-driver", "vfs", *arguments],
            cwd=_EXAMPLES / "container-image",
            env={**os.environ, "BUILDAH_ISOLATION": "chroot"},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout.strip()

    base = buildah("from", "scratch")
    buildah("config", "--env", "LAMBDA_TASK_ROOT=/var/task", base)
    buildah("commit", base, "public.ecr.aws/lambda/python:3.13")
    buildah(
        *("build", "--pull-never", "--build-context", f"layer={layer}"),
        *("--output", f"type=local,dest={files}", "."),
    )
    return files


def test_image_has_the_layer_where_lambda_looks(app: App, users: str, tmp_path: Path) -> None:
    """The image's files run as a function; AWS's base image searches `/opt/python`, too."""
    files = _build_image(app.deployment.layer, tmp_path)
    text = (_EXAMPLES / "container-image/Dockerfile").read_text(encoding="utf-8")
    (handler,) = re.findall(r'^CMD \["(.*)"\]$', text, re.MULTILINE)
    function = Function(
        name="container-image",
        command=[sys.executable, "-m", "awslambdaric", handler],
        variables={
            **credentials(),
            "PYTHONPATH": f"{files / 'var/task'}:/opt/python",
            "PYTHONDONTWRITEBYTECODE": "1",
            "AWS_ENDPOINT_URL": app.emulator.url,
            "NEEDED_SERVICES": "users==1.x",
            "SERVICES_FILE": str(tmp_path / "services.json"),
        },
    )

    with execution_environment(function, files / "opt", tmp_path / "run") as environment:
        invocation = environment.invoke({"user": 7})

    assert users
    assert invocation.payload == {"status": 200, "greeting": "Hello, Ada!", "users": "1.4.2"}
