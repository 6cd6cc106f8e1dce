"""`consumers`: the requests, and how the responses are shown."""

import json

import pytest

from tests.functional.http_gateway import Canned, HttpGateway
from tests.functional.registry_cli.conftest import ARN, Run

_ORDERS = "123456789012:eu-west-1:orders"
_MEMBER = {
    "requested": "1.x",
    "version": "1.4.2",
    "arn": ARN,
    "status": "active",
    "resolved_at": "2026-11-23T08:00:00Z",
}
_MISSING = {"requested": "latest", "status": "missing", "error": "no version of 'billing'"}


def respond(gateway: HttpGateway, document: object, status: int = 200) -> None:
    """Script a response in place of the registry's."""
    gateway.script.append(Canned(status=status, body=json.dumps(document).encode()))


def sent(gateway: HttpGateway) -> tuple[str, str]:
    """Return the last request's method and path."""
    method, target = gateway.calls()[-1]
    return method, target.partition("_user_request_")[2].partition("?")[0]


def test_consumers_of_a_service_are_listed_as_a_table_and_as_json(
    run: Run, gateway: HttpGateway
) -> None:
    need = {
        "consumer": _ORDERS,
        "key": "users",
        "requested": "1.x",
        "version": "1.4.2",
        "source": "scan",
        "seen_at": "2026-11-23T08:00:00Z",
    }
    lost = need | {"consumer": "mail", "version": None, "source": "declared"}
    document = {"consumers": [need, lost], "cursor": None}

    respond(gateway, document)
    shown = run("consumers", "users")
    assert sent(gateway) == ("GET", "/services/users/consumers")
    respond(gateway, document)
    as_json = run("consumers", "users", "--json")

    assert [line.split() for line in shown.out.splitlines()[1:]] == [
        [_ORDERS, "users", "1.x", "1.4.2", "scan", "2026-11-23T08:00:00Z"],
        ["mail", "users", "1.x", "no", "answer", "declared", "2026-11-23T08:00:00Z"],
    ]
    assert as_json.document == {"consumers": [need, lost]}


def test_all_consumers_are_read_page_by_page(run: Run, gateway: HttpGateway) -> None:
    one = {
        "consumer": _ORDERS,
        "needed": "users==1.x",
        "source": "declared",
        "owner": "team-shop",
        "seen_at": "2026-11-23T08:00:00Z",
    }
    respond(gateway, {"consumers": [one], "cursor": "next"})
    respond(gateway, {"consumers": [one | {"consumer": "mail"}], "cursor": None})

    ended = run("consumers", "list", "m", "--json")

    assert [each["consumer"] for each in ended.document["consumers"]] == [_ORDERS, "mail"]
    targets = [target for _, target in gateway.calls()[-2:]]
    assert all("/consumers?" in target and "prefix=m" in target for target in targets)
    assert "cursor=next" in targets[1]


def test_empty_list_of_consumers_is_explained(run: Run, gateway: HttpGateway) -> None:
    for arguments in (("users",), ("list",)):
        respond(gateway, {"consumers": [], "cursor": None})

        ended = run("consumers", *arguments)

        assert (ended.status, ended.out) == (0, "")
        assert "known" in ended.err
    respond(gateway, {"consumers": [], "cursor": None})

    assert "no consumer's name starts with 'mai'" in run("consumers", "list", "mai").err


def test_declared_needs_are_recorded_and_checked(run: Run, gateway: HttpGateway) -> None:
    """The command fails in a consumer's pipeline if the function would lack an answer."""
    respond(gateway, {"services": {"users": _MEMBER}, "resolved": True})

    ended = run(
        *("consumers", "declare", _ORDERS, "--needed", "users==1.x"),
        *("--arn", ARN, "--owner", "team-shop"),
    )

    assert ended.status == 0
    assert ARN in ended.out
    assert sent(gateway) == ("PUT", f"/consumers/{_ORDERS}")
    assert gateway.requests[-1].document == {
        "needed": "users==1.x",
        "arn": ARN,
        "owner": "team-shop",
    }


def test_declared_need_without_an_answer_is_exit_status_3(run: Run, gateway: HttpGateway) -> None:
    respond(gateway, {"services": {"users": _MEMBER, "billing": _MISSING}, "resolved": False})

    ended = run("consumers", "declare", "orders", "--needed", "users==1.x,billing", "--json")

    assert ended.status == 3
    assert ended.document["resolved"] is False
    assert "Not resolved: billing" in ended.err


def test_malformed_needs_of_a_consumer_are_a_usage_error(run: Run, gateway: HttpGateway) -> None:
    ended = run("consumers", "declare", "orders", "--needed", "users<2")

    assert ended.status == 2
    assert gateway.requests == []


def test_consumer_is_forgotten(run: Run, gateway: HttpGateway) -> None:
    gateway.script.append(Canned(status=204))

    ended = run("consumers", "forget", _ORDERS)

    assert (ended.status, ended.out) == (0, f"the record of {_ORDERS} is deleted\n")
    assert sent(gateway) == ("DELETE", f"/consumers/{_ORDERS}")


@pytest.mark.parametrize(
    "arguments", [("declare", "orders"), ("forget",), ("no name",), ("--needed", "users")]
)
def test_mistake_is_a_usage_error(run: Run, arguments: tuple[str, ...]) -> None:
    assert run("consumers", *arguments).status == 2


def test_malformed_name_of_a_consumer_is_a_usage_error(run: Run) -> None:
    """Only the registry checks the name."""
    ended = run("consumers", "declare", "my app", "--needed", "users")

    assert (ended.status, ended.out) == (2, "")
    assert "a name has 1 to 256 letters" in ended.err
    assert "Way out: correct the name and repeat" in ended.err


def test_declared_consumer_is_listed_protected_and_forgotten(run: Run) -> None:
    """The registry's own handler responds to all requests."""
    for version in ("1.4.2", "1.5.0"):
        assert run("publish", "users", version, "--arn", ARN).status == 0
    declared = run("consumers", "declare", _ORDERS, "--needed", "users==1.4.x,billing", "--json")
    listed = run("consumers", "list", "--json").document["consumers"]
    needing = run("consumers", "users", "--json").document["consumers"]

    refused = run("yank", "users", "1.4.2")
    dry = run("yank", "users", "1.4.2", "--force", "--dry-run", "--json")
    forced = run("yank", "users", "1.4.2", "--force")
    forgotten = run("consumers", "forget", _ORDERS)

    assert "billing" in declared.document["services"]
    assert [(each["consumer"], each["source"]) for each in listed] == [(_ORDERS, "declared")]
    assert [(each["key"], each["requested"]) for each in needing] == [("users", "1.4.x")]
    assert refused.status == 4
    assert _ORDERS in refused.err
    assert "--force" in refused.err
    assert _ORDERS in dry.out
    assert (forced.status, forgotten.status) == (0, 0)
    assert run("consumers", "list", "--json").document["consumers"] == []
