"""Both resolve routes: the extension's grammar, and answers from the index."""

import json
import tracemalloc
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from registry_model.services_file import parse
from registry_model.version import Version
from registry_tables import versions_layout as layout
from testing import tables
from tests.functional.registry_api.gateway import PROBLEM, Call, Publish, arn_of, publication
from tests.functional.registry_api.index_update import INDEXED_AT

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@pytest.fixture
def ready(call: Call, publish: Publish, indexed: Callable[[], None]) -> Call:
    """Return the API of a service with every kind of version, and an index that is up to date."""
    publish("1.4.1", "1.4.2", "2.0.0", "2.1.0-rc.1", "0.9.0")
    publish("1.5.0", metadata={"team": "a"})
    call("PUT", "/services/users/channels/beta", {"version": "2.1.0-rc.1"})
    call("PATCH", "/services/users/versions/1.4.1", {"status": "yanked", "reason": "broken"})
    call("POST", "/services", publication(name="billing", version="1.0.0-rc.1"))
    indexed()
    return call


def resolve(call: Call, selector: str | None) -> Any:
    """Resolve `users`; the selector is decoded, as in API Gateway's event."""
    query = None if selector is None else {"selector": selector}
    return call("GET", "/services/users/resolve", query=query)


SELECTORS: list[tuple[str | None, str, str]] = [
    (None, "latest", "2.0.0"),
    ("", "latest", "2.0.0"),
    (" ", "latest", "2.0.0"),
    ("==latest", "latest", "2.0.0"),
    ("@latest", "latest", "2.0.0"),
    ("==1.x", "1.x", "1.5.0"),
    ("==1.*", "1.x", "1.5.0"),
    ("==1.4.x", "1.4.x", "1.4.2"),
    ("==1.4.*", "1.4.x", "1.4.2"),
    ("==2.x", "2.x", "2.0.0"),
    ("==1.4.2", "1.4.2", "1.4.2"),
    ("==2.1.0-rc.1", "2.1.0-rc.1", "2.1.0-rc.1"),
    ("~=1.4", "~=1.4", "1.5.0"),
    ("~=1.4.2", "~=1.4.2", "1.4.2"),
    (">=1", ">=1", "2.0.0"),
    (">=1.4", ">=1.4", "2.0.0"),
    (">=2.0.0", ">=2.0.0", "2.0.0"),
    ("@beta", "@beta", "2.1.0-rc.1"),
    (" == 1.x\t", "1.x", "1.5.0"),
    ("~=\n1.4", "~=1.4", "1.5.0"),
]


def test_selector_gets_what_a_function_would_get(ready: Call) -> None:
    """The response is a member of the services file."""
    for selector, requested, version in SELECTORS:
        response = resolve(ready, selector)

        assert (response.status, selector) == (200, selector)
        assert response.headers["Content-Type"] == "application/json"
        metadata = {"metadata": {"team": "a"}} if version == "1.5.0" else {}
        assert response.document == metadata | {
            "requested": requested,
            "version": version,
            "arn": arn_of(version),
            "status": "active",
            "resolved_at": INDEXED_AT,
        }


def test_yanked_version_is_found_only_by_its_exact_selector(ready: Call) -> None:
    """The response has the reason of the yank."""
    assert resolve(ready, "==1.4.1").document == {
        "requested": "1.4.1",
        "version": "1.4.1",
        "arn": arn_of("1.4.1"),
        "status": "yanked",
        "reason": "broken",
        "resolved_at": INDEXED_AT,
    }


UNANSWERED = ["==3.x", "==2.1.x", "==9.9.9", "~=2.1", "~=1.4.3", ">=2.0.1", "@gamma", "@Beta"]


def test_selector_without_an_answer_is_a_404(ready: Call) -> None:
    """The refusal repeats the selector."""
    for selector in UNANSWERED:
        response = resolve(ready, selector)

        assert (response.status, selector) == (404, selector)
        assert response.headers["Content-Type"] == PROBLEM
        assert f"no version of 'users' matches '{selector}'" in response.document["detail"]


MALFORMED = [
    *("1.x", "latest", "=1.2", "<2", "==", "==1", "==x", "==1.x.x", "==01.x", "==1.2.3+a"),
    *("~=1", "~=1.2.3.4", ">=", ">=1.x", ">=1.2,<2", "@", "@-", "@be ta", "= =1.x", "^1", "!=1"),
    *("==" + "9" * 19 + ".x", "==1.0.0-" + "r" * 60, "\u00fc", "\0", "=" * 5_000),
]


def test_malformed_selector_is_a_422(ready: Call) -> None:
    """The fault has the words that the extension uses at init."""
    for selector in MALFORMED:
        response = resolve(ready, selector)

        assert (response.status, selector) == (422, selector)
        assert response.headers["Content-Type"] == PROBLEM
        assert response.pointers() == ["/selector"]
        assert len(response.document["errors"][0]["detail"]) > 10


@pytest.mark.parametrize("selector", [None, "==1.x", "@beta"])
def test_unknown_service_has_no_answer(ready: Call, selector: str | None) -> None:
    query = None if selector is None else {"selector": selector}

    assert ready("GET", "/services/nobody/resolve", query=query).status == 404
    assert ready("GET", "/services/-bad-/resolve", query=query).status == 404
    assert ready("GET", "/services/billing/resolve", query={"selector": ""}).status == 404


def test_fault_of_the_path_comes_before_the_selectors(ready: Call) -> None:
    """A malformed name is a 404, even if the selector is malformed, too."""
    assert ready("GET", "/services/a b/resolve", query={"selector": "<2"}).status == 404


def dry_run(call: Call, needed: object) -> Any:
    """Return what a function with these needs would get."""
    return call("POST", "/resolve", {"needed": needed})


def test_dry_run_returns_members_of_the_services_file(ready: Call) -> None:
    """The members are in order, by key; unresolved ones have the reason."""
    response = dry_run(ready, "users==1.x, old:users==1.4.1 ,billing,, pre:billing==1.0.0-rc.1,")

    assert response.status == 200
    assert response.headers["Content-Type"] == "application/json"
    assert response.document["resolved"] is False
    services = response.document["services"]
    assert list(services) == ["users", "old", "billing", "pre"]
    assert services["users"] == resolve(ready, "==1.x").document
    assert services["old"] == resolve(ready, "==1.4.1").document | {"service": "users"}
    assert services["billing"] == {
        "requested": "latest",
        "status": "missing",
        "error": "no version of 'billing' matches '==latest'",
    }
    assert services["pre"]["service"] == "billing"
    assert services["pre"]["version"] == "1.0.0-rc.1"


def test_dry_run_is_what_the_extension_reads_back(ready: Call) -> None:
    """The services file's own parser accepts the document."""
    services = dry_run(ready, "users,billing,old:users==1.4.1").document["services"]

    assert sorted(parse(json.dumps(services).encode())) == ["billing", "old", "users"]


STRICT = [
    ("", True),
    (" ,\n, ", True),
    ("users", True),
    ("users,old:users==1.4.1", True),
    ("users@beta,more:users>=2", True),
    ("nobody", False),
    ("users,nobody", False),
    ("users>=3", False),
]


def test_dry_run_says_whether_a_strict_function_would_start(ready: Call) -> None:
    """`active` and `yanked` count as resolved; a pipeline needs to read only this member."""
    for needed, resolved in STRICT:
        response = dry_run(ready, needed)

        assert (response.status, response.document["resolved"]) == (200, resolved), needed


def test_nothing_needed_is_an_empty_document(ready: Call) -> None:
    assert dry_run(ready, "").document == {"services": {}, "resolved": True}


def test_malformed_needs_are_refused_with_every_fault(ready: Call) -> None:
    """Each fault has its position and its text, as the extension reports them."""
    needed = "users,users==1.x, bad name, billing=1.2, a<2, -x:users, ok==v1"

    response = dry_run(ready, needed)

    assert response.status == 422
    assert response.headers["Content-Type"] == PROBLEM
    assert set(response.pointers()) == {"/needed"}
    details = [error["detail"] for error in response.document["errors"]]
    assert len(details) == 6
    for detail, text in zip(
        details, ["users==1.x", "bad name", "billing=1.2", "a<2", "-x:users", "ok==v1"], strict=True
    ):
        assert f"at {needed.index(text)}: '{text}'" in detail


def test_malformed_needs_are_reported_with_the_other_faults(ready: Call) -> None:
    """One run of the pipeline shows every fault."""
    response = ready("POST", "/resolve", {"needed": "u u,-", "strict": True})

    assert response.status == 422
    assert sorted(response.pointers()) == ["/needed", "/needed", "/strict"]


MALFORMED_DRY_RUNS: list[tuple[object, list[str]]] = [
    ({}, ["/needed"]),
    ({"needed": None}, ["/needed"]),
    ({"needed": ["users"]}, ["/needed"]),
    ({"needed": 1}, ["/needed"]),
    ({"needed": "users", "strict": True}, ["/strict"]),
    ({"need": "users"}, ["/need", "/needed"]),
    ("users", [""]),
    (["users"], [""]),
]


def test_malformed_dry_run_is_refused(call: Call) -> None:
    for document, pointers in MALFORMED_DRY_RUNS:
        response = call("POST", "/resolve", document)

        assert (response.status, document) == (422, document)
        assert sorted(response.pointers()) == pointers


def test_any_number_of_needs_is_resolved(ready: Call) -> None:
    """They may take several batches of DynamoDB; each key has its own result."""
    needs = [f"k{number}:users==1.{number}.x" for number in range(250)]

    response = dry_run(ready, ",".join(needs))

    services = response.document["services"]
    assert len(services) == 250
    assert {key for key in services if services[key]["status"] == "active"} == {"k4", "k5"}


def test_answers_change_only_when_the_index_does(ready: Call, indexed: Callable[[], None]) -> None:
    """The answers are what a function would get now."""
    ready("POST", "/services", publication(version="2.2.0"))
    assert resolve(ready, "==2.x").document["version"] == "2.0.0"

    indexed()

    assert resolve(ready, "==2.x").document["version"] == "2.2.0"


def test_roll_back_changes_what_is_resolved(ready: Call, indexed: Callable[[], None]) -> None:
    """A client pins and resolves, then unpins, deletes and resolves."""
    ready("PUT", "/services/users/channels/latest", {"version": "1.5.0"})
    indexed()
    assert resolve(ready, "").document["version"] == "1.5.0"
    assert resolve(ready, ">=2").status == 404
    assert resolve(ready, "==2.x").document["version"] == "2.0.0"

    ready("DELETE", "/services/users/channels/latest")
    ready("DELETE", "/services/users/versions/2.0.0")
    indexed()
    assert resolve(ready, "@latest").document["version"] == "1.5.0"
    assert resolve(ready, "==2.0.0").status == 404
    assert resolve(ready, "==2.x").status == 404


@pytest.fixture
def large(
    call: Call, publish: Publish, indexed: Callable[[], None], dynamodb: "DynamoDBClient"
) -> Call:
    """Return the API of a service with as much metadata as earlier versions of the API accepted."""
    publish("1.0.0")
    metadata = {f"{number:03}": {"S": '"\\' * 240 + "\u20ac" * 20} for number in range(50)}
    dynamodb.update_item(
        TableName=tables.VERSIONS,
        Key=layout.version_key("users", Version.parse("1.0.0")),
        UpdateExpression="SET metadata = :metadata",
        ExpressionAttributeValues={":metadata": {"M": metadata}},
    )
    indexed()
    return call


def test_largest_resolution_fits_a_response_of_lambda(large: Call) -> None:
    """Lambda limits a response to 6 MB, including API Gateway's envelope."""
    needs = [f"k{number}:users" for number in range(40)]

    response = dry_run(large, ",".join(needs))

    assert response.status == 200
    assert len(response.document["services"]) == 40
    assert 3_000_000 < response.size < 6_000_000


@pytest.mark.parametrize("needs", [100, 1_500])
def test_resolution_that_is_too_large_is_refused(large: Call, needs: int) -> None:
    """The client would get a 502, or the function would run out of memory."""
    needed = ",".join(f"{number}:users" for number in range(needs))
    tracemalloc.start()
    try:
        response = dry_run(large, needed)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert response.status == 422
    assert response.pointers() == ["/needed"]
    assert "fewer" in response.document["errors"][0]["detail"]
    assert peak < 20_000_000
