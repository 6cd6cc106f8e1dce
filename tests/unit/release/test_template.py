"""A release's template, which deploys the files beside it without a build."""

from samcli.yamlhelper import yaml_parse

from release.__main__ import packaged_template
from release.functions import RUNTIME
from tests.conftest import ROOT


def test_packaged_template_names_only_files_of_the_release() -> None:
    """`sam deploy` uploads them unchanged."""
    template = yaml_parse((ROOT / "infra/template.yaml").read_text(encoding="utf-8"))

    packaged, folders = packaged_template(template)

    resources = packaged["Resources"].values()
    named = {
        resource["Properties"].get("CodeUri") or resource["Properties"]["ContentUri"]
        for resource in resources
        if resource["Type"] in ("AWS::Serverless::Function", "AWS::Serverless::LayerVersion")
    }
    layers = {"service-discovery-layer-x86_64.zip", "service-discovery-layer-arm64.zip"}
    assert {"registry_api", "stream_sync"} <= folders
    assert all((ROOT / "infra" / folder / "requirements.txt").is_file() for folder in folders)
    assert named == layers | {f"{folder.replace('_', '-')}.zip" for folder in folders}
    assert not any("BuildMethod" in resource.get("Metadata", {}) for resource in resources)
    assert packaged["Parameters"]["PythonRuntime"]["AllowedValues"] == [RUNTIME]
