"""The registry's API over HTTP, deployed: what a pipeline may rely on."""

import concurrent.futures
import re
from typing import Any

import pytest

from tests.e2e.conftest import App, arn

pytestmark = pytest.mark.xdist_group("e2e")

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


def test_published_version_is_there_to_be_read(app: App) -> None:
    """What a pipeline is told is what everybody else then sees."""
    published = app.publish("books", "1.4.2", metadata={"team": "shelf"})

    record = published.document
    assert published.status == 201
    assert published.headers["location"].endswith("/services/books/versions/1.4.2")
    assert {name: record[name] for name in ("name", "version", "arn", "status", "metadata")} == {
        "name": "books",
        "version": "1.4.2",
        "arn": arn("books", "1.4.2"),
        "status": "active",
        "metadata": {"team": "shelf"},
    }
    assert _TIME.fullmatch(record["published_at"])
    assert record["revision"] == 1
    read = app.registry.call("GET", "/services/books/versions/1.4.2")
    assert (read.status, read.document) == (200, record)
    service = app.registry.call("GET", "/services/books").document
    assert service["latest"] == record
    assert (service["revision"], service["channels"]) == (1, {})
    assert {"name", "latest", "channels", "revision", "created_at", "updated_at"} == set(service)


def test_unchanged_version_is_not_sent_again(app: App) -> None:
    """Pipelines poll; a 304 costs neither side a document."""
    app.publish("etags", "1.0.0")
    first = app.registry.call("GET", "/services/etags/versions/1.0.0")

    again = app.registry.call(
        "GET", "/services/etags/versions/1.0.0", headers={"If-None-Match": first.headers["etag"]}
    )

    assert (again.status, again.document) == (304, None)


def test_publishing_again_changes_nothing_and_never_moves_a_version(app: App) -> None:
    """A pipeline may repeat itself, and a published version means one thing for ever."""
    first = app.publish("repeated", "1.0.0").document

    same = app.publish("repeated", "1.0.0")
    other = app.publish("repeated", "1.0.0", arn=arn("repeated", "9.9.9"))

    assert (same.status, same.document) == (200, first)
    assert other.status == 409
    assert other.headers["content-type"].startswith("application/problem+json")
    assert other.document["current"] == first
    assert app.registry.call("GET", "/services/repeated").document["revision"] == 1


def test_versions_are_listed_from_the_highest_down_in_pages(app: App) -> None:
    """Precedence is SemVer's, not the alphabet's and not the order of publishing."""
    ordered = ["10.0.0", "2.0.0", "2.0.0-rc.10", "2.0.0-rc.2", "1.10.0", "1.9.0"]
    for version in ("1.9.0", "2.0.0", "1.10.0", "10.0.0", "2.0.0-rc.10", "2.0.0-rc.2"):
        assert app.publish("listed", version).status == 201

    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        path = "/services/listed/versions?limit=4" + (f"&cursor={cursor}" if cursor else "")
        page = app.registry.call("GET", path).document
        assert len(page["versions"]) <= 4
        seen += [record["version"] for record in page["versions"]]
        cursor = page["cursor"]

    assert seen == ordered
    assert app.registry.call("GET", "/services/listed").document["latest"]["version"] == "10.0.0"


@pytest.mark.parametrize(
    ("document", "pointer"),
    [
        ({"name": "bad name", "version": "1.0.0"}, "/name"),
        ({"name": "faulty", "version": "v1.2"}, "/version"),
        ({"name": "faulty", "version": "1.2"}, "/version"),
        ({"name": "faulty", "version": "01.2.3"}, "/version"),
        ({"name": "faulty", "version": "1.2.3+abc"}, "/version"),
        ({"name": "faulty", "version": "1.0.0", "arn": "arn:aws"}, "/arn"),
        ({"name": "faulty", "version": "1.0.0", "chanel": "beta"}, "/chanel"),
        ({"name": "faulty", "version": "1.0.0", "metadata": {"a/b": 1}}, "/metadata/a~1b"),
        ({"name": "faulty", "version": "1.0.0", "channel": "not one"}, "/channel"),
    ],
)
def test_malformed_publication_is_refused_with_its_fault(
    app: App, document: dict[str, Any], pointer: str
) -> None:
    """Whoever reads the pipeline's log sees which member is wrong, and nothing was published."""
    answer = app.registry.call("POST", "/services", {"arn": arn("faulty", "1.0.0"), **document})

    assert answer.status == 422
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert {"type", "title", "status", "detail", "errors"} <= set(answer.document)
    assert [error["pointer"] for error in answer.document["errors"]] == [pointer]
    assert app.registry.call("GET", "/services/faulty").status == 404


def test_every_fault_is_named_at_once(app: App) -> None:
    """One run of the pipeline is enough to find them all."""
    document = {"name": "", "version": "1", "arn": "x", "more": 1}

    answer = app.registry.call("POST", "/services", document)

    pointers = {error["pointer"] for error in answer.document["errors"]}
    assert pointers == {"/name", "/version", "/arn", "/more"}


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/services", b'{"name": ', 400),
        ("POST", "/services", b'{"name": "' + b"x" * 65_536 + b'"}', 413),
        ("GET", "/services/nobody-published-this", None, 404),
        ("GET", "/services/nobody-published-this/versions", None, 404),
        ("GET", "/services/nobody-published-this/versions/1.0.0", None, 404),
        ("GET", "/services/not%20a%20name", None, 404),
        ("GET", "/no/such/path", None, 404),
        ("PUT", "/services", b"{}", 405),
        ("DELETE", "/services/users", None, 405),
        ("GET", "/services/users/versions?limit=0", None, 422),
        ("GET", "/services/users/versions?limit=101", None, 422),
        ("GET", "/services/users/versions?cursor=made-up", None, 422),
    ],
)
def test_refusals_are_problem_details(
    app: App, method: str, path: str, body: bytes | None, status: int
) -> None:
    """A client handles every refusal by one rule, whatever was wrong."""
    answer = app.registry.call(method, path, body=body)

    assert answer.status == status
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert answer.document["status"] == status
    assert answer.document["title"]
    assert answer.document["detail"]


def test_writers_at_once_lose_nothing(app: App) -> None:
    """Two pipelines release at the same minute; revision and answers count both."""
    versions = [f"1.{minor}.0" for minor in range(12)]

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda version: app.publish("busy", version), versions))

    assert {answer.status for answer in answers} == {201}
    assert sorted(answer.document["revision"] for answer in answers) == list(range(1, 13))
    service = app.registry.call("GET", "/services/busy").document
    assert (service["revision"], service["latest"]["version"]) == (12, "1.11.0")
    expected = {"latest": "1.11.0", "1.x": "1.11.0"}
    for minor, version in enumerate(versions):
        expected |= {version: version, f"1.{minor}.x": version}
    app.wait_for_index("busy", expected)
