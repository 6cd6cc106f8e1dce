"""Listings of the pages that are complete programs: they are run unchanged."""

import re
import sys
from pathlib import Path

import pytest

from testing import example_tools, node_packages
from tests.conftest import ROOT
from tests.docs.listings import listings, the_listing

_PYTHON = """
from service_discovery import get_arn

def handler(event, context):
    return {"called": get_arn("users")}
"""
_NODE = """
import { getArn } from "service-discovery";

export const handler = async () => ({ called: getArn("users") });
"""


def _listing(page: str, language: str, contains: str) -> str:
    (found,) = (
        each.text
        for each in listings(ROOT / page)
        if each.language == language and contains in each.text
    )
    return found


def test_unit_test_in_python_passes(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(_PYTHON, encoding="utf-8")
    test = _listing("docs/helpers.md", "python", "def test_")
    (tmp_path / "test_app.py").write_text(test, encoding="utf-8")

    ran = example_tools.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        tmp_path,
        PYTHONPATH=str(ROOT / "helpers/python"),
    )

    assert ran.returncode == 0, ran.stdout
    assert "1 passed" in ran.stdout


def test_unit_test_in_javascript_passes(tmp_path: Path) -> None:
    (tmp_path / "app.mjs").write_text(_NODE, encoding="utf-8")
    test = _listing("docs/helpers.md", "js", "node:test")
    (tmp_path / "app.test.mjs").write_text(test, encoding="utf-8")
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules/service-discovery").symlink_to(ROOT / "helpers/node")

    ran = example_tools.run([node_packages.node(), "--test"], tmp_path)

    assert ran.returncode == 0, ran.stdout
    assert "# pass 1" in ran.stdout


@pytest.mark.parametrize("page", ["docs/helpers.md", "helpers/python/README.md"])
def test_first_listing_in_python_reads_the_file(page: str, tmp_path: Path) -> None:
    program = "from service_discovery.testing import services\n"
    listing = the_listing(page, "python").rstrip().replace("\n", "\n    ")
    program += f'with services({{"users": "arn:users"}}):\n    {listing}\n'
    program += '    print(get_arn("users"), get_service("users").arn)\n'

    ran = example_tools.run(
        [sys.executable, "-c", program], tmp_path, PYTHONPATH=str(ROOT / "helpers/python")
    )

    assert (ran.returncode, ran.stdout) == (0, "arn:users arn:users\n"), ran.stderr


@pytest.mark.parametrize("page", ["docs/helpers.md", "helpers/node/README.md"])
def test_first_listing_in_javascript_reads_the_file(page: str, tmp_path: Path) -> None:
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules/service-discovery").symlink_to(ROOT / "helpers/node")
    program = 'import { services } from "service-discovery/testing";\n'
    program += 'const restore = services({ users: "arn:users" });\n'
    program += the_listing(page, "js")
    program += 'console.log(getArn("users"), getService("users").arn);\nrestore();\n'
    (tmp_path / "listing.mjs").write_text(program, encoding="utf-8")

    ran = example_tools.run([node_packages.node(), "listing.mjs"], tmp_path)

    assert (ran.returncode, ran.stdout) == (0, "arn:users arn:users\n"), ran.stderr


@pytest.mark.timeout(600)
def test_cdk_app_of_the_page_is_synthesized(tmp_path: Path) -> None:
    python = example_tools.python_with(*example_tools.CDK)
    (tmp_path / "src").mkdir()
    (tmp_path / "src/app.py").write_text("", encoding="utf-8")
    (tmp_path / "app.py").write_text(the_listing("docs/attach.md", "python"), encoding="utf-8")

    ran = example_tools.run([str(python), "app.py"], tmp_path, CDK_OUTDIR=str(tmp_path / "out"))

    assert ran.returncode == 0, ran.stderr
    template = (tmp_path / "out/consumer.template.json").read_text(encoding="utf-8")
    assert set(re.findall(r'"(/service-discovery/[\w/-]+)"', template)) == {
        "/service-discovery/index-read-policy",
        "/service-discovery/layer/x86_64",
    }
