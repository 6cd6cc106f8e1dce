"""The API's description: complete, valid, and as strict as the API."""

import re
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from registry_api import descriptions, fields, openapi
from registry_api.route_table import ROUTES
from registry_model import needs
from registry_model.version import MAX_LENGTH, Version, VersionError

DOCUMENT = openapi.document("https://registry.example/v1")
OPERATIONS = [
    pytest.param(path, method, operation, id=operation["operationId"])
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
]
_TEXTS = st.text(alphabet="019ax.*-~=>@:, \t\n", max_size=24)


def test_document_is_openapi_3_1() -> None:
    """Clients are generated from it."""
    OpenAPIV31SpecValidator(DOCUMENT).validate()

    assert DOCUMENT["openapi"] == "3.1.0"


def test_every_route_is_described_and_nothing_else() -> None:
    """The description has exactly the routes of the route table."""
    assert sorted(descriptions.DESCRIPTIONS) == sorted(entry.name for entry in ROUTES)
    assert len(OPERATIONS) == len(ROUTES)


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS)
def test_every_write_has_a_dry_run_and_preconditions(
    path: str, method: str, operation: dict[str, Any]
) -> None:
    """Other routes have neither; a consumer is replaced completely, without preconditions."""
    names = {each["name"] for each in operation.get("parameters", [])}
    is_write = method != "get" and path.startswith("/services")

    assert (names >= {"dry_run", "force", "If-Match"}) == is_write
    assert ("412" in operation["responses"]) == is_write
    assert ("ImpactDocument" in str(operation["responses"].get("200"))) == is_write


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS)
def test_every_operation_has_examples_and_refusals(
    path: str, method: str, operation: dict[str, Any]
) -> None:
    """Operators need examples to copy, and the meaning of refusals."""
    refused = {status for status in operation["responses"] if status >= "400"}
    described = {parameter["name"] for parameter in operation.get("parameters", [])}

    assert operation["summary"]
    assert {"403", "429", "503"} <= refused
    assert set(re.findall("{([a-z]+)}", path)) <= described
    if "requestBody" in operation:
        assert {"400", "413", "422"} <= refused
        assert operation["requestBody"]["content"]["application/json"]["example"]
    for response in operation["responses"].values():
        for content in response.get("content", {}).values():
            assert "example" in content
    assert method in {"get", "post", "put", "patch", "delete"}


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS)
def test_examples_are_valid_for_their_schemas(
    path: str, method: str, operation: dict[str, Any]
) -> None:
    """Every example is valid for its schema."""
    contents = [operation.get("requestBody", {"content": {}})["content"]]
    contents += [response.get("content", {}) for response in operation["responses"].values()]
    examples = [(each["schema"], each["example"]) for one in contents for each in one.values()]
    examples += [
        (parameter["schema"], parameter["example"])
        for parameter in operation.get("parameters", [])
        if "example" in parameter
    ]

    assert examples, (path, method)
    for schema, example in examples:
        resolvable = {**schema, "components": DOCUMENT["components"]}
        OAS31Validator(resolvable).validate(example)


@given(_TEXTS | st.from_regex(fields.SELECTOR_PATTERN, fullmatch=True))
def test_selectors_pattern_is_the_parsers_grammar(text: str) -> None:
    """Values made from the pattern are accepted, and others are refused."""
    assume(len(text.partition("==")[2].strip()) <= MAX_LENGTH)
    try:
        needs.parse_selector(text)
    except needs.SelectorError:
        is_good = False
    else:
        is_good = True

    assert bool(re.fullmatch(fields.SELECTOR_PATTERN, text)) == is_good


@given(_TEXTS | st.from_regex(fields.NEEDED_PATTERN, fullmatch=True))
def test_needs_pattern_is_the_parsers_grammar(text: str) -> None:
    """Except for repeated keys and versions that are too long, which no pattern can express."""
    try:
        needs.parse_needs(text)
    except needs.NeedsError as error:
        assume(all("taken" not in str(fault) for fault in error.faults))
        assume(all("longer than" not in str(fault) for fault in error.faults))
        is_good = False
    else:
        is_good = True

    assert bool(re.fullmatch(fields.NEEDED_PATTERN, text)) == is_good


@given(_TEXTS | st.from_regex(fields.VERSION_PATTERN, fullmatch=True))
def test_versions_pattern_is_the_parsers_grammar(text: str) -> None:
    """The pattern and the parser accept the same texts."""
    assume(len(text) <= MAX_LENGTH)
    try:
        Version.parse(text)
    except VersionError:
        is_good = False
    else:
        is_good = True

    assert bool(re.fullmatch(fields.VERSION_PATTERN, text)) == is_good


@given(_TEXTS | st.from_regex(fields.NAME_PATTERN, fullmatch=True) | st.text(max_size=70))
def test_names_pattern_is_the_parsers_grammar(text: str) -> None:
    """The pattern and the parser accept the same texts."""
    assert bool(re.fullmatch(fields.NAME_PATTERN, text)) == (needs.name_fault(text) is None)
