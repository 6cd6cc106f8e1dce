"""`run-function`: run the user's function with the layer, beside `make run`."""

import os
import re
import shlex
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, TextIO

from local import execution_environment, story
from local.emulator import credentials
from local.execution_environment import Function
from local.processes import ROOT, LocalStackError

_EMULATORS_OWN = re.compile(r"\[(?:INFO|WARNING)\] \(rapid\)")
_NODE_FILES = (".mjs", ".js", ".cjs")


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnFunction:
    """The parsed command line.

    Attributes:
        folder: The folder of its code.
        handler: As in Lambda's configuration: `app.handler`.
        needed: Its NEEDED_SERVICES.
        layer: The folder that will be /opt.
        variables: More environment variables.
    """

    folder: Path
    handler: str
    needed: str
    layer: Path
    variables: Mapping[str, str]


def run(own: OwnFunction) -> NoReturn:
    """Run it, and print its log, until a signal ends the command.

    Raises:
        LocalStackError: It does not start, or has ended.
    """
    endpoint = os.environ.get("AWS_ENDPOINT_URL")
    if not endpoint or not own.layer.is_dir():
        message = "start `make run`, and paste the lines that it prints into this terminal"
        raise LocalStackError(message)
    with story.stage_folder() as folder:
        function = _function(own, endpoint, folder)
        running = execution_environment.execution_environment(function, own.layer, folder)
        with running as environment:
            print(_how_to_invoke(own, environment.invoke_url()), flush=True)
            with environment.log.open(encoding="utf-8", errors="replace") as log:
                while environment.is_running():
                    _print_lines(log)
                    time.sleep(0.1)
        message = "the function's environment has ended"
        raise LocalStackError(message)


def _print_lines(log: TextIO) -> None:
    """Print the new lines of the log, without those of the Runtime Interface Emulator."""
    for line in log:
        if not _EMULATORS_OWN.search(line):
            print(line, end="", flush=True)


def _function(own: OwnFunction, endpoint: str, folder: Path) -> Function:
    code = own.folder.resolve()
    return Function(
        name=code.name,
        command=_runtime(code, own.handler),
        variables={
            **credentials(),
            "AWS_ENDPOINT_URL": endpoint,
            "NO_PROXY": "127.0.0.1",
            "NEEDED_SERVICES": own.needed,
            "SERVICES_FILE": str(folder / "services.json"),
            # An invocation one second after a change gets the new answer.
            "SERVICE_DISCOVERY_MAX_AGE": "1",
            # In the order of Lambda's runtimes: the function's folder, then the layer.
            "PYTHONPATH": f"{code}:/opt/python",
            "PYTHONDONTWRITEBYTECODE": "1",
            "NODE_PATH": "/opt/nodejs/node_modules",
            **own.variables,
        },
    )


def _runtime(code: Path, handler: str) -> list[str]:
    """Return the command line of the runtime that Lambda would use for this code.

    Raises:
        LocalStackError: There is no such folder, no runtime fits, or it is not installed.
    """
    if not code.is_dir():
        message = f"there is no folder {code}; name the folder of the function's code"
        raise LocalStackError(message)
    file, _, function = handler.partition(".")
    bootstrap = code / "bootstrap"
    if bootstrap.exists() and not os.access(bootstrap, os.X_OK):
        message = f"{bootstrap} is not executable: chmod +x {shlex.quote(str(bootstrap))}"
        raise LocalStackError(message)
    if bootstrap.exists():
        return [str(bootstrap), handler]
    if not function:
        message = f"--handler {handler!r}: give it as FILE.FUNCTION, such as app.handler"
        raise LocalStackError(message)
    if (code / f"{file}.py").exists():
        return [sys.executable, "-m", "awslambdaric", handler]
    if any((code / (file + each)).exists() for each in _NODE_FILES):
        node = shutil.which("node")
        if node is None:
            message = "node is not on the PATH"
            raise LocalStackError(message)
        return [node, str(ROOT / "local/node_runtime.mjs"), str(code), handler]
    message = (
        f"{code} has no {file}.py, {file}.mjs, {file}.js, {file}.cjs or bootstrap; name the folder "
        "of the code, and --handler FILE.FUNCTION"
    )
    raise LocalStackError(message)


def _how_to_invoke(own: OwnFunction, url: str) -> str:
    return f"""
{own.handler} in {own.folder} runs with the layer and NEEDED_SERVICES={own.needed}
Invoke it from another terminal:

  curl -s {url} -d '{{"user": 7}}'; echo

Ctrl-C ends it. Its log:
"""
