"""The cost of one helper call when nothing has changed, compared with the alternatives."""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from bench.report import Row, Table
from local.processes import ROOT

_LIMIT_US = 40
_NEEDS = (1, 10, 100)
# From this age on, a file is compared by its times, not by its content; see service_discovery.
_SETTLED_S = 0.2
_ROUNDS = 15
_CALLS = 2_000

_MEASURE = f"""
import timeit
print(min(timeit.repeat(call, number={_CALLS}, repeat={_ROUNDS})) / {_CALLS} * 1e6)
"""
_PYTHON = {
    "Python: get_service": """
from service_discovery import get_service
call = lambda: get_service("service-0")
""",
    "Python: open and parse the file": """
import json, os
path = os.environ["SERVICES_FILE"]
def call():
    with open(path, encoding="utf-8") as file:
        return json.load(file)["service-0"]["arn"]
""",
    "Python: Powertools' get_parameter, cached": """
import boto3
from aws_lambda_powertools.utilities import parameters
from moto import mock_aws
with mock_aws():
    client = boto3.client("ssm", region_name="us-east-1")
    client.put_parameter(Name="/service-0", Value="arn", Type="String")
    provider = parameters.SSMProvider(boto3_client=client)
    provider.get("/service-0", max_age=3600)
call = lambda: provider.get("/service-0", max_age=3600)
""",
}
_NODE = f"""
const {{ getService }} = require("service-discovery");
let least = Infinity;
for (let round = 0; round < {_ROUNDS}; round += 1) {{
  const started = process.hrtime.bigint();
  for (let call = 0; call < {_CALLS}; call += 1) getService("service-0");
  least = Math.min(least, Number(process.hrtime.bigint() - started) / {_CALLS} / 1000);
}}
console.log(least);
"""


def _member(number: int) -> dict[str, str]:
    return {
        "requested": "1.x",
        "version": f"1.4.{number}",
        "arn": f"arn:aws:lambda:eu-west-1:123456789012:function:service-{number}:42",
        "status": "active",
        "resolved_at": "2026-11-23T08:00:00Z",
    }


def _commands(node: str | None, modules: Path) -> dict[str, list[str]]:
    commands = {
        what: [sys.executable, "-c", program + _MEASURE] for what, program in _PYTHON.items()
    }
    if node is not None:
        (modules / "node_modules").mkdir()
        (modules / "node_modules/service-discovery").symlink_to(ROOT / "helpers/node")
        commands["Node.js: getService"] = [node, "-e", _NODE]
    return commands


def tables() -> Iterable[Table]:
    """Measure fresh interpreters with 1, 10 and 100 needs in the file."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "services.json"
        commands = _commands(shutil.which("node"), folder)
        found: dict[str, list[float]] = {what: [] for what in commands}
        for needs in _NEEDS:
            members = {f"service-{number}": _member(number) for number in range(needs)}
            path.write_text(json.dumps(members), encoding="utf-8")
            time.sleep(_SETTLED_S)
            for what, command in commands.items():
                found[what].append(_reading(command, folder, path))
    rows = []
    for what, readings in found.items():
        is_ours = "get_service" in what or "getService" in what
        rows.append(
            Row(
                what=what,
                values=[f"{reading:.1f} µs" for reading in readings],
                limit=f"{_LIMIT_US} µs" if is_ours else "",
                holds=not is_ours or max(readings) <= _LIMIT_US,
            )
        )
    yield Table(
        title="A call of the helpers, nothing changed",
        columns=[f"{needs} needs" for needs in _NEEDS],
        rows=rows,
        notes=(
            f"The quickest of {_ROUNDS} rounds of {_CALLS:,} calls. A cached parameter does "
            "not change until its maximum age has passed; then a call goes over the network."
        ),
    )


def _reading(command: list[str], folder: Path, path: Path) -> float:
    environment = {
        "SERVICES_FILE": str(path),
        "PYTHONPATH": str(ROOT / "helpers/python"),
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }
    printed = subprocess.run(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    return float(printed.stdout)
