"""The listings of docs/functions.md, compiled and run if the machine has the compiler."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from registry_model import services_file
from tests.conftest import ROOT
from tests.docs.listings import listings, the_listing

_PAGE = "docs/functions.md"
_COMPILED_WITHIN_S = 120
_FETCHED_WITHIN_S = 60


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed here: its listing in {_PAGE} was not run")
    return found


def _compile(command: list[str], folder: Path) -> None:
    ran = subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=_COMPILED_WITHIN_S,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def _java(folder: Path) -> list[str]:
    compiler, java = _program("javac"), _program("java")
    parts = ("jackson-databind", "jackson-core", "jackson-annotations")
    kept = Path.home() / ".m2/repository/com/fasterxml/jackson/core"
    jars = [sorted(kept.glob(f"{part}/2.*/{part}-*[0-9].jar")) for part in parts]
    if not all(jars):
        pytest.skip("Jackson is not in the local Maven repository: the Java listing was not run")
    version = next(
        jar.parent.name
        for jar in reversed(jars[0])
        if (kept / f"jackson-core/{jar.parent.name}/jackson-core-{jar.parent.name}.jar").exists()
    )
    annotations = [jar for jar in jars[2] if version.startswith(jar.parent.name.rpartition(".")[0])]
    found = [kept / f"{part}/{version}/{part}-{version}.jar" for part in parts[:2]]
    path = ":".join([*map(str, [*found, (annotations or jars[2])[-1]]), str(folder)])
    (folder / "Services.java").write_text(the_listing(_PAGE, "java"), encoding="utf-8")
    _compile([compiler, "-Xlint:all", "-Werror", "-cp", path, "Services.java"], folder)
    return [java, "-cp", path, "Services"]


def _go(folder: Path) -> list[str]:
    go = _program("go")
    (folder / "main.go").write_text(the_listing(_PAGE, "go"), encoding="utf-8")
    _compile([go, "vet", "main.go"], folder)
    _compile([go, "build", "-o", "services", "main.go"], folder)
    return [str(folder / "services")]


def _csharp(folder: Path) -> list[str]:
    dotnet = _program("dotnet")
    (folder / "Services.cs").write_text(the_listing(_PAGE, "csharp"), encoding="utf-8")
    (folder / "services.csproj").write_text(
        '<Project Sdk="Microsoft.NET.Sdk"><PropertyGroup><OutputType>Exe</OutputType>'
        "<TargetFramework>net8.0</TargetFramework><Nullable>enable</Nullable>"
        "<RollForward>Major</RollForward></PropertyGroup></Project>",
        encoding="utf-8",
    )
    _compile([dotnet, "build", "-o", "built"], folder)
    return [str(folder / "built/services")]


def _ruby(folder: Path) -> list[str]:
    ruby = _program("ruby")
    (folder / "services.rb").write_text(the_listing(_PAGE, "ruby"), encoding="utf-8")
    return [ruby, "-w", str(folder / "services.rb")]


def _rust(folder: Path) -> list[str]:
    cargo = _program("cargo")
    (folder / "src").mkdir()
    (folder / "src/main.rs").write_text(the_listing(_PAGE, "rust"), encoding="utf-8")
    (folder / "Cargo.toml").write_text(
        '[package]\nname = "services"\nversion = "0.1.0"\nedition = "2021"\n'
        '[dependencies]\nserde_json = "1"\n',
        encoding="utf-8",
    )
    # Debian's package librust-serde-json-dev has the sources of all that is needed.
    sources = Path("/usr/share/cargo/registry")
    if any(sources.glob("serde_json-*")):
        settings = [
            'source.crates-io.replace-with="debian"',
            f'source.debian.directory="{sources}"',
        ]
        cargo_command = [cargo, *(part for each in settings for part in ("--config", each))]
    else:
        cargo_command = [cargo]
    try:
        subprocess.run(
            [*cargo_command, "fetch", "--quiet"],
            cwd=folder,
            check=True,
            capture_output=True,
            timeout=_FETCHED_WITHIN_S,
        )
    except subprocess.SubprocessError:
        pytest.skip("cargo cannot get serde_json here: the Rust listing was not run")
    _compile([*cargo_command, "build", "--quiet", "--offline"], folder)
    return [str(folder / "target/debug/services")]


def _perl(folder: Path) -> list[str]:
    perl = _program("perl")
    (folder / "services.pl").write_text(the_listing(_PAGE, "perl"), encoding="utf-8")
    return [perl, str(folder / "services.pl")]


def _shell(folder: Path) -> list[str]:
    _program("jq")
    (folder / "services.sh").write_text(the_listing(_PAGE, "bash"), encoding="utf-8")
    return [_program("bash"), "-eu", str(folder / "services.sh")]


_LANGUAGES = {
    "java": _java,
    "go": _go,
    "csharp": _csharp,
    "ruby": _ruby,
    "rust": _rust,
    "perl": _perl,
    "bash": _shell,
}


def test_every_listing_is_run_here() -> None:
    """A language that is added to the page must be added to this test."""
    languages = {each.language for each in listings(ROOT / _PAGE)} - {"json"}

    assert languages == set(_LANGUAGES)


def _services_files() -> list[str]:
    """Return the page's services files."""
    return [each.text for each in listings(ROOT / _PAGE) if each.language == "json"]


def test_services_files_are_as_the_extension_reads_them() -> None:
    """The extension accepts the page's file and each of its members as an earlier run's."""
    for text in _services_files():
        assert services_file.parse(text.encode()).keys() == json.loads(text).keys()


@pytest.mark.parametrize("language", _LANGUAGES)
def test_listing_returns_the_arn_or_fails_with_the_reason(language: str, tmp_path: Path) -> None:
    document = _services_files()[-1]
    arn = json.loads(document)["users"]["arn"]
    path = tmp_path / "services.json"
    path.write_text(document, encoding="utf-8")
    folder = tmp_path / "program"
    folder.mkdir()
    command = _LANGUAGES[language](folder)

    def _ask(name: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*command, name],
            env={**os.environ, "SERVICES_FILE": str(path)},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    known, missing, unknown = _ask("users"), _ask("billing"), _ask("orders")

    assert (known.returncode, known.stdout.strip()) == (0, arn), known.stderr
    assert missing.returncode != 0
    assert "no version of 'billing' matches '==1.x'" in missing.stderr
    assert unknown.returncode != 0
    assert "orders: it is not in NEEDED_SERVICES" in unknown.stderr
