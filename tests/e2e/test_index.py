"""The index table after the stream was processed."""

import json
import re
from typing import Any

from local import processes
from local.deployment import STACK
from tests.e2e.conftest import App, arn


def test_each_selector_with_an_answer_has_one_item(app: App) -> None:
    """The key is the service and the selector, and the item is the answer."""
    app.publish("orders", "1.4.2", metadata={"team": "sales"})
    app.publish("orders", "1.5.0")
    app.publish("orders", "2.0.0-rc.1", channel="beta")

    items = app.wait_for_index(
        "orders",
        {
            "latest": "1.5.0",
            "1.x": "1.5.0",
            "1.4.x": "1.4.2",
            "1.5.x": "1.5.0",
            "1.4.2": "1.4.2",
            "1.5.0": "1.5.0",
            "2.0.0-rc.1": "2.0.0-rc.1",
            "@beta": "2.0.0-rc.1",
        },
    )

    exact = items["1.4.2"]
    assert exact["arn"] == {"S": arn("orders", "1.4.2")}
    assert exact["status"] == {"S": "active"}
    assert exact["metadata"] == {"M": {"team": {"S": "sales"}}}
    assert int(exact["revision"]["N"]) >= 1
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", exact["updated_at"]["S"])
    assert set(items["latest"]) == {
        "service",
        "selector",
        "version",
        "arn",
        "status",
        "revision",
        "updated_at",
    }


def test_lower_version_published_later_moves_only_its_own_series(app: App) -> None:
    """A backport must not move `latest` back."""
    app.publish("backported", "2.0.0")
    before = app.wait_for_index(
        "backported", {"latest": "2.0.0", "2.x": "2.0.0", "2.0.x": "2.0.0", "2.0.0": "2.0.0"}
    )

    app.publish("backported", "1.9.0")

    after = app.wait_for_index(
        "backported",
        {
            **dict.fromkeys(("latest", "2.x", "2.0.x", "2.0.0"), "2.0.0"),
            **dict.fromkeys(("1.x", "1.9.x", "1.9.0"), "1.9.0"),
        },
    )
    assert after["latest"] == before["latest"]


def test_channel_latest_pins_the_latest(app: App) -> None:
    """A publish with this channel can roll back, and a newer version does not undo it."""
    app.publish("pinned", "1.0.0", channel="latest")
    app.publish("pinned", "1.1.0")

    items = app.wait_for_index(
        "pinned",
        {
            "latest": "1.0.0",
            "1.x": "1.1.0",
            "1.0.x": "1.0.0",
            "1.1.x": "1.1.0",
            "1.0.0": "1.0.0",
            "1.1.0": "1.1.0",
        },
    )

    assert "@latest" not in items
    assert app.registry.send("GET", "/services/pinned").document["channels"] == {"latest": "1.0.0"}


def test_each_change_invokes_the_function_with_one_record(app: App) -> None:
    """A change writes several items; the filter lets only its history entry through."""
    app.publish("filtered", "1.0.0", channel="beta")
    app.publish("filtered", "1.1.0")
    expected = {"latest": "1.1.0", "1.x": "1.1.0", "1.0.x": "1.0.0", "1.1.x": "1.1.0"}
    expected |= {"1.0.0": "1.0.0", "1.1.0": "1.1.0", "@beta": "1.0.0"}
    app.wait_for_index("filtered", expected)
    lines: list[dict[str, Any]] = []

    def is_logged() -> bool:
        group = f"/aws/lambda/{STACK}-stream-sync"
        events = app.emulator.logs().filter_log_events(logGroupName=group)["events"]
        parsed = [json.loads(each["message"]) for each in events if each["message"][:1] == "{"]
        lines[:] = [each for each in parsed if each.get("service") == "filtered"]
        return sum(int(line.get("records", 0)) for line in lines) >= 2

    processes.wait_until(is_logged, within_s=60, what="the log has both changes")

    assert [line["level"] for line in lines] == ["INFO"] * len(lines)
    assert sum(line["records"] for line in lines) == 2
