import shutil
import subprocess
from pathlib import Path

import pytest

from testing import node_packages
from tests.conftest import ROOT

_FOLDER = Path(__file__).parent


def test_node_helper() -> None:
    """The tests of the Node.js helper are in Node's own test runner."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed here")
    files = sorted(str(path) for path in _FOLDER.glob("*.test.mjs"))

    ran = subprocess.run(
        [node, "--test", *files], capture_output=True, text=True, check=False, timeout=120
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert len(files) == 2


@pytest.mark.slow
def test_types_are_those_of_the_code(tmp_path: Path) -> None:
    """TypeScript accepts correct uses, with ES modules and CommonJS, and refuses wrong ones."""
    installed = node_packages.node_modules()
    modules = tmp_path / "node_modules"
    modules.mkdir()
    (modules / "service-discovery").symlink_to(ROOT / "helpers/node")
    files = ["types.mts", "types.cts"]
    for file in files:
        shutil.copy(_FOLDER / "types.mts", tmp_path / file)
    options = ["--noEmit", "--strict", "--module", "nodenext", "--target", "es2022"]
    # No types of Node.js are installed, and the browser's take seconds to check.
    (tmp_path / "console.d.ts").write_text(
        "declare const console: { log(...given: unknown[]): void };"
    )
    options += ["--lib", "es2022", "--preserveSymlinks"]

    ran = subprocess.run(
        [
            node_packages.node(),
            str(installed / "typescript/bin/tsc"),
            *options,
            "console.d.ts",
            *files,
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert ran.returncode == 0, ran.stdout


_IN_EACH_FORM = """
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { getArn } from "service-discovery";
import { services } from "service-discovery/testing";

const { getArn: required } = createRequire(import.meta.url)("service-discovery");
services({ users: "arn:users" });
assert.equal(getArn("users"), "arn:users");
assert.equal(required("users"), "arn:users");
"""


@pytest.mark.slow
def test_package_installs_with_its_types(tmp_path: Path) -> None:
    """Users install it from a checkout with npm, for laptops and unit tests."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed here")
    (tmp_path / "package.json").write_text("{}", encoding="utf-8")
    (tmp_path / "program.mjs").write_text(_IN_EACH_FORM, encoding="utf-8")
    command = [npm, "install", "--save-dev", "--offline", "--install-links"]

    subprocess.run(
        [*command, str(ROOT / "helpers/node")], cwd=tmp_path, check=True, capture_output=True
    )
    subprocess.run([node_packages.node(), "program.mjs"], cwd=tmp_path, check=True)

    installed = {path.name for path in (tmp_path / "node_modules/service-discovery").iterdir()}
    assert {"index.js", "index.d.ts", "testing.js", "testing.d.ts"} <= installed
