"""`python -m release FOLDER`: write the files of a release, reproducibly."""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from contents import product_version
from samcli.yamlhelper import yaml_dump, yaml_parse

from release.bill_of_materials import bill_of_materials
from release.errors import ReleaseError
from release.functions import RUNTIME, write_function

ROOT = Path(__file__).resolve().parent.parent
_TEMPLATE = ROOT / "infra/template.yaml"
_ARCHITECTURES = ("x86_64", "arm64")
# The date of the files in the package of the command line: 1980-01-01.
_EPOCH = "315532800"


def _run(step: str, command: list[str]) -> None:
    environment = {**os.environ, "SOURCE_DATE_EPOCH": _EPOCH}
    if subprocess.run(command, env=environment, cwd=ROOT, check=False).returncode:
        raise ReleaseError(step, "see above")


def _write_layers(folder: Path) -> None:
    """Build the layer of each architecture: its ZIP file and its bill of materials."""
    for arch in _ARCHITECTURES:
        with tempfile.TemporaryDirectory(prefix="service-discovery-release-") as scratch:
            _run(
                f"building the layer for {arch}",
                [
                    *(sys.executable, "layer/build.py", "--arch", arch, "--output", scratch),
                    *("--zip", str(folder / _layer_archive(arch))),
                ],
            )
            shutil.copyfile(
                Path(scratch) / "service-discovery/sbom.cdx.json",
                folder / f"service-discovery-layer-{arch}.cdx.json",
            )


def _layer_archive(arch: str) -> str:
    return f"service-discovery-layer-{arch}.zip"


def _function_archive(code_uri: str) -> str:
    return f"{code_uri.strip('./').replace('_', '-')}.zip"


def packaged_template(template: dict[str, Any]) -> tuple[dict[str, Any], set[str]]:
    """Return the template that deploys a release, and the folders of the functions in it.

    The template has the names of ZIP files in place of the folders to build, and allows only the
    runtime that the ZIP files are built for.
    """
    folders = set()
    for resource in template["Resources"].values():
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::Serverless::Function":
            folders.add(properties["CodeUri"])
            properties["CodeUri"] = _function_archive(properties["CodeUri"])
        elif resource["Type"] == "AWS::Serverless::LayerVersion":
            del resource["Metadata"]["BuildMethod"]
            (arch,) = properties["CompatibleArchitectures"]
            properties["ContentUri"] = _layer_archive(arch)
    runtime = template["Parameters"]["PythonRuntime"]
    runtime["Default"] = RUNTIME
    runtime["AllowedValues"] = [RUNTIME]
    return template, folders


def _write_application(folder: Path) -> None:
    """Write the template, and the ZIP file and the bill of materials of each function."""
    template, sources = packaged_template(yaml_parse(_TEMPLATE.read_text(encoding="utf-8")))
    (folder / "template.yaml").write_text(yaml_dump(template), encoding="utf-8")
    for source in sorted(sources):
        path = folder / _function_archive(source)
        written = write_function(_TEMPLATE.parent / source, path)
        bill = bill_of_materials(path.stem, product_version(), written.packages)
        path.with_suffix(".cdx.json").write_text(bill, encoding="utf-8")


def _write_command_line(folder: Path) -> None:
    _run(
        "building the package of the command line",
        [
            *(sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check"),
            *("--no-index", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), "."),
        ],
    )


def _write_checksums(folder: Path) -> None:
    """Write the SHA-256 of each file, in the format of `sha256sum --check`."""
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"
        for path in sorted(folder.iterdir())
    ]
    (folder / "SHA256SUMS").write_text("".join(lines), encoding="utf-8")


def write_release(folder: Path) -> None:
    """Write all files of a release to *folder*, in place of its previous content.

    Raises:
        ReleaseError: A step failed; *folder* has not changed.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".release-") as scratch:
        staged = Path(scratch) / "release"
        staged.mkdir()
        _write_layers(staged)
        _write_application(staged)
        _write_command_line(staged)
        _write_checksums(staged)
        if folder.exists():
            shutil.rmtree(folder)
        staged.replace(folder)


def main(arguments: list[str]) -> int:
    """Parse the command line and write the release."""
    parser = argparse.ArgumentParser(prog="python -m release", description=__doc__)
    parser.add_argument("folder", type=Path, help="where the files go")
    wanted = parser.parse_args(arguments)
    try:
        write_release(wanted.folder.resolve())
    except ReleaseError as error:
        print(f"release: {error}", file=sys.stderr)
        return 1
    print((wanted.folder / "SHA256SUMS").read_text(encoding="utf-8"), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
