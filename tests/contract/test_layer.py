"""The layer: the exact content of /opt for both architectures, reproducibly."""

import hashlib
import json
import os
import shutil
import ssl
import subprocess
import sys
import tomllib
import uuid
import zipfile
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from local.execution_environment import own_arch
from tests.conftest import ROOT, BuiltLayer

pytestmark = pytest.mark.slow

_MACHINES = {"x86_64": 62, "arm64": 183}
_FILES = {
    "extensions/service-discovery",
    "nodejs/node_modules/service-discovery/index.d.ts",
    "nodejs/node_modules/service-discovery/index.js",
    "nodejs/node_modules/service-discovery/package.json",
    "nodejs/node_modules/service-discovery/testing.d.ts",
    "nodejs/node_modules/service-discovery/testing.js",
    "python/service_discovery/__init__.py",
    "python/service_discovery/py.typed",
    "python/service_discovery/testing.py",
    "service-discovery/VERSION",
    "service-discovery/licenses/certifi.txt",
    "service-discovery/licenses/compiler-rt.txt",
    "service-discovery/licenses/mbedtls.txt",
    "service-discovery/licenses/micropython.txt",
    "service-discovery/licenses/musl.txt",
    "service-discovery/licenses/service-discovery.txt",
    "service-discovery/roots.der",
    "service-discovery/sbom.cdx.json",
}


_PROGRAM = "opt/extensions/service-discovery"


def _build(script: Path, arch: str, folder: Path) -> Path:
    subprocess.run(
        [
            *(sys.executable, str(script), "--arch", arch),
            *("--output", str(folder / "opt"), "--zip", str(folder / "layer.zip")),
        ],
        check=True,
    )
    return folder


def _files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="session", params=["x86_64", "arm64"])
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the layer of each architecture, as a folder and as a ZIP file."""
    arch: str = request.param
    return _build(ROOT / "layer/build.py", arch, tmp_path_factory.mktemp(f"layer-{arch}-"))


def _arch(built: Path) -> str:
    return built.name.split("-")[1]


@pytest.mark.parametrize("wanted", ["x86_64", "arm64"])
def test_layer_of_an_architecture_that_is_not_wanted_is_left_out(
    wanted: str, tmp_path: Path
) -> None:
    """The local stack builds only its own architecture's layer."""
    other = {"x86_64": "ServiceDiscoveryLayerArm64", "arm64": "ServiceDiscoveryLayer"}[wanted]

    subprocess.run(
        ["make", "-C", str(ROOT / "layer"), f"build-{other}"],
        env={**os.environ, "ARTIFACTS_DIR": str(tmp_path), "SERVICE_DISCOVERY_LAYERS": wanted},
        check=True,
    )

    assert [path.name for path in tmp_path.iterdir()] == ["NOT-BUILT"]


def test_layer_has_exactly_its_files(built: Path) -> None:
    """Lambda starts every file in extensions/; an unexpected one would break every function."""
    assert set(_files(built / "opt")) == _FILES
    assert (built / "opt/extensions/service-discovery").stat().st_mode & 0o777 == 0o755


def test_helpers_have_the_version_of_the_layer(built: Path) -> None:
    """Three files have the version; a release changes all of them."""
    version = (built / "opt/service-discovery/VERSION").read_text(encoding="utf-8").strip()
    package = built / "opt/nodejs/node_modules/service-discovery/package.json"
    project = tomllib.loads((ROOT / "helpers/python/pyproject.toml").read_text(encoding="utf-8"))

    assert json.loads(package.read_text(encoding="utf-8"))["version"] == version
    assert project["project"]["version"] == version


def test_program_needs_nothing_of_the_functions_runtime(built: Path) -> None:
    """It has no loader and no shared library, so LD_LIBRARY_PATH does not affect it."""
    program = (built / "opt/extensions/service-discovery").read_bytes()
    headers_at = int.from_bytes(program[32:40], "little")
    size = int.from_bytes(program[54:56], "little")
    count = int.from_bytes(program[56:58], "little")
    kinds = {int.from_bytes(program[headers_at + i * size :][:4], "little") for i in range(count)}

    assert program[:5] == b"\x7fELF\x02"
    assert int.from_bytes(program[18:20], "little") == _MACHINES[_arch(built)]
    assert 3 not in kinds, "PT_INTERP: it asks for a loader"
    assert 2 not in kinds, "PT_DYNAMIC: it asks for libraries"
    assert len(program) < 1_000_000


def test_archive_is_the_folder(built: Path) -> None:
    """`aws lambda publish-layer-version` accepts it, and it has the program's mode."""
    with zipfile.ZipFile(built / "layer.zip") as archive:
        held = {entry.filename: archive.read(entry) for entry in archive.infolist()}
        program = archive.getinfo("extensions/service-discovery")

    assert held == _files(built / "opt")
    assert program.external_attr >> 16 & 0o777 == 0o755


def test_same_inputs_give_the_same_bytes(built: Path, tmp_path: Path) -> None:
    """A clone in another folder builds the same layer."""
    shutil.copytree(ROOT / "layer", tmp_path / "a blank", ignore=shutil.ignore_patterns("*.pyc"))
    marker = tmp_path / "a blank/extension/main.py"
    original = marker.read_text(encoding="utf-8")
    marker.write_text(original + "\nCHANGED = True\n", encoding="utf-8")
    other = _build(tmp_path / "a blank/build.py", _arch(built), tmp_path / "other")
    assert _files(other / "opt") != _files(built / "opt")
    # Bytecode has no comments, so this change adds a cache key and leaves the layer's bytes the
    # same.
    marker.write_text(f"{original}\n# {uuid.uuid4()}\n", encoding="utf-8")
    before = _cached_binaries(built)

    anew = _build(tmp_path / "a blank/build.py", _arch(built), tmp_path / "anew")
    marker.write_text(original, encoding="utf-8")
    again = _build(tmp_path / "a blank/build.py", _arch(built), tmp_path / "again")

    (linked_again,) = _cached_binaries(built) - before
    linked_again.unlink()
    assert (anew / _PROGRAM).read_bytes() == (built / _PROGRAM).read_bytes()
    assert _files(again / "opt") == _files(built / "opt")
    assert (again / "layer.zip").read_bytes() == (built / "layer.zip").read_bytes()


def _cached_binaries(built: Path) -> set[Path]:
    """Return the cached binaries that have the layer's bytes."""
    sys.path.insert(0, str(ROOT / "layer"))
    try:
        import interpreter_build  # noqa: PLC0415  # the build's scripts are no package
    finally:
        sys.path.remove(str(ROOT / "layer"))
    wanted = (built / _PROGRAM).read_bytes()
    folder: Path = interpreter_build.cache_folder()
    return {
        path
        for path in folder.glob(f"binary-{_arch(built)}-*")
        if path.suffix != ".lock" and path.read_bytes() == wanted
    }


def test_bill_of_materials_names_every_part(built: Path) -> None:
    """A user can see every part of the layer."""
    document = json.loads((built / "opt/service-discovery/sbom.cdx.json").read_text())
    pins = tomllib.loads((ROOT / "layer/sources.toml").read_text(encoding="utf-8"))

    parts = {part["name"]: part for part in document["components"]}

    assert set(parts) == {"micropython", "mbedtls", "musl", "certifi", "compiler-rt"}
    assert parts["mbedtls"]["version"] == pins["mbedtls"]["version"]
    assert all(part["licenses"] for part in parts.values())


def test_bill_of_materials_is_as_its_schema_says(built: Path) -> None:
    """Scanners ignore a document that is not valid CycloneDX."""
    text = (built / "opt/service-discovery/sbom.cdx.json").read_text(encoding="utf-8")
    assert f'"specVersion": "{SchemaVersion.V1_6.to_version()}"' in text

    fault = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)

    assert fault is None, fault


def test_every_part_has_its_licence_text(built: Path) -> None:
    """The licences require that their texts are distributed with the layer."""
    beside = built / "opt/service-discovery"
    document = json.loads((beside / "sbom.cdx.json").read_text(encoding="utf-8"))

    texts = {path.stem: path.read_text(encoding="utf-8") for path in beside.glob("licenses/*.txt")}

    assert set(texts) == {part["name"] for part in document["components"]} | {"service-discovery"}
    assert all("opyright" in text or "Mozilla Public License" in text for text in texts.values())


def test_certificates_are_the_pinned_ones(built: Path) -> None:
    """The layer trusts Amazon's roots only."""
    pins = tomllib.loads((ROOT / "layer/sources.toml").read_text(encoding="utf-8"))["roots"]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=(built / "opt/service-discovery/roots.der").read_bytes())

    found = {hashlib.sha256(der).hexdigest() for der in context.get_ca_certs(binary_form=True)}

    assert found == set(pins.values())


def test_other_architectures_program_runs(built: Path) -> None:
    """Under emulation the program starts, and reports that it is not in Lambda."""
    program = str(built / "opt/extensions/service-discovery")
    command = [program]
    if _arch(built) != own_arch():
        emulator = {"arm64": "qemu-aarch64-static", "x86_64": "qemu-x86_64-static"}[_arch(built)]
        if not shutil.which(emulator):
            pytest.skip(f"{emulator} is not installed (Debian: apt-get install qemu-user-static)")
        command = [emulator, program]

    run = subprocess.run(command, env={}, capture_output=True, text=True, check=False)

    assert run.returncode == 1
    assert "AWS_LAMBDA_RUNTIME_API is not set" in run.stderr


def test_other_architecture_agrees_with_the_vectors(tmp_path: Path) -> None:
    """The program for the other architecture has the same results."""
    if not shutil.which("qemu-aarch64-static"):
        pytest.skip(
            "qemu-aarch64-static is not installed (Debian: apt-get install qemu-user-static)"
        )
    micropython = tmp_path / "micropython"
    subprocess.run(
        [
            *(sys.executable, str(ROOT / "layer/build.py"), "--arch", "arm64"),
            *("--interpreter", str(micropython)),
        ],
        check=True,
    )
    run = subprocess.run(
        [
            *("qemu-aarch64-static", "-0", "micropython", str(micropython)),
            *(str(ROOT / "tests/vectors/run_vectors.py"), str(ROOT / "tests/vectors")),
        ],
        env={"MICROPYPATH": ".frozen"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.stdout.endswith("checks, 0 failed\n"), run.stdout + run.stderr


def test_checkout_without_symbolic_links_is_refused(tmp_path: Path) -> None:
    """Git without symbolic links writes the link's target into a file; the error says so."""
    copy = tmp_path / "layer"
    shutil.copytree(ROOT / "layer", copy, ignore=shutil.ignore_patterns("*.pyc"))
    shutil.rmtree(copy / "extension")
    (copy / "extension").write_text("../extension", encoding="utf-8")

    run = subprocess.run(
        [*(sys.executable, str(copy / "build.py"), "--arch", own_arch()), "--output", "unused"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 1
    assert "this checkout has no symbolic links" in run.stderr


def test_missing_source_is_reported_by_name(tmp_path: Path) -> None:
    """The error has the file's name, its origin, its hash, and how to pin another version."""
    copy = tmp_path / "layer"
    shutil.copytree(ROOT / "layer", copy, ignore=shutil.ignore_patterns("*.pyc"))
    pins = (copy / "sources.toml").read_text(encoding="utf-8")
    lines = [line for line in pins.splitlines() if not line.startswith(("debian =", "url ="))]
    lines = ['sha256 = "' + "0" * 64 + '"' if line.startswith("sha256") else line for line in lines]
    (copy / "sources.toml").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources/mbedtls_3.6.6.orig.tar.bz2").write_text("something else")

    run = subprocess.run(
        [*(sys.executable, str(copy / "build.py"), "--arch", own_arch()), "--output", "unused"],
        env={**os.environ, "SERVICE_DISCOVERY_SOURCES": str(tmp_path / "sources")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 1
    assert "micropython 1.25.0 was not found" in run.stderr
    assert "micropython_1.25.0+ds.orig.tar.xz" in run.stderr
    assert "0" * 64 in run.stderr
    assert "SERVICE_DISCOVERY_SOURCES" in run.stderr
    assert "docs/layer.md" in run.stderr


def test_extension_imports_its_own_modules_only(layer: BuiltLayer) -> None:
    """A function's working directory may contain a package of the same name."""
    trap = layer.folder.parent / "trap/extension"
    trap.mkdir(parents=True)
    (trap / "main.py").write_text("print('trapped')\n", encoding="utf-8")

    run = subprocess.run(
        [str(layer.program)],
        env={"MICROPYPATH": str(trap.parent), "HOME": str(trap.parent)},
        cwd=trap.parent,
        capture_output=True,
        text=True,
        check=False,
    )

    assert "trapped" not in run.stdout
    assert "AWS_LAMBDA_RUNTIME_API is not set" in run.stderr
