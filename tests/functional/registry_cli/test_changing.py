"""`pin`, `unpin`, `yank`, `unyank`, `delete`, `channel` without a terminal."""

import json
from typing import Any

import pytest

from tests.functional.http_gateway import Canned, HttpGateway
from tests.functional.registry_cli.conftest import Publish, Run


@pytest.fixture(autouse=True)
def _published(publish: Publish) -> None:
    publish("1.0.0", "1.1.0")
    publish("2.0.0-rc.1", channel="beta")


def _service(run: Run) -> Any:
    return run("show", "users", "--json").document


def test_pin_sets_latest_and_unpin_releases_it(run: Run) -> None:
    pinned = run("pin", "users", "1.0.0")

    assert (pinned.status, pinned.out) == (0, "users latest is pinned to 1.0.0\n")
    assert _service(run)["latest"]["version"] == "1.0.0"
    unpinned = run("unpin", "users")
    assert (unpinned.status, unpinned.out) == (0, "users latest is no longer pinned\n")
    assert _service(run)["latest"]["version"] == "1.1.0"


def test_yank_with_a_reason_and_unyank(run: Run) -> None:
    yanked = run("yank", "users", "1.1.0", "--reason", "loses writes", "--json")

    assert (yanked.document["status"], yanked.document["reason"]) == ("yanked", "loses writes")
    assert _service(run)["latest"]["version"] == "1.0.0"
    assert run("unyank", "users", "1.1.0", "--json").document["status"] == "active"
    assert _service(run)["latest"]["version"] == "1.1.0"


def test_deleted_version_may_be_published_again(run: Run) -> None:
    deleted = run("delete", "users", "1.1.0")

    assert (deleted.status, deleted.out) == (0, "users 1.1.0 is deleted\n")
    arn = "arn:aws:lambda:eu-west-1:123456789012:function:users:99"
    assert run("publish", "users", "1.1.0", "--arn", arn).status == 0


def test_channel_is_set_and_deleted(run: Run) -> None:
    assert run("channel", "set", "users", "beta", "1.0.0", "--json").document == {
        "channel": "beta",
        "version": "1.0.0",
    }
    assert _service(run)["channels"] == {"beta": "1.0.0"}
    deleted = run("channel", "delete", "users", "beta")
    assert (deleted.status, deleted.out) == (0, "users@beta is deleted\n")
    assert _service(run)["channels"] == {}


@pytest.mark.parametrize(
    "command",
    [
        ("pin", "users", "1.0.0"),
        ("yank", "users", "1.1.0"),
        ("delete", "users", "1.1.0"),
        ("channel", "set", "users", "beta", "1.0.0"),
        ("channel", "delete", "users", "beta"),
        ("publish", "users", "1.2.0", "--arn", "arn:aws:sns:eu-west-1:123456789012:users"),
    ],
)
def test_dry_run_shows_the_selectors_and_changes_nothing(
    run: Run, command: tuple[str, ...]
) -> None:
    """The registry computes the dry run."""
    before = _service(run)

    ended = run(*command, "--dry-run", "--json")
    shown = run(*command, "--dry-run")

    assert (ended.status, shown.status) == (0, 0)
    assert set(ended.document) >= {"changes", "consumers"}
    for change in ended.document["changes"]:
        assert any(line.startswith(change["selector"]) for line in shown.out.splitlines())
    assert "would change; no known consumer is affected" in shown.out
    assert _service(run) == before


def test_dry_run_is_refused_as_the_change_would_be(run: Run) -> None:
    ended = run("delete", "users", "2.0.0-rc.1", "--dry-run")

    assert (ended.status, ended.out) == (4, "")
    assert "beta" in ended.err


def test_force_passes_the_guard(run: Run, gateway: HttpGateway) -> None:
    """A yank that removes the last answer breaks every consumer of it."""
    run("yank", "users", "1.1.0")

    refused = run("yank", "users", "1.0.0")

    assert (refused.status, refused.out) == (4, "")
    assert "latest" in refused.err
    assert "--force" in refused.err
    assert run("yank", "users", "1.0.0", "--force").status == 0
    assert gateway.calls()[-1][1].endswith("?force=true")
    assert _service(run)["latest"] is None


@pytest.mark.parametrize(
    "arguments",
    [
        ("pin", "users"),
        ("pin", "users", "1"),
        ("yank", "users", "v1.0.0"),
        ("channel", "set", "users", "no name", "1.0.0"),
        ("channel", "users"),
        ("unpin", "users", "1.0.0"),
        ("delete", "users", "1.0.0", "--reason", "x"),
    ],
)
def test_mistake_is_a_usage_error(run: Run, arguments: tuple[str, ...]) -> None:
    assert run(*arguments).status == 2


def test_impact_is_one_sentence(run: Run, gateway: HttpGateway) -> None:
    """It counts the consumers that would move, and those that would lose their answer."""
    moving = [
        {"consumer": f"orders-{n}", "need": "users", "from": "1.4.2", "to": "1.5.0"}
        for n in range(12)
    ]
    lost = {"consumer": "mail", "need": "users==1.4.2", "from": "1.4.2", "to": None}
    document = {
        "changes": [{"selector": "latest", "from": "1.4.2", "to": "1.5.0"}],
        "consumers": [*moving, lost],
        "consumers_total": 13,
    }
    gateway.script.append(Canned(status=200, body=json.dumps(document).encode()))

    ended = run("pin", "users", "1.5.0", "--dry-run")

    assert ended.out.splitlines()[0] == (
        "1 selector would change; 12 consumers would move from 1.4.2 to 1.5.0, 1 consumer would "
        "lose the answer"
    )
    assert "no answer" in ended.out
