"""The time from a publish to its index item on the emulator, and the function's part of it."""

import json
import statistics
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.report import Row, Table
from local import deployment, processes
from local.deployment import STACK
from local.emulator import Emulator, emulator
from registry_client.signed_http import SignedHttp
from registry_model import index_layout
from registry_model.needs import LATEST

_PUBLISHES = 12
_LOG_GROUP = f"/aws/lambda/{STACK}-stream-sync"
_SEEN_WITHIN_S = 60
_LARGEST_SHARE = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class _Publish:
    """One publish: the time from its response to its index item, and the function's part of it."""

    total_ms: float
    own_ms: float


def tables() -> Iterable[Table]:
    """Publish one version after the other, each when the previous one is in the index."""
    with tempfile.TemporaryDirectory(prefix="freshness-") as name, emulator(Path(name)) as aws:
        folder = Path(name)
        deployed = deployment.deploy(aws, folder, deployment.build(aws, folder))
        registry = deployed.registry()
        table = deployed.outputs["IndexTableName"]
        _publish(aws, registry, table, 0)
        found = [_publish(aws, registry, table, number) for number in range(1, _PUBLISHES + 1)]
    shares = [each.own_ms / each.total_ms for each in found]
    rows = [
        _row("publish to index", [each.total_ms for each in found]),
        _row("of that, the stream's function", [each.own_ms for each in found]),
        Row(
            what="its share",
            values=[f"{statistics.median(shares):.0%}", f"{max(shares):.0%}"],
            limit=f"median at most {_LARGEST_SHARE:.0%}",
            holds=statistics.median(shares) <= _LARGEST_SHARE,
        ),
    ]
    yield Table(
        title="Freshness on the emulator, in milliseconds",
        columns=["median", "most"],
        rows=rows,
        notes=f"{_PUBLISHES} publishes, one after the other. The rest is the interval at which "
        "the stream is polled: the emulator polls once a second, Lambda four times.",
    )


def _row(what: str, readings: list[float]) -> Row:
    return Row(what=what, values=[f"{statistics.median(readings):.0f}", f"{max(readings):.0f}"])


def _publish(aws: Emulator, registry: SignedHttp, table: str, number: int) -> _Publish:
    name, client = f"fresh-{number}", aws.dynamodb()
    arn = f"arn:aws:lambda:us-east-1:123456789012:function:{name}"
    path = f"/services/{name}/versions/1.0.0"
    response = registry.send("PUT", path, {"arn": arn})
    started = time.monotonic()
    if response.status != 201:
        message = f"PUT {path}: expected 201, got {response.status}: {response.document}"
        raise processes.LocalStackError(message)
    key = index_layout.item_key(name, LATEST)
    processes.wait_until(
        lambda: "Item" in client.get_item(TableName=table, Key=key),
        within_s=_SEEN_WITHIN_S,
        what=f"the index has {name}",
    )
    total_ms = (time.monotonic() - started) * 1000
    return _Publish(total_ms=total_ms, own_ms=_own_ms(aws, name))


def _own_ms(aws: Emulator, service: str) -> float:
    """Read from the function's log how long it took with a service."""
    found: list[float] = []

    def is_logged() -> bool:
        for event in aws.logs().filter_log_events(logGroupName=_LOG_GROUP)["events"]:
            line = _parsed(event["message"])
            if line.get("service") == service and "duration_ms" in line:
                found.append(float(line["duration_ms"]))
        return bool(found)

    processes.wait_until(is_logged, within_s=_SEEN_WITHIN_S, what=f"the log has {service}")
    return found[-1]


def _parsed(message: str) -> dict[str, Any]:
    try:
        line = json.loads(message)
    except ValueError:
        return {}
    return line if isinstance(line, dict) else {}
