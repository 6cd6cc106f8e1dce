"""A function's ZIP file in a release."""

import json
import zipfile
from pathlib import Path, PurePosixPath

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from release.bill_of_materials import bill_of_materials
from release.functions import write_function
from tests.conftest import ROOT

pytestmark = pytest.mark.slow


def test_function_has_the_pinned_packages_and_nothing_of_this_machine(tmp_path: Path) -> None:
    """Without bytecode, scripts, dates and paths the bytes do not depend on the machine."""
    pins = (ROOT / "infra/stream_sync/requirements.txt").read_text(encoding="utf-8")
    pinned = {line.split("==")[0] for line in pins.splitlines() if "==" in line}

    written = write_function(ROOT / "infra/stream_sync", tmp_path / "one.zip")

    with zipfile.ZipFile(written.path) as archive:
        entries = archive.infolist()
        order = [entry.filename for entry in entries]
        names = set(order)
        metadata = [archive.read(name) for name in names if ".dist-info/" in name]
    assert order == sorted(order, key=PurePosixPath)
    packages = {package.name.lower().replace("_", "-") for package in written.packages}
    assert packages == {name.lower().replace("_", "-") for name in pinned}
    assert {"stream_sync/handler.py", "registry_model/version.py", "boto3/__init__.py"} <= names
    assert not any(name.endswith(".pyc") or name.startswith("bin/") for name in names)
    assert {entry.date_time[0] for entry in entries} == {1980}
    assert not any(
        str(tmp_path).encode() in text or str(ROOT).encode() in text for text in metadata
    )
    bill = bill_of_materials("stream-sync", "0.1.0", written.packages)
    assert all(component["licenses"] for component in json.loads(bill)["components"])
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill) is None
