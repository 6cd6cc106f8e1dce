"""`verify` and `rebuild`, with the real function behind Lambda's API."""

import importlib
import itertools
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from registry_model.version import Version
from registry_tables import versions_layout as layout
from registry_tables.errors import ThrottledError
from stream_sync.payloads import RequestError
from testing import tables
from testing.stream_world import expected_index, index_of, lambda_context, remove_all
from tests.functional.http_gateway import REGION
from tests.functional.registry_cli.aws_server import AwsServer
from tests.functional.registry_cli.conftest import ARN, Publish, Run, silence

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Invoke = Callable[[dict[str, Any]], dict[str, Any]]


@pytest.fixture
def invoke(
    one_dynamodb: "DynamoDBClient",
    publish: Publish,
    aws_server: AwsServer,
    environment: pytest.MonkeyPatch,
) -> Invoke:
    """Return a function that invokes the rebuild function; two services have a right index."""
    publish("1.4.2", "1.5.0")
    publish("1.0.0", name="billing")
    environment.setenv("POWERTOOLS_METRICS_DISABLED", "true")
    with environment.context() as patch:
        # The function's own calls of DynamoDB go to moto.
        patch.delenv("AWS_ENDPOINT_URL")
        patch.setenv("AWS_DEFAULT_REGION", REGION)
        module = importlib.reload(importlib.import_module("stream_sync.rebuild_handler"))
    silence(module, environment)
    assert one_dynamodb.list_tables()["TableNames"]

    def _invoke(payload: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = module.handler(payload, lambda_context(900))
        return found

    aws_server.invoke = _invoke
    return _invoke


def spoil(client: "DynamoDBClient") -> None:
    """Change one item of the index, remove one, and add a surplus one."""
    key = {"service": {"S": "users"}, "selector": {"S": "latest"}}
    client.update_item(
        TableName=tables.INDEX,
        Key=key,
        UpdateExpression="SET arn = :arn",
        ExpressionAttributeValues={":arn": {"S": "arn:old"}},
    )
    client.delete_item(TableName=tables.INDEX, Key={**key, "selector": {"S": "1.x"}})
    client.put_item(
        TableName=tables.INDEX,
        Item={
            "service": {"S": "gone"},
            "selector": {"S": "latest"},
            "version": {"S": "1.0.0"},
            "arn": {"S": "arn:x"},
            "status": {"S": "active"},
            "revision": {"N": "1"},
            "updated_at": {"S": "2026-01-01T00:00:00Z"},
        },
    )


@pytest.mark.usefixtures("invoke")
def test_verify_of_a_right_index_succeeds(run: Run, one_dynamodb: "DynamoDBClient") -> None:
    before = index_of(one_dynamodb)

    ended = run("verify")

    assert (ended.status, ended.out) == (0, "2 services, 10 selectors, 0 differences\n")
    assert index_of(one_dynamodb) == before


@pytest.mark.usefixtures("invoke")
def test_verify_prints_the_differences_and_fails(run: Run, one_dynamodb: "DynamoDBClient") -> None:
    """A script reads the status, a person the table."""
    spoil(one_dynamodb)

    ended = run("verify")

    rows = {tuple(line.split()[:2]): line.split()[2:] for line in ended.out.splitlines()}
    assert ended.status == 1
    assert rows["users", "latest"] == ["arn=arn:old", f"arn={ARN}"]
    assert rows["users", "1.x"][0] == "nothing"
    assert rows["gone", "latest"][-1] == "nothing"
    assert "3 differences" in ended.out


@pytest.mark.usefixtures("invoke")
def test_verify_is_one_document_for_programs(run: Run, one_dynamodb: "DynamoDBClient") -> None:
    spoil(one_dynamodb)

    ended = run("verify", "--json")

    document = ended.document
    assert ended.status == 1
    assert (document["complete"], document["differences"], document["cursor"]) == (True, 3, None)
    assert {(each["service"], each["selector"]) for each in document["listed"]} == {
        ("users", "latest"),
        ("users", "1.x"),
        ("gone", "latest"),
    }


@pytest.mark.usefixtures("invoke")
def test_rebuild_corrects_the_index(run: Run, one_dynamodb: "DynamoDBClient") -> None:
    spoil(one_dynamodb)

    ended = run("rebuild")

    assert ended.status == 0
    assert "3 differences; all of them corrected" in ended.out
    assert index_of(one_dynamodb) == expected_index(one_dynamodb)
    assert run("verify").status == 0


@pytest.mark.usefixtures("invoke")
def test_rebuild_of_one_service_leaves_the_others(
    run: Run, one_dynamodb: "DynamoDBClient", aws_server: AwsServer
) -> None:
    spoil(one_dynamodb)

    assert run("rebuild", "--service", "users", "--json").document["differences"] == 2

    assert aws_server.payloads[0]["service"] == "users"
    assert run("verify", "--json").document["differences"] == 1


def test_long_work_continues_and_can_be_resumed(
    run: Run, one_dynamodb: "DynamoDBClient", aws_server: AwsServer, invoke: Invoke
) -> None:
    """A rebuild of a large registry takes longer than one invocation."""
    remove_all(one_dynamodb, tables.INDEX, "service", "selector")
    rounds = itertools.count()

    def fail_at_last(payload: dict[str, Any]) -> dict[str, Any]:
        if next(rounds) == 2:
            raise ThrottledError
        return invoke(payload | {"seconds": 1e-9})

    aws_server.invoke = fail_at_last

    ended = run("rebuild", "--json")

    cursor = aws_server.payloads[-1]["cursor"]
    assert ended.status == 1
    assert (ended.document["complete"], ended.document["cursor"]) == (False, cursor)
    assert "ThrottledError" in ended.err
    assert ended.err.endswith(f"continue with --cursor {cursor}\n")
    aws_server.invoke = invoke
    assert run("rebuild", "--cursor", cursor).status == 0
    assert index_of(one_dynamodb) == expected_index(one_dynamodb)


@pytest.mark.usefixtures("invoke")
def test_service_that_cannot_be_read_makes_the_verification_incomplete(
    run: Run, one_dynamodb: "DynamoDBClient"
) -> None:
    """The index must not count as right if a part of it was not compared."""
    key = layout.version_key("billing", Version.parse("1.0.0"))
    one_dynamodb.put_item(TableName=tables.VERSIONS, Item={**key, "version": {"S": "one"}})

    ended = run("verify", "--json")

    assert (ended.status, ended.document["complete"]) == (1, False)
    assert "billing" in ended.document["failed"]
    assert "billing could not be compared" in ended.err


@pytest.mark.usefixtures("invoke")
def test_unknown_service_is_noted(run: Run) -> None:
    """With a misspelt name nothing differs, which must not look like a success."""
    ended = run("verify", "--service", "usres")

    assert ended.status == 0
    assert "Note: there is no service 'usres'; did you mean 'users'?" in ended.err
    assert "Note" not in run("verify", "--service", "users").err


def test_interrupted_operation_says_that_the_function_continues(
    run: Run, aws_server: AwsServer, environment: pytest.MonkeyPatch
) -> None:
    """Ctrl-C does not end the invocation; there is no cursor yet."""
    assert aws_server.stacks

    def interrupt(*_arguments: object) -> None:
        raise KeyboardInterrupt

    environment.setattr("registry_cli.connection.Connection.function", interrupt)

    for arguments in (("restore", "--from", "Versions-restored", "--yes"), ("rebuild",)):
        ended = run(*arguments)

        assert ended.status == 1
        assert "interrupted; the function finishes its present step" in ended.err
        assert "Way out: run it again, from the beginning; that does no harm" in ended.err


def test_refused_source_of_a_restore_does_not_lead_to_the_log(
    run: Run, aws_server: AwsServer
) -> None:
    """The way out is to correct the request; the function's log has nothing more."""

    def refuse(_payload: dict[str, Any]) -> None:
        message = "from: there is no table 'Versons'"
        raise RequestError(message)

    aws_server.invoke = refuse

    ended = run("restore", "--from", "Versons", "--yes")

    assert ended.status == 1
    assert "Error: from: there is no table 'Versons'\nWay out: correct it and repeat" in ended.err


@pytest.mark.usefixtures("invoke")
def test_progress_is_on_stderr(run: Run) -> None:
    ended = run("verify", "--json")

    assert json.loads(ended.out)
    assert "2 services, 10 selectors" in ended.err


@pytest.mark.usefixtures("invoke")
def test_cursor_that_was_cut_is_refused(run: Run) -> None:
    """A cursor is copied from a terminal."""
    ended = run("rebuild", "--cursor", "WyJ")

    assert ended.status == 1
    assert "copy it whole" in ended.err
    assert "go on with" not in ended.err


class RestoreFunction:
    """A restore that takes three invocations, and the rebuild after it."""

    def __init__(self, rebuild: Invoke) -> None:
        """Start with no invocation."""
        self._rebuild = rebuild
        self.fails_at: str | None = None

    def __call__(self, payload: dict[str, Any]) -> dict[str, Any]:
        """Return the response to the payload's action."""
        if payload["action"] != "restore":
            return self._rebuild(payload)
        cursor = payload.get("cursor")
        if cursor == self.fails_at and cursor is not None:
            raise ThrottledError
        following = {None: "first", "first": "second", "second": None}[cursor]
        return {
            "action": "restore",
            "from": payload["from"],
            "complete": following is None,
            "items": 1000,
            "written": 10,
            "deleted": 1,
            "cursor": following,
        }


@pytest.fixture
def restore(aws_server: AwsServer, invoke: Invoke) -> RestoreFunction:
    """Add the function for restores to the stack."""
    function = RestoreFunction(invoke)
    aws_server.invoke = function
    return function


@pytest.mark.usefixtures("restore")
def test_restore_needs_yes_if_there_is_no_terminal(run: Run, aws_server: AwsServer) -> None:
    """A restore deletes items, so a script has to confirm it."""
    ended = run("restore", "--from", "Versions-restored")

    assert (ended.status, ended.out) == (2, "")
    assert "--yes" in ended.err
    assert aws_server.payloads == []


@pytest.mark.usefixtures("restore")
def test_restore_copies_to_the_end_and_rebuilds_the_index(
    run: Run, one_dynamodb: "DynamoDBClient", aws_server: AwsServer
) -> None:
    spoil(one_dynamodb)

    ended = run("restore", "--from", "Versions-restored", "--yes")

    assert ended.status == 0
    assert ended.out.splitlines() == [
        "3,000 items compared, 30 written, 3 deleted",
        "index: 2 services, 10 selectors, 3 differences; all of them corrected",
    ]
    assert aws_server.invoked == ["RestoreFunction"] * 3 + ["IndexRebuildFunction"]
    assert {each.get("from") for each in aws_server.payloads[:3]} == {"Versions-restored"}
    assert index_of(one_dynamodb) == expected_index(one_dynamodb)


def test_restore_continues_where_it_was_stopped(
    run: Run, aws_server: AwsServer, restore: RestoreFunction
) -> None:
    """A large table takes hours, and a terminal may close; the index is rebuilt at the end."""
    restore.fails_at = "second"

    stopped = run("restore", "--from", "Versions-restored", "--yes", "--json")

    assert stopped.status == 1
    assert (stopped.document["complete"], stopped.document["rebuild"]) == (False, None)
    assert "ThrottledError" in stopped.err
    assert "service-registry restore --from Versions-restored --cursor second" in stopped.err
    restore.fails_at = None
    aws_server.invoked.clear()

    ended = run(
        *("restore", "--from", "Versions-restored", "--yes", "--json"), "--cursor", "second"
    )

    assert ended.status == 0
    assert (ended.document["complete"], ended.document["rebuild"]["complete"]) == (True, True)
    assert aws_server.invoked == ["RestoreFunction", "IndexRebuildFunction"]


def test_damaged_service_is_named_and_verify_fails(
    run: Run, aws_server: AwsServer, invoke: Invoke
) -> None:
    """A restore brought back only a part of a transaction: docs/operations.md has the repair."""
    reason = "version 1.0.0 is at revision 7, the service at 6"
    aws_server.invoke = lambda payload: invoke(payload) | {"damaged": {"users": reason}}

    ended = run("verify", "--json")

    assert ended.status == 1
    assert ended.document["damaged"] == {"users": reason}
    assert f"users: {reason}" in ended.err
