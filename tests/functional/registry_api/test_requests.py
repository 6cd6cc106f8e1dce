"""Malformed, hostile or unusual requests: each gets a 4xx with the reason."""

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.functional.registry_api.gateway import (
    PROBLEM,
    Call,
    GatewayResponse,
    Publish,
    publication,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

# Every route that reads a body, with a body that it accepts.
BODIES: dict[tuple[str, str], dict[str, Any]] = {
    ("POST", "/services"): publication(version="2.0.0"),
    ("PUT", "/services/users/versions/2.0.1"): {"arn": publication()["arn"]},
    ("PATCH", "/services/users/versions/1.0.0"): {"status": "yanked", "reason": "r"},
    ("PUT", "/services/users/channels/beta"): {"version": "1.0.0"},
    ("POST", "/resolve"): {"needed": "nobody"},
}
ROUTES = [
    *BODIES,
    ("GET", "/services"),
    ("GET", "/services/users"),
    ("GET", "/services/users/versions"),
    ("GET", "/services/users/versions/1.0.0"),
    ("DELETE", "/services/users/versions/1.0.0"),
    ("DELETE", "/services/users/channels/beta"),
    ("GET", "/services/users/resolve"),
    ("GET", "/services/users/history"),
    ("GET", "/openapi.json"),
]


def is_problem(response: GatewayResponse, status: int) -> bool:
    """Return whether a response is a complete problem document (RFC 9457) with this status."""
    document = response.document
    assert response.status == status, response
    assert response.headers["Content-Type"] == PROBLEM
    assert {"type", "title", "status", "detail"} <= set(document)
    assert document["status"] == status
    assert document["title"]
    assert document["detail"]
    assert ("errors" in document) == (status == 422)
    for error in document.get("errors", []):
        assert sorted(error) == ["detail", "pointer"]
        assert error["pointer"] == "" or error["pointer"].startswith("/")
        assert error["detail"]
    return True


@pytest.fixture
def ready(call: Call, publish: Publish) -> Call:
    """Return the API of a service with one version."""
    publish("1.0.0")
    return call


def revision(call: Call) -> int:
    """Return the service's revision."""
    number: int = call("GET", "/services/users").document["revision"]
    return number


NO_JSON = [
    "",
    " ",
    "{",
    "name=users",
    "{'needed': ''}",
    '{"needed": NaN}',
    '{"needed": -Infinity}',
    '{"needed": "a", "needed": "b"}',
    '{"a": [{"b": 1, "b": 2}]}',
    '{"needed": "\\ud800"}',
    '{"\\udfff": 1}',
    '{"needed": "a\nb"}',
    '{"needed": "\\x41"}',
    "\ufeff{}",
    "\ud800",
    '{"a": 1} {"b": 2}',
    "[1,]",
    "// x\n{}",
    "[" * 60_000,
    "[" * 10_000 + "]" * 10_000,
    '{"a":' * 10_000 + "1" + "}" * 10_000,
    "{" + ",".join(f'"{number}":1' for number in range(5_000)) + ',"0":1}',
    "\0",
    "\x1f\x8b\x08",
]
NOT_UTF8 = [b"\xff{}", b'{"needed": "\xe9"}', b"\xff\xfe{\0}\0", b"\xed\xa0\x80", b"\xc0\xaf"]


@pytest.mark.parametrize("route", BODIES, ids=" ".join)
def test_body_that_is_no_json_is_a_400(ready: Call, route: tuple[str, str]) -> None:
    """Even a hostile body never causes a 500, and changes nothing."""
    for body in NO_JSON:
        response = ready(*route, body=body)
        assert is_problem(response, 400), body[:40]
        assert "JSON" in response.document["detail"]
    for data in NOT_UTF8:
        body = base64.b64encode(data).decode()
        assert is_problem(ready(*route, body=body, members={"isBase64Encoded": True}), 400), data
    empty = ready(*route, members={"body": None})
    assert is_problem(empty, 400)
    assert empty.document["detail"] == "the body is empty; it should be a JSON object"
    assert revision(ready) == 1


@pytest.mark.parametrize("route", BODIES, ids=" ".join)
@pytest.mark.parametrize("body", ["%%%", "\u00e9", "A", "====", "e30", "\ud800"])
def test_body_that_is_not_base64_is_a_400(ready: Call, route: tuple[str, str], body: str) -> None:
    assert is_problem(ready(*route, body=body, members={"isBase64Encoded": True}), 400)


@pytest.mark.parametrize("route", BODIES, ids=" ".join)
@pytest.mark.parametrize("document", [[], [{}], "text", 1, 1.5, True, "null", [[[]]]])
def test_body_of_another_shape_is_a_422(
    ready: Call, route: tuple[str, str], document: object
) -> None:
    """The fault is in the outermost JSON value, which is not an object."""
    body = "null" if document == "null" else json.dumps(document)

    response = ready(*route, body=body)

    assert is_problem(response, 422)
    assert response.pointers() == [""]


@pytest.mark.parametrize("route", BODIES, ids=" ".join)
def test_body_that_is_too_large_is_a_413(ready: Call, route: tuple[str, str]) -> None:
    """65,536 bytes are the maximum, in any encoding."""
    good = json.dumps(BODIES[route])
    fits = good + " " * (65_536 - len(good))

    def packed(text: str) -> GatewayResponse:
        body = base64.b64encode(text.encode()).decode()
        return ready(*route, body=body, members={"isBase64Encoded": True})

    assert is_problem(ready(*route, body=fits + " "), 413)
    assert is_problem(packed(fits + " "), 413)
    assert is_problem(ready(*route, body="\u20ac" * 21_846), 413)
    assert is_problem(ready(*route, body="[" * 100_000), 413)
    assert revision(ready) == 1
    assert ready(*route, body=fits).status in {200, 201}
    assert packed(fits).status in {200, 201}


CONTENT_TYPES = [
    None,
    "",
    "application/json",
    "application/json; charset=utf-8",
    "application/json; charset=utf-16",
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/octet-stream",
    "application/xml",
    "\u00fc",
    "x" * 5_000,
]


@pytest.mark.parametrize("route", BODIES, ids=" ".join)
def test_content_type_of_a_body_is_ignored(ready: Call, route: tuple[str, str]) -> None:
    """Clients forget the Content-Type; API Gateway may encode the body as binary."""
    for content_type in CONTENT_TYPES:
        headers = {} if content_type is None else {"Content-Type": content_type}
        assert ready(*route, BODIES[route], headers=headers).status in {200, 201}, content_type
    body = base64.b64encode(json.dumps(BODIES[route]).encode()).decode()
    headers = {"Content-Type": "application/octet-stream"}
    packed = ready(*route, body=body, headers=headers, members={"isBase64Encoded": True})
    assert packed.status == 200


def test_every_fault_of_a_publish_is_named_at_once(ready: Call) -> None:
    """One run of the pipeline shows every fault."""
    response = ready(
        "POST",
        "/services",
        {
            "name": "-users",
            "version": "1.2",
            "arn": "users",
            "metadata": {"a/b": 1, "m~n": None, "k" * 129: "v", "": "v"},
            "channel": "@beta",
            "chanel": "beta",
            "a/~b": 1,
        },
    )

    assert is_problem(response, 422)
    faults = {error["pointer"]: error["detail"] for error in response.document["errors"]}
    assert sorted(faults) == sorted(
        [
            *("/name", "/version", "/arn", "/channel", "/chanel", "/a~1~0b", "/metadata/"),
            *("/metadata/a~1b", "/metadata/m~0n", "/metadata/" + "k" * 129),
        ]
    )
    assert "three numbers" in faults["/version"]
    assert "arn:partition" in faults["/arn"]
    assert "spelling" in faults["/chanel"]
    assert all(faults[pointer] in response.document["detail"] for pointer in faults)
    assert revision(ready) == 1


def test_number_of_any_length_is_json(ready: Call) -> None:
    """Python limits the digits of integers; JSON does not."""
    body = f'{{"name": "users", "version": "3.0.0", "arn": {"1" * 5_000}}}'

    response = ready("POST", "/services", body=body)

    assert is_problem(response, 422)
    assert response.pointers() == ["/arn"]


def test_every_member_that_is_missing_is_named(ready: Call) -> None:
    response = ready("POST", "/services", {})

    assert is_problem(response, 422)
    assert sorted(response.pointers()) == ["/arn", "/name", "/version"]


@pytest.mark.parametrize("count", [51, 10_000])
def test_metadata_has_fifty_entries_at_most(ready: Call, count: int) -> None:
    """Too many entries are one fault, not one for each entry."""
    wanted = publication(metadata={str(number): "" for number in range(count)})

    response = ready("POST", "/services", body=json.dumps(wanted, separators=(",", ":"))[: 10**6])

    assert response.status == (422 if count == 51 else 413)
    if count == 51:
        assert response.pointers() == ["/metadata"]


@pytest.mark.parametrize("version", ["v1.2.3", "1.2", "01.2.3", "1.2.3+abc", "1.2.3-01", "1" * 65])
def test_bad_version_is_refused_with_the_reason(call: Call, version: str) -> None:
    response = call("POST", "/services", publication(version=version))

    assert response.status == 422
    (error,) = response.document["errors"]
    assert error["pointer"] == "/version"
    assert len(error["detail"]) > 20


def test_refusal_of_a_huge_text_is_short(ready: Call) -> None:
    """People read the logs: the text is quoted in part."""
    huge = "\u00e9\n\x1b[31m" * 2_500
    for document in (
        publication(name=huge),
        publication(version=huge),
        publication(arn=huge),
        publication(channel=huge),
    ):
        response = ready("POST", "/services", document)
        assert is_problem(response, 422)
        assert len(response.document["errors"][0]["detail"]) < 1_000
        assert "\x1b" not in response.document["detail"]


ODD_PATHS = [
    "/",
    "",
    "//",
    "/service",
    "/Services",
    "/services//versions",
    "/services/nobody",
    "/services/nobody/versions",
    "/services/nobody/versions/1.0.0",
    "/services/nobody/history",
    "/services/nobody/resolve",
    "/services/users/other",
    "/services/users/channels",
    "/services/users/versions/9.9.9",
    "/services/users/versions/v1",
    "/services/users/versions/1.0",
    "/services/users/versions/1.x",
    "/services/users/versions/latest",
    "/services/users/versions/1.0.0+a",
    "/services/users/versions/1.0.0/more",
    "/services/users/versions/1.0.0-" + "r" * 60,
    "/services/-bad-",
    "/services/.",
    "/services/..",
    "/services/../services",
    "/services/%2e%2e",
    "/services/a%20b",
    "/services/a b",
    "/services/%00",
    "/services/a\0b",
    "/services/\U0001f389",
    "/services/%F0%9F%8E%89",
    "/services/\u00fcsers",
    "/services/u%73ers%",
    '/services/a"b',
    "/services/a\nb",
    "/services\n",
    "/services/users\n",
    "/services/users/versions/1.0.0\n",
    "/services/users/versions/1.0.0%0A",
    "/openapi.json\n",
    "/services/users%0A",
    "/services/users;x=1",
    "/services/<name>",
    "/services/" + "n" * 65,
    "/services/" + "n" * 8_000,
    "/openapi.yaml",
    "/resolve/users",
    "/.well-known/x",
]


def test_unknown_service_version_or_channel_is_a_404(ready: Call) -> None:
    """Malformed names and versions in a path are unknown."""
    for path in ODD_PATHS:
        assert is_problem(ready("GET", path), 404), path


BAD_NAMES = ["-", "a b", "#1#users", "\u00fc", "n" * 65, "n" * 3_000, "a%20b", "@beta"]
BAD_VERSIONS = ["v1", "1.0", "1.x", "01.0.0", "1.0.0+a", "1.0.0-" + "r" * 60, "9" * 3_000]


def test_malformed_name_reads_no_table(call: Call, dynamodb: "DynamoDBClient") -> None:
    """DynamoDB refuses long keys, and the index has keys that are no service's."""
    for name in dynamodb.list_tables()["TableNames"]:
        dynamodb.delete_table(TableName=name)

    for name in BAD_NAMES:
        for method, path in ROUTES:
            if "/users" in path:
                response = call(method, path.replace("users", name), BODIES.get((method, path)))
                assert is_problem(response, 404), (method, path, name)
        for method in ("PUT", "DELETE"):
            path = f"/services/users/channels/{name}"
            assert is_problem(call(method, path, {"version": "1.0.0"}), 404), name
    for version in BAD_VERSIONS:
        for method in ("GET", "PATCH", "DELETE"):
            path = f"/services/users/versions/{version}"
            assert is_problem(call(method, path, {"status": "yanked"}), 404), version


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/services", {"GET", "POST"}),
        ("/services/users", {"GET"}),
        ("/services/users/versions", {"GET"}),
        ("/services/users/versions/1.0.0", {"GET", "PUT", "PATCH", "DELETE"}),
        ("/services/users/channels/beta", {"PUT", "DELETE"}),
        ("/services/users/resolve", {"GET"}),
        ("/services/users/history", {"GET"}),
        ("/resolve", {"POST"}),
        ("/openapi.json", {"GET"}),
    ],
)
def test_method_that_a_path_does_not_accept_is_a_405(
    ready: Call, path: str, allowed: set[str]
) -> None:
    """The response lists the methods that the path accepts."""
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE"} - allowed:
        response = ready(method, path, {"version": "1.0.0"})

        assert is_problem(response, 405), method
        assert set(response.headers["Allow"].split(", ")) == allowed
    assert revision(ready) == 1


@pytest.mark.parametrize("route", ROUTES, ids=" ".join)
def test_sparse_event_is_served(ready: Call, route: tuple[str, str]) -> None:
    """API Gateway's console sends null for absent members."""
    sparse = {
        "headers": None,
        "multiValueHeaders": None,
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "pathParameters": None,
        "requestContext": {"requestId": "r", "identity": {}},
    }
    document = BODIES.get(route)

    response = ready(*route, document, members=sparse)

    assert response.status in {200, 201, 204, 404, 409}


@pytest.mark.parametrize("route", [route for route in ROUTES if route[0] == "GET"], ids=" ".join)
def test_body_of_a_get_is_ignored(ready: Call, route: tuple[str, str]) -> None:
    """Some clients send one."""
    assert ready(*route, body="{").status == ready(*route).status


@pytest.mark.parametrize("route", [route for route in ROUTES if route[0] == "GET"], ids=" ".join)
@pytest.mark.parametrize("text", ["\ud800", "\0", "\u00e9" * 2_000, "%", "'\"<>"], ids=repr)
def test_odd_query_is_never_a_500(ready: Call, route: tuple[str, str], text: str) -> None:
    """A URL may have any query."""
    queries = [{name: text} for name in ("prefix", "limit", "cursor", "selector", text)]
    for query in [*queries, {"prefix": text, "cursor": "A" * 16}]:
        response = ready(*route, query=query)
        assert response.status in {200, 404, 422}, query


def test_openapi_document_is_served(call: Call) -> None:
    """Other tests check its content."""
    response = call("GET", "/openapi.json")

    assert response.status == 200
    assert response.headers["Content-Type"] == "application/json"
    assert response.document["openapi"].startswith("3.1")


def test_trailing_line_feed_is_a_404_with_any_method(ready: Call) -> None:
    """In `re`, `$` also matches before a trailing line feed, which would then be ignored."""
    for method, path in ROUTES:
        response = ready(method, path + "\n", BODIES.get((method, path)))

        assert is_problem(response, 404), (method, path)
    assert revision(ready) == 1


@pytest.mark.parametrize("route", ROUTES, ids=" ".join)
def test_custom_domain_with_a_base_path_serves_every_route(
    ready: Call, route: tuple[str, str]
) -> None:
    """API Gateway puts the base path into `path`, and not into the path parameter."""
    document = BODIES.get(route)
    plain = ready(*route, document, query={"dry_run": "true", "force": "true"})

    response = ready(
        *route, document, query={"dry_run": "true", "force": "true"}, base_path="/registry"
    )

    assert response.status == plain.status
    if route != ("GET", "/openapi.json"):
        assert response.document == plain.document


def test_description_has_the_address_of_the_custom_domain(ready: Call) -> None:
    """Clients are generated from it."""
    document = ready("GET", "/openapi.json", base_path="/registry").document
    plain = ready("GET", "/openapi.json").document

    assert document["servers"] == [{"url": "https://api.example.com/registry"}]
    assert plain["servers"] == [
        {"url": "https://abcdefghij.execute-api.eu-west-1.amazonaws.com/v1"}
    ]
