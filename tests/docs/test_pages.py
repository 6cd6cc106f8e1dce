"""README and docs/, compared with the code."""

import ast
import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest
from openapi_schema_validator import OAS31Validator
from samcli.yamlhelper import yaml_parse

from local.__main__ import argument_parser
from registry_api import openapi
from registry_cli.main import cli
from testing import hcl
from testing.template_faults import template_faults
from tests.conftest import ROOT
from tests.docs.listings import CodeListing, listings, pages

_PAGES = {str(page.relative_to(ROOT)): page for page in pages()}
_ALL = [each for page in _PAGES.values() for each in listings(page)]
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_COMMAND = re.compile(r"`(service-registry [^`]+)`")
# Languages of listings that are not programs: commands, or a query of Logs Insights.
_QUERY = re.compile(r"^(fields|filter|stats) ")


def _of(*languages: str) -> list[CodeListing]:
    return [each for each in _ALL if each.language in languages]


def _ids(found: list[CodeListing]) -> list[str]:
    return [str(each) for each in found]


def _anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("name", _PAGES)
def test_links_lead_somewhere(name: str) -> None:
    """Every relative link leads to an existing file, and to an existing heading in it."""
    page = _PAGES[name]
    broken = []
    for link in _LINK.findall(page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in _anchors(target)):
            broken.append(link)

    assert broken == []


@pytest.mark.parametrize("listing", _of("python"), ids=_ids(_of("python")))
def test_python_listing_is_python(listing: CodeListing) -> None:
    ast.parse(listing.text)


@pytest.mark.parametrize("listing", _of("json"), ids=_ids(_of("json")))
def test_json_listing_is_json(listing: CodeListing) -> None:
    json.loads(listing.text.replace("…", "x"))


@pytest.mark.parametrize("listing", _of("hcl"), ids=_ids(_of("hcl")))
def test_terraform_listing_is_well_formed(listing: CodeListing) -> None:
    assert hcl.parse(listing.text)["resource"]


@pytest.mark.parametrize("listing", _of("js"), ids=_ids(_of("js")))
def test_javascript_listing_is_javascript(listing: CodeListing, tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed here")
    module = tmp_path / "listing.mjs"
    module.write_text(listing.text, encoding="utf-8")

    checked = subprocess.run(
        [node, "--check", str(module)], capture_output=True, text=True, check=False
    )

    assert checked.returncode == 0, checked.stderr


def _template(listing: CodeListing) -> str:
    """Return a template around a listing's resources; references to others become parameters."""
    resources = yaml_parse(listing.text)
    defined = {**resources}
    text = listing.text if listing.text.startswith(" ") else _indented(listing.text)
    named = re.findall(r"!Ref (\w+)|!GetAtt (\w+)|\$\{(\w+)\}", text)
    missing = {name for names in named for name in names if name} - set(defined)
    parameters = "".join(f"  {name}:\n    Type: String\n" for name in sorted(missing))
    head = "AWSTemplateFormatVersion: '2010-09-09'\nTransform: AWS::Serverless-2016-10-31\n"
    return head + (f"Parameters:\n{parameters}" if parameters else "") + f"Resources:\n{text}"


def _indented(text: str) -> str:
    return "".join(f"  {line}" if line.strip() else line for line in text.splitlines(keepends=True))


_RESOURCES = [each for each in _of("yaml") if "Type: AWS::" in each.text or "Custom::" in each.text]


@pytest.mark.parametrize("listing", _of("yaml"), ids=_ids(_of("yaml")))
def test_yaml_listing_is_yaml(listing: CodeListing) -> None:
    assert isinstance(yaml_parse(listing.text), dict | list)


@pytest.mark.parametrize("listing", _RESOURCES, ids=_ids(_RESOURCES))
def test_resources_in_a_listing_pass_cfn_lint(listing: CodeListing) -> None:
    """Users copy the listings into their templates."""
    # E1020: SAM defines `!Ref Function.Version`.
    faults = template_faults(_template(listing), regions=["eu-west-1"], ignore_checks=["E1020"])

    assert faults == []


_OF_THE_API = [each for each in _of("json") if each.page == "docs/api.md"]
_CUT = "…"


def _whole_record(members: dict[str, Any]) -> dict[str, Any]:
    """Return an object; a version's record that the page shortens is completed."""
    if _CUT not in members:
        return members
    record: dict[str, Any]
    (record,) = (json.loads(each.text) for each in _OF_THE_API if '"published_by"' in each.text)
    return record | {name: text for name, text in members.items() if name != _CUT}


@pytest.mark.parametrize("listing", _OF_THE_API, ids=_ids(_OF_THE_API))
def test_document_of_the_api_fits_one_of_its_schemas(listing: CodeListing) -> None:
    """The page matches the description at `GET /openapi.json`."""
    described = json.loads(json.dumps(openapi.document("https://registry.example.com/v1")))
    shown = json.loads(listing.text, object_hook=_whole_record)
    fitting = [
        name
        for name, schema in described["components"]["schemas"].items()
        if set(shown) <= set(schema.get("properties", {}))
        and OAS31Validator({**schema, "components": described["components"]}).is_valid(shown)
    ]

    assert len(fitting) == 1


def _documents_of_iam() -> list[CodeListing]:
    return [each for each in _of("json") if '"2012-10-17"' in each.text]


@pytest.mark.parametrize("listing", _documents_of_iam(), ids=_ids(_documents_of_iam()))
def test_policy_in_a_listing_passes_cfn_lint(listing: CodeListing) -> None:
    policy = json.loads(listing.text)
    is_trust = "Principal" in policy["Statement"][0]
    role = {
        "Type": "AWS::IAM::Role" if is_trust else "AWS::IAM::ManagedPolicy",
        "Properties": {"AssumeRolePolicyDocument" if is_trust else "PolicyDocument": policy},
    }

    assert template_faults(json.dumps({"Resources": {"CodeListing": role}})) == []


def test_workflow_passes_only_inputs_that_the_action_has() -> None:
    """GitHub ignores a misspelt input without an error."""
    action = yaml_parse((ROOT / "action.yml").read_text(encoding="utf-8"))
    (workflow,) = (each.text for each in _of("yaml") if "id-token" in each.text)
    steps = yaml_parse(workflow)["jobs"]["deploy"]["steps"]
    (published,) = (each for each in steps if each.get("id") == "publish")
    used = re.findall(r"steps\.publish\.outputs\.(\w+)", workflow)

    assert set(published["with"]) <= set(action["inputs"])
    required = {name for name, each in action["inputs"].items() if each.get("required")}
    assert required <= set(published["with"])
    assert used
    assert set(used) <= set(action["outputs"])


def test_dockerfile_is_that_of_the_example() -> None:
    """Only the path of the layer's content differs: on the page it is a folder beside the file."""
    (listing,) = _of("dockerfile")
    example = (ROOT / "examples/consumers/container-image/Dockerfile").read_text(encoding="utf-8")
    instructions = [
        line.replace("--from=layer /", "layer/")
        for line in example.splitlines()
        if line and not line.startswith("#")
    ]

    assert listing.text.splitlines() == instructions


def _commands() -> list[tuple[str, str]]:
    """Return each `service-registry` command of the pages, with its place."""
    found = []
    for name, page in _PAGES.items():
        text = page.read_text(encoding="utf-8")
        found += [(name, command) for command in _COMMAND.findall(text)]
        for each in listings(page):
            # A pipeline's file has its commands in a list.
            lines = [line.lstrip(" -") for line in each.text.replace("\\\n", " ").splitlines()]
            found += [(str(each), line) for line in lines if line.startswith("service-registry ")]
    return found


@pytest.mark.parametrize(("where", "command"), _commands())
def test_command_of_the_command_line_in_a_listing_is_accepted(where: str, command: str) -> None:
    """Each command has the arguments and options that the command line accepts."""
    text = re.sub(r"\$\w+_TAG", "1.4.2", command.partition("  #")[0].replace("…", "x"))
    words = shlex.split(text)[1:]
    found: click.Command | None = cli
    context = click.Context(cli, info_name="service-registry")
    while isinstance(found, click.Group) and words and not words[0].startswith("-"):
        name = words.pop(0)
        found = found.get_command(context, name)
        assert found is not None, f"{where}: there is no command {name!r}"
        context = click.Context(found, info_name=name, parent=context)

    if isinstance(found, click.Group):
        assert words in ([], ["--help"], ["--version"]), where
    elif found is not None and words:
        # A command in a sentence may have no arguments.
        found.make_context(found.name or "", words)


def test_run_function_in_a_listing_has_only_existing_options() -> None:
    """`make run` creates the command `run-function`."""
    commands = [
        command
        for page in _PAGES.values()
        for command in re.findall(r"`?(run-function src[^`\n]*)", page.read_text(encoding="utf-8"))
    ]

    assert len(commands) >= 2
    for command in commands:
        parsed = argument_parser().parse_args(
            ["function", "--layer", "layer", *shlex.split(command)[1:]]
        )
        assert parsed.needed == "users==1.x"


_PLAIN = [each for each in _of("", "sh") if each.page != "docs/architecture.md"]


@pytest.mark.parametrize("listing", _PLAIN, ids=_ids(_PLAIN))
def test_make_targets_and_paths_in_a_listing_exist(listing: CodeListing) -> None:
    """`make x` must be a target; `./x` and `-t x` must be files of the repository."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    wanted = set(re.findall(r"(?:^|; |&& )make ([a-z-]+)", listing.text, re.MULTILINE))
    paths = re.findall(r"(?<![\w/])\./([\w./-]+)", listing.text)
    paths += re.findall(r" -t (infra/[\w./-]+)", listing.text)

    assert wanted <= targets
    assert [path for path in paths if not (ROOT / path).exists()] == []


_QUERIES = [each for each in _of("") if _QUERY.match(each.text)]


@pytest.mark.parametrize("listing", _QUERIES, ids=_ids(_QUERIES))
def test_query_in_a_listing_finds_messages_that_the_extension_logs(listing: CodeListing) -> None:
    """A message that changes in the code must change in the query."""
    source = "\n".join(
        path.read_text(encoding="utf-8") for path in sorted((ROOT / "extension").glob("*.py"))
    )
    messages = [
        message
        for pattern in re.findall(r"like /([^/]+)/", listing.text)
        for message in pattern.split("|")
    ]

    assert messages or "@initDuration" in listing.text
    assert [message for message in messages if f'"{message}"' not in source] == []


def test_every_variable_is_in_the_table() -> None:
    """The extension reads no variable that the page does not list."""
    source = (ROOT / "extension/config.py").read_text(encoding="utf-8")
    read = set(re.findall(r'"(SERVICE_DISCOVERY_\w+|NEEDED_SERVICES|SERVICES_FILE)"', source))
    table = (ROOT / "docs/attach.md").read_text(encoding="utf-8").partition("## Variables")[2]

    assert read
    assert {name for name in read if f"`{name}`" not in table} == set()
    documented = set(re.findall(r"^\| `(SERVICE_DISCOVERY_\w+)`", table, re.MULTILINE))
    assert documented <= read
