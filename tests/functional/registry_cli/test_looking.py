"""`list`, `show`, `versions`, `history`, `resolve`: as tables and as documents."""

from datetime import timedelta

import pytest

from tests.functional.http_gateway import HttpGateway
from tests.functional.registry_cli.conftest import ARN, OTHER_ARN, Publish, Run


def test_services_are_listed_by_name(run: Run, publish: Publish) -> None:
    publish("1.0.0", "1.1.0")
    publish("2.0.0-rc.1", name="billing")

    ended = run("list")

    assert ended.status == 0
    assert [line.split() for line in ended.out.splitlines()] == [
        ["NAME", "LATEST", "ARN", "REVISION"],
        ["billing", "no", "answer", "1"],
        ["users", "1.1.0", ARN, "2"],
    ]
    services = run("list", "us", "--json").document["services"]
    assert [(each["name"], each["revision"]) for each in services] == [("users", 2)]


def test_empty_registry_shows_the_first_command(run: Run) -> None:
    """A new user sees this message first."""
    ended = run("list")

    assert (ended.status, ended.out) == (0, "")
    assert "service-registry publish --help" in ended.err
    assert run("list", "--json").document == {"services": []}


def test_service_is_shown_with_its_channels_and_metadata(run: Run, publish: Publish) -> None:
    publish("1.0.0", channel="latest", metadata={"team": "shelf"})
    publish("1.1.0", channel="beta")

    ended = run("show", "users")

    rows = dict(line.rsplit(maxsplit=1) for line in ended.out.splitlines()[1:])
    assert rows["channel beta"] == "1.1.0"
    assert rows["metadata team"] == "shelf"
    assert rows["ARN"] == ARN
    assert "1.0.0 (pinned)" in ended.out
    assert run("show", "users", "--json").document["channels"] == {
        "beta": "1.1.0",
        "latest": "1.0.0",
    }


def test_versions_are_listed_from_the_highest_down(run: Run, publish: Publish) -> None:
    publish("1.9.0", "1.10.0", "2.0.0-rc.1")
    run("yank", "users", "1.10.0", "--reason", "loses writes")

    ended = run("versions", "users")

    rows = [line.split() for line in ended.out.splitlines()[1:]]
    assert [row[:3] for row in rows] == [
        ["2.0.0-rc.1", "active", ARN],
        ["1.10.0", "yanked", ARN],
        ["1.9.0", "active", ARN],
    ]
    assert rows[1][-2:] == ["loses", "writes"]
    versions = run("versions", "users", "--json").document["versions"]
    assert [each["version"] for each in versions] == ["2.0.0-rc.1", "1.10.0", "1.9.0"]


def test_history_has_the_newest_change_first(run: Run, publish: Publish) -> None:
    publish("1.0.0", "1.1.0")
    run("pin", "users", "1.0.0")

    ended = run("history", "users")

    rows = [line.split() for line in ended.out.splitlines()[1:]]
    assert [(row[0], row[2]) for row in rows] == [
        ("3", "set-channel"),
        ("2", "publish"),
        ("1", "publish"),
    ]
    events = run("history", "users", "--json").document["events"]
    assert [each["revision"] for each in events] == [3, 2, 1]


@pytest.mark.parametrize(
    ("need", "version"),
    [
        ("users", "1.1.0"),
        ("users==1.0.x", "1.0.0"),
        ("users~=1.0", "1.1.0"),
        ("users>=1.1", "1.1.0"),
        ("users@beta", "2.0.0-rc.1"),
        ("users==2.0.0-rc.1", "2.0.0-rc.1"),
    ],
)
def test_resolve_shows_what_a_function_would_get(
    run: Run, publish: Publish, need: str, version: str
) -> None:
    """The document is the need's member of the services file."""
    publish("1.0.0", "1.1.0")
    publish("2.0.0-rc.1", channel="beta", arn=OTHER_ARN)

    ended = run("resolve", need, "--json")

    assert ended.status == 0
    assert (ended.document["version"], ended.document["status"]) == (version, "active")
    assert version in run("resolve", need).out


def test_resolve_of_several_needs_is_the_services_file(run: Run, publish: Publish) -> None:
    publish("1.0.0")
    publish("3.0.0", name="billing", arn=OTHER_ARN)

    ended = run("resolve", "--needed", "old:users==1.x, billing", "--json")

    assert ended.document["resolved"] is True
    assert ended.document["services"]["old"]["service"] == "users"
    assert ended.document["services"]["billing"]["arn"] == OTHER_ARN


@pytest.mark.parametrize(
    "arguments", [("users==9.x",), ("--needed", "users,users9:users==9.x"), ("user",)]
)
def test_need_without_an_answer_is_exit_status_3(
    run: Run, publish: Publish, arguments: tuple[str, ...]
) -> None:
    """A pipeline stops before it deploys a function that would not start."""
    publish("1.0.0")

    ended = run("resolve", *arguments)
    as_json = run("resolve", *arguments, "--json")

    assert (ended.status, as_json.status) == (3, 3)
    assert "missing" in ended.out
    assert as_json.document
    assert "Not resolved" in as_json.err


def test_yanked_version_is_resolved(run: Run, publish: Publish) -> None:
    """A function that asked for exactly this version still gets it."""
    publish("1.0.0", "1.1.0")
    run("yank", "users", "1.0.0", "--reason", "loses writes")
    publish()

    ended = run("resolve", "users==1.0.0", "--json")

    assert (ended.status, ended.document["status"]) == (0, "yanked")
    assert ended.document["reason"] == "loses writes"


def test_resolve_suggests_similar_services(run: Run, publish: Publish) -> None:
    publish("1.0.0")

    assert "did you mean 'users'?" in run("resolve", "usres").err


@pytest.mark.parametrize(("need", "command"), [("users==9.x", "versions"), ("users@beta", "show")])
def test_need_without_an_answer_leads_to_the_existing_versions_or_channels(
    run: Run,
    publish: Publish,
    environment: pytest.MonkeyPatch,
    need: str,
    command: str,
) -> None:
    """The message has the command that lists the service's versions or channels."""
    publish("1.0.0")
    environment.setattr("registry_cli.looking._FOLLOWS_WITHIN", timedelta(0))

    ended = run("resolve", need)

    assert ended.status == 3
    assert f"`service-registry {command} users` shows what there is" in ended.err


def test_version_that_the_index_does_not_have_yet_is_resolved_a_moment_later(
    run: Run, publish: Publish
) -> None:
    """A pipeline publishes, and resolves at once."""
    run("publish", "users", "1.0.0", "--arn", ARN)

    ended = run("resolve", "users")
    publish()

    assert ended.status == 3
    assert "the service has just changed, and answers follow in a second or two" in ended.err
    assert run("resolve", "users").status == 0


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("users", "--needed", "users"),
        ("users,billing",),
        ("users=1.2",),
        ("--needed", "users=1.2,b ad"),
        ("",),
    ],
)
def test_malformed_needs_are_usage_errors(
    run: Run, gateway: HttpGateway, arguments: tuple[str, ...]
) -> None:
    """No request is sent."""
    ended = run("resolve", *arguments)

    assert (ended.status, ended.out) == (2, "")
    assert gateway.requests == []


def test_every_fault_of_needs_is_named_with_its_position(run: Run) -> None:
    ended = run("resolve", "--needed", "users=1.2,b ad")

    assert "at 0: 'users=1.2'" in ended.err
    assert "at 10: 'b ad'" in ended.err


def test_control_characters_of_a_publisher_do_not_reach_the_terminal(
    run: Run, publish: Publish
) -> None:
    """A reason could otherwise move the cursor, or hide a line."""
    publish("1.0.0", "1.1.0")
    run("yank", "users", "1.0.0", "--reason", "red\x1b[31m\x07")

    ended = run("versions", "users")

    assert "\x1b" not in ended.out
    assert "red\\x1b[31m\\x07" in ended.out


def test_wide_tables_are_not_cut_in_a_pipe(run: Run, publish: Publish) -> None:
    """`awk` and `grep` read them."""
    arn = "arn:aws:lambda:eu-west-1:123456789012:function:" + "u" * 500
    publish("1.0.0", arn=arn)

    assert arn in run("versions", "users").out.splitlines()[1]
