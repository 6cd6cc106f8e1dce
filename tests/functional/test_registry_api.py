"""The registry API: an API Gateway event in, a response out, DynamoDB as moto has it."""

import base64
import importlib
import io
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from random import random
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from registry_api.cursors import to_cursor
from registry_api.dynamodb import DynamoVersionStore
from registry_api.operations import BusyError, Publication, Registry
from registry_model.arn import Arn
from registry_model.version import Version
from registry_model.versions_layout import history_entry
from tests.functional import tables

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ARN = "arn:aws:lambda:eu-west-1:123456789012:function:users:42"
CALLER = "arn:aws:sts::123456789012:assumed-role/deploy/pipeline"


@dataclass(frozen=True)
class Answer:
    """A response."""

    status: int
    headers: dict[str, str]
    document: Any


Call = Callable[..., Answer]


@pytest.fixture
def call(dynamodb: "DynamoDBClient") -> Call:
    """Send a request to the handler, as API Gateway does."""
    handler = importlib.reload(importlib.import_module("registry_api.handler")).handler
    assert dynamodb.list_tables()["TableNames"]

    def _call(
        method: str,
        path: str,
        document: object = None,
        *,
        body: str | None = None,
        headers: dict[str, str] | None = None,
        query: dict[str, str] | None = None,
        **members: Any,
    ) -> Answer:
        event = {
            "resource": "/{proxy+}",
            "path": path,
            "httpMethod": method,
            "headers": headers,
            "multiValueHeaders": _multiple(headers),
            "queryStringParameters": query,
            "multiValueQueryStringParameters": _multiple(query),
            "pathParameters": {"proxy": path[1:]},
            "stageVariables": None,
            "requestContext": {
                "resourcePath": "/{proxy+}",
                "httpMethod": method,
                "path": "/v1" + path,
                "accountId": "123456789012",
                "protocol": "HTTP/1.1",
                "stage": "v1",
                "requestId": "request-1",
                "apiId": "abcdefghij",
                "identity": {"userArn": CALLER, "sourceIp": "192.0.2.1", "userAgent": "curl"},
            },
            "body": json.dumps(document) if document is not None else body,
            "isBase64Encoded": False,
            **members,
        }
        context = SimpleNamespace(
            function_name="f",
            memory_limit_in_mb=128,
            invoked_function_arn="arn:aws:lambda:eu-west-1:123456789012:function:f",
            aws_request_id="r",
        )
        answer = handler(event, context)
        sent = {
            **(answer.get("headers") or {}),
            **{name: values[0] for name, values in (answer.get("multiValueHeaders") or {}).items()},
        }
        text = answer.get("body")
        return Answer(answer["statusCode"], sent, json.loads(text) if text else None)

    return _call


def _multiple(texts: dict[str, str] | None) -> dict[str, list[str]] | None:
    return {name: [text] for name, text in texts.items()} if texts else None


def publication(**members: Any) -> dict[str, Any]:
    """Give a good publish request, with *members* instead."""
    return {"name": "users", "version": "1.4.2", "arn": ARN} | members


def test_publish_answers_with_the_record_and_where_it_is(call: Call) -> None:
    """What a pipeline logs."""
    answer = call("POST", "/services", publication(metadata={"commit": "abc"}))

    assert answer.status == 201
    assert answer.headers["Location"] == "/services/users/versions/1.4.2"
    published_at = answer.document.pop("published_at")
    assert published_at.endswith("Z")
    assert answer.document == {
        "name": "users",
        "version": "1.4.2",
        "arn": ARN,
        "status": "active",
        "metadata": {"commit": "abc"},
        "published_by": CALLER,
        "revision": 1,
    }


def test_publishing_the_same_again_changes_nothing(call: Call) -> None:
    """A pipeline that is run twice must not fail; absent metadata and none are the same."""
    first = call("POST", "/services", publication())

    second = call("POST", "/services", publication(metadata={}))

    assert (first.status, second.status) == (201, 200)
    assert second.document == first.document
    assert call("GET", "/services/users").document["revision"] == 1


@pytest.mark.parametrize("other", [{"arn": ARN + "3"}, {"metadata": {"a": "b"}}])
def test_published_version_never_changes(call: Call, other: dict[str, Any]) -> None:
    """Whoever pinned it would get something else; the answer shows what stands."""
    first = call("POST", "/services", publication())

    answer = call("POST", "/services", publication(**other))

    assert answer.status == 409
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.document["current"] == first.document
    assert call("GET", "/services/users/versions/1.4.2").document == first.document


def test_backport_never_moves_latest(call: Call) -> None:
    """Npm's long-standing trap: the last publish is not the highest version."""
    for version in ("1.4.2", "2.0.0", "1.10.0", "1.9.0", "3.0.0-rc.1"):
        assert call("POST", "/services", publication(version=version)).status == 201

    answer = call("GET", "/services/users")

    assert answer.status == 200
    assert answer.document["latest"]["version"] == "2.0.0"
    assert answer.document["revision"] == 5
    assert answer.document["channels"] == {}
    assert answer.document["created_at"] <= answer.document["updated_at"]


def test_service_of_pre_releases_alone_has_no_latest(call: Call) -> None:
    """A pre-release is never the answer to `latest`."""
    call("POST", "/services", publication(version="1.0.0-rc.1"))

    assert call("GET", "/services/users").document["latest"] is None


def test_versions_come_highest_first_and_page_by_page(call: Call) -> None:
    """SemVer precedence, not the order of texts or of time."""
    published = ["1.9.0", "1.10.0", "2.0.0-rc.1", "2.0.0", "2.0.0-rc.2", "0.1.0", "2.0.0-1"]
    for version in published:
        call("POST", "/services", publication(version=version))

    seen = []
    cursor = None
    for _ in range(10):
        query = {"limit": "3", **({"cursor": cursor} if cursor else {})}
        page = call("GET", "/services/users/versions", query=query)
        assert page.status == 200
        assert len(page.document["versions"]) <= 3
        seen += [record["version"] for record in page.document["versions"]]
        cursor = page.document["cursor"]
        if cursor is None:
            break

    assert seen == ["2.0.0", "2.0.0-rc.2", "2.0.0-rc.1", "2.0.0-1", "1.10.0", "1.9.0", "0.1.0"]


def test_cursor_is_good_for_its_own_list_alone(call: Call) -> None:
    """A mixed-up cursor would give a wrong page and nobody would know."""
    for name in ("users", "billing"):
        for version in ("1.0.0", "1.1.0"):
            call("POST", "/services", publication(name=name, version=version))
    cursor = call("GET", "/services/users/versions", query={"limit": "1"}).document["cursor"]

    other = call("GET", "/services/billing/versions", query={"cursor": cursor})
    altered = call("GET", "/services/users/versions", query={"cursor": cursor[:-2] + "AA"})
    both = call("GET", "/services/users/versions", query={"cursor": "é", "limit": "0"})
    empty = call("GET", "/services/users/versions", query={"cursor": ""})

    assert {answer.status for answer in (other, altered, both, empty)} == {422}
    assert [error["pointer"] for error in both.document["errors"]] == ["/limit", "/cursor"]


@pytest.mark.parametrize("position", ["", "e#a1", "v#a1.a0.a0~", "1.0", "\0", "9" * 3_000])
def test_cursor_that_somebody_made_begins_nowhere(call: Call, position: str) -> None:
    """Its check is no secret: what it names must be a place in the list, or DynamoDB refuses it."""
    call("POST", "/services", publication())
    cursor = to_cursor("versions/users", position)

    answer = call("GET", "/services/users/versions", query={"cursor": cursor})

    assert answer.status == 422
    assert [error["pointer"] for error in answer.document["errors"]] == ["/cursor"]


@pytest.mark.parametrize("limit", ["0", "101", "-1", "1.0", "", "ten", "9" * 5_000, "٣"])
def test_limit_is_a_number_from_1_to_100(call: Call, limit: str) -> None:
    """A page that is silently another one than was asked for breaks whoever counts."""
    call("POST", "/services", publication())

    answer = call("GET", "/services/users/versions", query={"limit": limit})

    assert answer.status == 422
    assert [error["pointer"] for error in answer.document["errors"]] == ["/limit"]


def test_unknown_query_parameter_is_ignored(call: Call) -> None:
    """Proxies and tools add their own."""
    call("POST", "/services", publication())

    answer = call("GET", "/services/users/versions", query={"limit": "100", "utm": "x"})

    assert answer.status == 200
    assert answer.document["cursor"] is None


def test_version_is_not_sent_again_to_whoever_has_it(call: Call) -> None:
    """ETag and If-None-Match."""
    call("POST", "/services", publication())
    path = "/services/users/versions/1.4.2"
    etag = call("GET", path).headers["ETag"]

    again = call("GET", path, headers={"Accept": "*/*", "If-None-Match": f'"other", W/{etag}'})
    changed = call("GET", path, headers={"if-none-match": '"other"'})

    assert (again.status, again.document) == (304, None)
    assert changed.status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/services/nobody",
        "/services/nobody/versions",
        "/services/users/versions/9.9.9",
        "/services/users/versions/v1",
        "/services/-bad-",
        "/services/users/other",
        "/services/users/versions/1.4.2/more",
        "/services//versions",
        "/services/a%20b",
        "/services/😀",
        '/services/a"b',
        "/services/a\nb",
        "/",
    ],
)
def test_what_is_not_there_is_a_404(call: Call, path: str) -> None:
    """Bad names and versions in a path are names of nothing."""
    call("POST", "/services", publication())

    answer = call("GET", path)

    assert answer.status == 404
    assert answer.document["status"] == 404
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_method_that_a_path_does_not_take_is_a_405(call: Call) -> None:
    """And says which ones it takes."""
    answer = call("DELETE", "/services/users")

    assert answer.status == 405
    assert answer.headers["Allow"] == "GET"


def test_every_fault_of_a_request_is_named_at_once(call: Call) -> None:
    """One run of the pipeline shows all that is wrong."""
    answer = call(
        "POST",
        "/services",
        {
            "name": "-users",
            "version": "1.2",
            "arn": "users",
            "metadata": {"a/b": 1, "k" * 129: "v", "long": "v" * 1025},
            "chanel": "beta",
        },
    )

    assert answer.status == 422
    faults = {error["pointer"]: error["detail"] for error in answer.document["errors"]}
    assert set(faults) >= {
        "/name",
        "/version",
        "/arn",
        "/metadata/a~1b",
        "/metadata/long",
        "/chanel",
    }
    assert "three numbers" in faults["/version"]
    assert "arn:partition" in faults["/arn"]
    assert call("GET", "/services/users").status == 404


@pytest.mark.parametrize("version", ["v1.2.3", "1.2", "01.2.3", "1.2.3+abc", "1.2.3-01", "1" * 65])
def test_bad_version_is_refused_with_the_reason(call: Call, version: str) -> None:
    """Each with a message that says why."""
    answer = call("POST", "/services", publication(version=version))

    assert answer.status == 422
    (error,) = answer.document["errors"]
    assert error["pointer"] == "/version"
    assert len(error["detail"]) > 20


@pytest.mark.parametrize(
    "body",
    [
        "{",
        "",
        '{"name": NaN}',
        '{"name": "a", "name": "b"}',
        "[" * 60_000,
        '{"name": "\\ud800"}',
        "1" * 5_000,
        "\ufeff{}",
        "\ud800",
        '{"a": 1} {"b": 2}',
        "[" * 10_000 + "]" * 10_000,
        "{" + ",".join(f'"{number}":1' for number in range(5_000)) + ',"0":1}',
    ],
    ids=lambda body: repr(body)[:20],
)
def test_body_that_is_no_json_is_a_400(call: Call, body: str) -> None:
    """Hostile or broken, it is never a 500."""
    answer = call("POST", "/services", body=body)

    assert answer.status == 400
    assert "JSON" in answer.document["detail"]


@pytest.mark.parametrize("body", ["%%%", "é", "A", base64.b64encode(b"\xff{}").decode()])
def test_encoded_body_that_is_no_json_is_a_400(call: Call, body: str) -> None:
    """Not base64, or not UTF-8 inside."""
    answer = call("POST", "/services", body=body, isBase64Encoded=True)

    assert answer.status == 400
    assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("document", [[], "text", 1, True, {}])
def test_body_of_another_shape_is_a_422(call: Call, document: object) -> None:
    """JSON, but no publish request."""
    assert call("POST", "/services", document).status == 422


def test_body_that_is_too_large_is_a_413(call: Call) -> None:
    """65,536 bytes are the most, however they are encoded."""
    fits = call("POST", "/services", body=" " * (65_536 - 2) + "{}")
    plain = call("POST", "/services", body=" " * 65_535 + "{}")
    encoded = base64.b64encode(b" " * 65_537).decode()
    packed = call("POST", "/services", body=encoded, isBase64Encoded=True)

    assert (fits.status, plain.status, packed.status) == (422, 413, 413)


def test_body_counts_whatever_its_content_type(call: Call) -> None:
    """Clients forget it; API Gateway may encode what it takes for binary."""
    body = base64.b64encode(json.dumps(publication()).encode()).decode()

    answer = call(
        "POST",
        "/services",
        body=body,
        isBase64Encoded=True,
        headers={"Content-Type": "application/octet-stream"},
    )

    assert answer.status == 201


def test_channel_is_set_in_the_publishs_own_change(call: Call) -> None:
    """One change, one revision; at a repetition, too."""
    call("POST", "/services", publication(channel="beta"))
    assert call("GET", "/services/users").document["channels"] == {"beta": "1.4.2"}
    assert call("GET", "/services/users").document["revision"] == 1

    assert call("POST", "/services", publication(channel="stable")).status == 200
    assert call("POST", "/services", publication(channel="stable")).status == 200

    service = call("GET", "/services/users").document
    assert service["channels"] == {"beta": "1.4.2", "stable": "1.4.2"}
    assert service["revision"] == 2


def test_channel_that_may_not_point_there_publishes_nothing(call: Call) -> None:
    """`latest` is for stable versions alone."""
    answer = call("POST", "/services", publication(version="2.0.0-rc.1", channel="latest"))

    assert answer.status == 409
    assert call("GET", "/services/users").status == 404


def test_pinned_latest_stays_where_it_is(call: Call) -> None:
    """A roll-back that the next publish undoes would be none."""
    call("POST", "/services", publication(version="1.0.0", channel="latest"))

    call("POST", "/services", publication(version="2.0.0"))

    service = call("GET", "/services/users").document
    assert service["latest"]["version"] == "1.0.0"
    assert service["channels"] == {"latest": "1.0.0"}


@pytest.mark.parametrize("identity", [{}, {"identity": {"userArn": None}}, {"identity": None}])
def test_caller_without_an_identity_is_unknown(call: Call, identity: dict[str, Any]) -> None:
    """The history says so and does not guess."""
    answer = call("POST", "/services", publication(), requestContext={"requestId": "r", **identity})

    assert answer.document["published_by"] == "unknown"


def test_every_change_leaves_its_history_entry(call: Call, dynamodb: "DynamoDBClient") -> None:
    """Version, revision and history change together."""
    call("POST", "/services", publication(channel="beta"))

    entries = {
        item["entry"]["S"]: item for item in dynamodb.scan(TableName=tables.VERSIONS)["Items"]
    }

    assert sorted(entries) == ["#service", "e#a1", "v#a1.a4.a2~"]
    event = entries["e#a1"]
    assert event["action"]["S"] == "publish"
    assert event["version"]["S"] == "1.4.2"
    assert event["channel"]["S"] == "beta"
    assert event["by"]["S"] == CALLER


def _failing(error: Exception) -> Callable[..., Any]:
    def fail(*_args: object, **_kwargs: object) -> None:
        raise error

    return fail


def _client_error(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "said so"}}, "Operation")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (_client_error("ThrottlingException"), 503),
        (_client_error("ResourceNotFoundException"), 503),
        (EndpointConnectionError(endpoint_url="http://x"), 503),
        (_client_error("ValidationException"), 500),
    ],
)
def test_trouble_of_the_table_is_told_as_what_it_is(
    call: Call, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int
) -> None:
    """A client can tell what to try again; only a bug is a 500."""
    routes = importlib.import_module("registry_api.handler")._routes
    client = routes._registry._store._client
    monkeypatch.setattr(client, "get_item", _failing(error))

    answer = call("GET", "/services/users")

    assert answer.status == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert ("Retry-After" in answer.headers) == (status == 503)


@pytest.fixture
def log(call: Call, monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Give what the function logs from now on, one JSON document a line."""
    assert call("GET", "/").status == 404
    stream = io.StringIO()
    log_handler = importlib.import_module("registry_api.handler").logger.registered_handler
    monkeypatch.setattr(log_handler, "stream", stream)
    return stream


def _lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_request_leaves_one_log_line_with_its_id(call: Call, log: io.StringIO) -> None:
    """The id that API Gateway gave the client finds the line."""
    call("POST", "/services", publication())

    (line,) = _lines(log.getvalue())
    assert line["message"] == "request answered"
    assert line["correlation_id"] == "request-1"
    assert (line["method"], line["path"], line["status"]) == ("POST", "/services", 201)
    assert line["level"] == "INFO"


def test_bug_is_logged_with_its_traceback_and_kept_from_the_client(
    call: Call, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer is the same problem document as any other, and says nothing of the inside."""
    routes = importlib.import_module("registry_api.handler")._routes
    monkeypatch.setattr(routes._registry._store._client, "get_item", _failing(KeyError("inside")))

    answer = call("GET", "/services/users")

    assert answer.status == 500
    assert answer.document["status"] == 500
    assert "inside" not in json.dumps(answer.document)
    failed, answered = _lines(log.getvalue())
    assert (failed["level"], failed["message"]) == ("ERROR", "request failed")
    assert "KeyError" in failed["exception"]
    assert failed["correlation_id"] == "request-1"
    assert answered["status"] == 500


def test_publishes_conflicts_and_refusals_are_counted(
    call: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    """What an operator puts on a dashboard; a repetition is none of them."""
    call("POST", "/services", publication())
    call("POST", "/services", publication())
    call("POST", "/services", publication(arn=ARN + "3"))
    call("POST", "/services", publication(arn="none"))

    documents = [line for line in _lines(capsys.readouterr().out) if "_aws" in line]
    counted = [
        (metric["Name"], document[metric["Name"]])
        for document in documents
        for metric in document["_aws"]["CloudWatchMetrics"][0]["Metrics"]
    ]
    assert counted == [("Publishes", [1.0]), ("Conflicts", [1.0]), ("RejectedRequests", [1.0])]


def test_whoever_loses_every_race_is_told_when_to_come_back(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A 503, since it is nobody's fault; and nothing was published."""
    registry = importlib.import_module("registry_api.handler")._routes._registry
    conflict = _client_error("TransactionConflictException")
    monkeypatch.setattr(registry._store._client, "transact_write_items", _failing(conflict))
    monkeypatch.setattr(registry, "_sleep", lambda _: None)

    answer = call("POST", "/services", publication())

    assert answer.status == 503
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert int(answer.headers["Retry-After"]) >= 1
    assert call("GET", "/services/users").status == 404


def test_writers_at_once_lose_nothing(dynamodb: "DynamoDBClient") -> None:
    """Whoever loses a race decides anew: the revision counts every change."""
    guard = threading.Lock()
    conflicts = iter(range(10_000))

    class Client:
        """DynamoDB with the conflicts that moto never has."""

        def __getattr__(self, name: str) -> Callable[..., Any]:
            def locked(**arguments: Any) -> Any:
                with guard:
                    if name == "transact_write_items" and next(conflicts) % 5 == 0:
                        raise ClientError(
                            {
                                "Error": {"Code": "TransactionCanceledException"},
                                "CancellationReasons": [{"Code": "TransactionConflict"}],
                            },
                            "TransactWriteItems",
                        )
                    return getattr(dynamodb, name)(**arguments)

            return locked

    store = DynamoVersionStore(Client(), tables.VERSIONS)  # type: ignore[arg-type]  # as above
    registry = Registry(store, now=lambda: "2026-01-01T00:00:00Z", sleep=_nap, random=random)
    failures: list[Exception] = []

    def publish(number: int) -> None:
        wanted = Publication(
            name="users", version=Version(1, 0, number), arn=Arn.parse(ARN), metadata={}
        )
        while True:
            try:
                registry.publish(wanted, "somebody")
            except BusyError:  # which a pipeline is told as a 503
                continue
            except Exception as error:  # noqa: BLE001  # told below
                failures.append(error)
            return

    writers = [threading.Thread(target=publish, args=(number,)) for number in range(32)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()

    assert failures == []
    service = store.service("users")
    assert service is not None
    assert service.revision == 32
    records = store.versions("users", limit=100, after=None).versions
    assert len(records) == 32
    assert {record.revision for record in records} == set(range(1, 33))
    history = [
        item["entry"]["S"]
        for item in dynamodb.scan(TableName=tables.VERSIONS)["Items"]
        if "action" in item
    ]
    assert sorted(history) == [history_entry(revision) for revision in range(1, 33)]


def _nap(seconds: float) -> None:
    threading.Event().wait(seconds / 10)
