"""The consumers that a yank breaks: declared and scanned functions."""

import json
from typing import Any

import pytest

from local import processes
from local.emulator import ACCOUNT, REGION
from testing.consumer_functions import create_consumer
from tests.e2e.conftest import App, Run, arn

pytestmark = pytest.mark.xdist_group("e2e")

_YANK = "/services/rates/versions/1.5.0"
_SECRET = "a-password-of-the-function"  # must not appear anywhere


def _scan(app: App) -> dict[str, Any]:
    """Invoke the scan's function as its schedule does, and return its summary."""
    events, client = app.emulator.events(), app.emulator.functions()
    targets = [
        target
        for rule in events.list_rules()["Rules"]
        for target in events.list_targets_by_rule(Rule=rule["Name"])["Targets"]
    ]
    (function,) = [each["Arn"] for each in targets if each["Id"] == "consumer-scan"]
    response = client.invoke(
        FunctionName=function,
        Payload=json.dumps({"source": "aws.events", "detail-type": "Scheduled Event"}),
    )
    summary: dict[str, Any] = json.load(response["Payload"])
    assert "FunctionError" not in response, summary
    return summary


def _versions(document: dict[str, Any]) -> dict[str, str | None]:
    return {key: member.get("version") for key, member in document.items()}


def test_yank_affects_exactly_the_functions_that_its_dry_run_lists(app: App, run: Run) -> None:
    """A pipeline has declared one function, and the scan finds two by their variables."""
    needs = {
        "declared": "rates==1.x",
        "scanned-broken": "rates==1.5.x,old:rates==1.4.x",
        "scanned-safe": "rates==1.4.x",
    }
    consumers = {name: f"{ACCOUNT}:{REGION}:{name}" for name in needs}
    for version in ("1.4.2", "1.5.0"):
        app.publish("rates", version)
    app.wait_for_index(
        "rates",
        {"latest": "1.5.0", "1.x": "1.5.0", "1.4.x": "1.4.2", "1.5.x": "1.5.0"}
        | {version: version for version in ("1.4.2", "1.5.0")},
    )
    for name in ("scanned-broken", "scanned-safe"):
        variables = {"NEEDED_SERVICES": needs[name], "PASSWORD": _SECRET}
        create_consumer(app.emulator, name, variables)
    declared = app.registry.send(
        "PUT", f"/consumers/{consumers['declared']}", {"needed": needs["declared"]}
    )
    functions = {name: run("shell", needed, name=name) for name, needed in needs.items()}
    before = {
        name: _versions(function.invoke().payload["now"]) for name, function in functions.items()
    }

    summary = _scan(app)
    predicted = app.registry.send("PATCH", f"{_YANK}?dry_run=true&force=true", {"status": "yanked"})
    refused = app.registry.send("PATCH", _YANK, {"status": "yanked"})
    forced = app.registry.send("PATCH", f"{_YANK}?force=true", {"status": "yanked"})

    assert declared.document["services"]["rates"]["version"] == "1.5.0"
    # Other tests' functions may be consumers, too.
    assert summary["written"] >= 2
    assert predicted.document["consumers"] == [
        {"consumer": consumers["declared"], "need": "rates==1.x", "from": "1.5.0", "to": "1.4.2"},
        {
            "consumer": consumers["scanned-broken"],
            "need": "rates==1.5.x",
            "from": "1.5.0",
            "to": None,
        },
    ]
    assert refused.status == 409
    assert refused.document["selectors"] == []
    assert refused.document["consumers"] == predicted.document["consumers"][1:]
    assert forced.status == 200
    expected = {
        "declared": {"rates": "1.4.2"},
        "scanned-broken": {"rates": None, "old": "1.4.2"},
        "scanned-safe": {"rates": "1.4.2"},
    }
    # Exactly the needs that the dry run listed have changed.
    assert [name for name in needs if before[name] != expected[name]] == [
        "declared",
        "scanned-broken",
    ]

    def have_new_answers() -> bool:
        now = {name: function.invoke().payload["now"] for name, function in functions.items()}
        return {name: _versions(document) for name, document in now.items()} == expected

    processes.wait_until(
        have_new_answers, within_s=180, what="the functions' files have the new answers"
    )
    broken = functions["scanned-broken"].invoke().payload["now"]
    assert broken["rates"]["status"] == "missing"
    assert broken["old"]["arn"] == arn("rates", "1.4.2")
    _assert_secret_is_nowhere(app)


def _assert_secret_is_nowhere(app: App) -> None:
    """Check the consumers table, every function's log, and the API's responses."""
    client = app.emulator.dynamodb()
    (table,) = [name for name in client.list_tables()["TableNames"] if "ConsumersTable" in name]
    items = client.scan(TableName=table)["Items"]
    assert "scanned-broken" in str(items)
    assert _SECRET not in str(items)
    logs = app.emulator.logs()
    groups = [each["logGroupName"] for each in logs.describe_log_groups()["logGroups"]]
    lines = [
        event["message"]
        for group in groups
        for event in logs.filter_log_events(logGroupName=group)["events"]
    ]
    assert any("functions scanned" in line for line in lines)
    assert not any(_SECRET in line for line in lines)
    assert _SECRET not in str(app.registry.send("GET", "/consumers?limit=100").document)
