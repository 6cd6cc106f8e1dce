"""The results of `sam build` and `sam deploy`."""

import io
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from local import loopback
from tests.conftest import BuiltLayer
from tests.e2e.conftest import App

# The content of /opt: the extension, and the helpers for Python and Node.js.
_LAYER = {"extensions", "nodejs", "python", "service-discovery"}


def test_outputs_have_every_address(app: App) -> None:
    """Pipelines and consumers' stacks need no other values."""
    outputs = app.deployment.outputs

    assert outputs["IndexTableName"] == "ServiceIndex"
    assert outputs["RegistryUrl"].startswith("https://")
    assert ":layer:" in outputs["ExtensionLayerArn"]
    assert ":layer:" in outputs["ExtensionLayerArm64Arn"]
    assert ":policy/" in outputs["IndexReadPolicyArn"]
    table = app.emulator.dynamodb().describe_table(TableName=outputs["VersionsTableName"])["Table"]
    assert table["StreamSpecification"]["StreamEnabled"]


def test_built_layer_is_the_same_as_the_layers_own_build(app: App, layer: BuiltLayer) -> None:
    """The layer that the other tests use is the one that ships."""
    assert _contents(app.deployment.layer) == _contents(layer.folder)
    assert [path.name for path in (app.deployment.layer / "extensions").iterdir()] == [
        "service-discovery"
    ]
    assert {path.name for path in app.deployment.layer.iterdir()} == _LAYER


@pytest.mark.parametrize("output", ["ExtensionLayerArn", "ExtensionLayerArm64Arn"])
def test_deployed_layer_has_a_program_that_can_be_run(app: App, output: str) -> None:
    """Without the mode in the ZIP file no function with the layer could start."""
    name, version = app.deployment.outputs[output].split(":")[-2:]
    found = app.emulator.functions().get_layer_version(LayerName=name, VersionNumber=int(version))

    with loopback.urlopen(found["Content"]["Location"], timeout=30) as response:
        archive = zipfile.ZipFile(io.BytesIO(response.read()))

    program = archive.getinfo("extensions/service-discovery")
    assert program.external_attr >> 16 & 0o111 == 0o111
    assert {name.split("/")[0] for name in archive.namelist()} == _LAYER


_PACKAGES = {
    "RegistryApiFunction": "registry_api",
    "StreamSyncFunction": "stream_sync",
    "ConsumerScanFunction": "consumer_scan",
}


@pytest.fixture(scope="module")
def artefacts(app: App, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Unpack functions as Lambda does; return the folder of their folders."""
    folder = tmp_path_factory.mktemp("artefacts")
    for function in _PACKAGES:
        shutil.unpack_archive(app.deployment.layer.parent / f"{function}.zip", folder / function)
    return folder


@pytest.mark.parametrize(("function", "package"), _PACKAGES.items())
def test_artefact_imports_without_other_packages(
    artefacts: Path, function: str, package: str
) -> None:
    """The emulator's Python has packages that Lambda's does not have."""
    artefact = artefacts / function
    script = (
        f"import sys; sys.path.insert(0, {str(artefact)!r})\n"
        f"from {package}.handler import handler\n"
        "import boto3, registry_tables\n"
        "print(boto3.__file__, registry_tables.__file__)"
    )

    started = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script],
        env={
            "AWS_DEFAULT_REGION": "eu-west-1",
            "VERSIONS_TABLE": "versions",
            "INDEX_TABLE": "index",
            "CONSUMERS_TABLE": "consumers",
            "INDEX_COPIES": "1",
            "POWERTOOLS_METRICS_NAMESPACE": "ServiceDiscovery",
        },
        capture_output=True,
        text=True,
        check=False,
    )

    assert started.returncode == 0, started.stderr
    assert all(Path(path).is_relative_to(artefact) for path in started.stdout.split())


@pytest.mark.parametrize(("function", "package"), _PACKAGES.items())
def test_artefact_has_only_what_it_runs(artefacts: Path, function: str, package: str) -> None:
    """Tests and tools in production would add size, and code to attack."""
    artefact = artefacts / function
    ours = {
        *("registry_api", "stream_sync", "consumer_scan", "publisher", "registry_cli"),
        *("extension", "helpers", "local", "tests", "testing", "layer", "infra"),
    }

    present = {path.name for path in artefact.iterdir()}

    assert present & ours == {package}
    assert not {name for name in present if name.startswith((".venv", "pytest", "moto"))}


def _contents(folder: Path) -> dict[str, tuple[bool, bytes]]:
    return {
        path.relative_to(folder).as_posix(): (os.access(path, os.X_OK), path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }
