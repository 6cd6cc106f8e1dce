"""The product's main use case in steps: publish, resolve, publish again, without a redeploy.

`make demo` and `make run` have the same steps. Each step prints its result, the time that it took,
and the services file. A step that fails ends the run.
"""

import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local import deployment, execution_environment, processes
from local.deployment import Deployment
from local.emulator import Emulator, credentials, emulator
from local.execution_environment import ExecutionEnvironment, ProcessTree
from local.processes import LocalStackError
from local.services import deploy_service
from registry_client.signed_http import SignedHttp
from registry_model.index_layout import answer_from_item, item_key

NEEDS = "users,billing==1.x"
_SEEN_WITHIN_S = 60


def _print(text: str = "") -> None:
    print(text, flush=True)


class Steps:
    """Numbers the steps and measures their time."""

    def __init__(self) -> None:
        """Set the number of the first step."""
        self._number = 0

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Print the step's name, and then its duration or its failure."""
        self._number += 1
        _print(f"\n{self._number}. {what}")
        started = time.monotonic()
        try:
            yield
        except Exception as error:
            _print(f"   FAILED after {time.monotonic() - started:.1f} s: {error}")
            raise
        _print(f"   done in {time.monotonic() - started:.1f} s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """The emulator, the app and the functions of a run."""

    emulator: Emulator
    deployment: Deployment
    registry: SignedHttp
    functions: dict[str, ExecutionEnvironment]
    steps: Steps


def _deploy_and_publish(aws: Emulator, registry: SignedHttp, name: str, version: str) -> str:
    """Deploy a version of a service's function, and publish it; return its ARN."""
    arn = deploy_service(aws, name, version)
    publish(registry, name, version, arn)
    return arn


def publish(registry: SignedHttp, name: str, version: str, arn: str) -> None:
    """Publish a version, as a pipeline would.

    Raises:
        LocalStackError: The registry refused it.
    """
    path = f"/services/{name}/versions/{version}"
    response = registry.send("PUT", path, {"arn": arn})
    if response.status != 201:
        message = f"PUT {path}: expected 201, got {response.status}: {response.document}"
        raise LocalStackError(message)
    _print(f"   PUT {path}  {arn} -> 201")


def wait_for_index(
    emulator: Emulator, table: str, service: str, selector: str, version: str
) -> None:
    """Wait until the index answers with *version*.

    Raises:
        LocalStackError: It does not do so in time.
    """
    client = emulator.dynamodb()
    seen: list[str] = []

    def is_there() -> bool:
        item = client.get_item(TableName=table, Key=item_key(service, selector)).get("Item")
        seen[:] = [answer_from_item(item).version] if item else []
        return seen == [version]

    what = f"the index has {version} for {service} {selector}"
    try:
        processes.wait_until(is_there, within_s=_SEEN_WITHIN_S, what=what)
    except LocalStackError as error:
        message = f"{error}; it has {seen or 'nothing'}\n{processes.tail(emulator.log)}"
        raise LocalStackError(message) from error
    _print(f"   index: {service} {selector} = {version}")


def _invoke(function: ExecutionEnvironment) -> dict[str, Any]:
    response = function.invoke()
    payload = response.payload
    if response.status != 200 or not isinstance(payload, dict) or "now" not in payload:
        message = (
            f"expected the function's result, got status {response.status}: {payload}\n"
            f"{processes.tail(function.log)}"
        )
        raise LocalStackError(message)
    return payload


def _expect(what: str, expected: object, seen: object) -> None:
    if expected != seen:
        message = f"{what}: expected {expected!r}, got {seen!r}"
        raise LocalStackError(message)


def _show(document: dict[str, Any]) -> None:
    for line in json.dumps(document, indent=2).splitlines():
        _print(f"     {line}")


def _functions(
    stack: ExitStack, stage_folder: Path, emulator: Emulator, deployed: Deployment
) -> dict[str, ExecutionEnvironment]:
    found = {}
    for name in ("python", "shell"):
        folder = stage_folder / f"function-{name}"
        variables = {
            **credentials(),
            "AWS_ENDPOINT_URL_DYNAMODB": emulator.url,
            "NEEDED_SERVICES": NEEDS,
            "SERVICES_FILE": str(folder / "services.json"),
            "SERVICE_DISCOVERY_TABLE": deployed.outputs["IndexTableName"],
            "SERVICE_DISCOVERY_MAX_AGE": "1",
            "SERVICE_DISCOVERY_LOG_LEVEL": "INFO",
        }
        function = (
            execution_environment.python_function(f"sample-{name}", "app.handler", variables)
            if name == "python"
            else execution_environment.shell_function(f"sample-{name}", variables)
        )
        found[name] = stack.enter_context(
            execution_environment.execution_environment(function, deployed.layer, folder)
        )
    return found


def _first_answers(functions: dict[str, ExecutionEnvironment], arn: str) -> dict[str, ProcessTree]:
    """Invoke each function for the first time; return the processes that handled it."""
    trees = {}
    for name, function in functions.items():
        result = _invoke(function)
        trees[name] = function.processes()
        _print(
            f"   {name} function: runtime process {trees[name].runtime[0]}, "
            f"extension process {trees[name].extension[0]}"
        )
        for moment in ("at_start", "now"):
            members = result[moment]
            _expect(f"{name}, users {moment}", "1.4.2", members["users"].get("version"))
            _expect(f"{name}, users {moment}", arn, members["users"].get("arn"))
            _expect(f"{name}, billing {moment}", "1.0.0", members["billing"].get("version"))
    _print("   the file, as module code read it at the function's start:")
    _show(_invoke(functions["python"])["at_start"])
    return trees


def _new_answers(
    functions: dict[str, ExecutionEnvironment], trees: dict[str, ProcessTree], old: str, new: str
) -> None:
    """Invoke until each function reads the new ARN; check that nothing was restarted."""
    for name, function in functions.items():
        started = time.monotonic()
        invocations = 0
        while True:
            result = _invoke(function)
            invocations += 1
            if result["now"]["users"].get("version") == "1.5.0":
                break
            if time.monotonic() - started > _SEEN_WITHIN_S:
                message = f"{name}: still {result['now']['users']} after {invocations} invocations"
                raise LocalStackError(message)
            time.sleep(0.2)
        _expect(f"{name}, the new ARN", new, result["now"]["users"]["arn"])
        _expect(f"{name}, its start", old, result["at_start"]["users"]["arn"])
        _expect(f"{name}, its processes", trees[name], function.processes())
        _print(
            f"   {name} function: new ARN at invocation {invocations}; still runtime process "
            f"{trees[name].runtime[0]} and extension process {trees[name].extension[0]}"
        )
    _print("   the file is now:")
    _show(_invoke(functions["python"])["now"])


def run_story(stack: ExitStack, folder: Path) -> Stage:
    """Run the story; the processes that it starts run until *stack* is closed.

    Raises:
        LocalStackError: A step failed.
    """
    steps = Steps()
    with steps.step("Start an embedded AWS (MiniStack: no Docker, no account)"):
        aws = stack.enter_context(emulator(folder / "aws"))
        _print(f"   {aws.url}")
    with steps.step("sam build (minutes at first; later only if a file has changed)"):
        built = deployment.build(aws, folder, layers=execution_environment.own_arch())
    with steps.step("sam deploy"):
        deployed = deployment.deploy(aws, folder, built)
        for name, value in sorted(deployed.outputs.items()):
            _print(f"   {name} = {value}")
    registry = deployed.registry()
    table = deployed.outputs["IndexTableName"]
    with steps.step("A pipeline deploys and publishes users 1.4.2 and billing 1.0.0"):
        old = _deploy_and_publish(aws, registry, "users", "1.4.2")
        _deploy_and_publish(aws, registry, "billing", "1.0.0")
        wait_for_index(aws, table, "users", "latest", "1.4.2")
        wait_for_index(aws, table, "billing", "1.x", "1.0.0")
    with steps.step(f"Two functions start, with the layer and NEEDED_SERVICES={NEEDS}"):
        functions = _functions(stack, folder, aws, deployed)
        trees = _first_answers(functions, old)
    with steps.step("The pipeline deploys and publishes users 1.5.0; no consumer is redeployed"):
        new = _deploy_and_publish(aws, registry, "users", "1.5.0")
        wait_for_index(aws, table, "users", "latest", "1.5.0")
        _new_answers(functions, trees, old, new)
    return Stage(
        emulator=aws, deployment=deployed, registry=registry, functions=functions, steps=steps
    )


@contextmanager
def stage_folder() -> Iterator[Path]:
    """Make a folder for one run, and remove it afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="service-discovery-"))
    try:
        yield folder
    finally:
        # If a signal arrives between a process's start and its recording, the process may still run
        # and write into the folder.
        processes.end_all(processes.left_over())
        if folder.exists():
            shutil.rmtree(folder)
