"""A Lambda execution environment: AWS's Runtime Interface Emulator, with the layer as /opt.

The emulator looks for extensions only in /opt/extensions. Each environment has its own /opt in a
private mount namespace, so the machine's /opt does not change.
"""

import json
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local import loopback, processes
from local.processes import LocalStackError

_EXTENSION = "/opt/extensions/service-discovery"
_INVOKE_WITHIN_S = 60
_READY_WITHIN_S = 30
# $0 is the layer, and $@ the emulator's command line.
_ENTER = 'mount --bind "$0" /opt && exec "$@"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A function to run.

    Attributes:
        name: Its name in Lambda.
        command: Its runtime's command line.
        variables: Its environment variables.
    """

    name: str
    command: list[str]
    variables: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """The response to an invocation."""

    status: int
    payload: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessTree:
    """The processes of an environment, each by its id and the time at which it was started."""

    extension: tuple[int, str]
    runtime: tuple[int, str]


class ExecutionEnvironment:
    """A running environment of one function."""

    def __init__(self, process: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
        """Keep the process with the namespaces, the emulator's URL and its log."""
        self._process = process
        self._url = url
        self.log = log

    def invoke(self, payload: object = None) -> Invocation:
        """Invoke the function and wait for the response.

        Raises:
            LocalStackError: The environment does not respond.
        """
        request = urllib.request.Request(
            self._url, data=json.dumps(payload or {}).encode(), method="POST"
        )
        try:
            with loopback.urlopen(request, timeout=_INVOKE_WITHIN_S) as response:
                return Invocation(status=response.status, payload=_payload(response.read()))
        except urllib.error.HTTPError as error:
            with error:
                return Invocation(status=error.code, payload=_payload(error.read()))
        except (urllib.error.URLError, OSError) as error:
            message = f"the function was not invoked: {error}\n{processes.tail(self.log)}"
            raise LocalStackError(message) from error

    def invoke_url(self) -> str:
        """Return the URL at which the function can be invoked."""
        return self._url

    def is_running(self) -> bool:
        """Return whether the environment still runs."""
        return self._process.poll() is None

    def processes(self) -> ProcessTree:
        """Return the extension's and the runtime's processes.

        Raises:
            LocalStackError: One of them is not running.
        """
        rie = self._emulator_pid()
        extension = runtime = None
        for pid in processes.descendants(rie):
            words = processes.command_line(pid)
            if words[:1] == [_EXTENSION]:
                extension = pid
            elif words and runtime is None:
                runtime = pid
        if extension is None or runtime is None:
            message = f"the extension or the runtime is not running\n{processes.tail(self.log)}"
            raise LocalStackError(message)
        return ProcessTree(
            extension=(extension, processes.started_at(extension)),
            runtime=(runtime, processes.started_at(runtime)),
        )

    def shut_down(self) -> None:
        """End the environment as Lambda does, and wait for its end.

        Raises:
            LocalStackError: It does not end.
        """
        os.kill(self._emulator_pid(), signal.SIGTERM)
        processes.wait_until(
            lambda: self._process.poll() is not None,
            within_s=_READY_WITHIN_S,
            what="the environment has shut down",
        )

    def _emulator_pid(self) -> int:
        """Return the emulator's process, the child of the namespace's first process."""
        below = processes.descendants(self._process.pid)
        if not below:
            message = f"the environment has ended\n{processes.tail(self.log)}"
            raise LocalStackError(message)
        return below[0]


def own_arch() -> str:
    """Return Lambda's name of this machine's architecture."""
    return "arm64" if platform.machine() in {"aarch64", "arm64"} else "x86_64"


def emulator_program() -> Path:
    """Return the path of AWS's Runtime Interface Emulator, which is part of SAM's package."""
    import samcli.local.rapid  # noqa: PLC0415  # SAM is large; only this needs it

    program = Path(samcli.local.rapid.__path__[0]) / f"aws-lambda-rie-{own_arch()}"
    if not program.exists():
        message = f"the package aws-sam-cli has no {program.name}; install it again"
        raise LocalStackError(message)
    return program


@contextmanager
def execution_environment(
    function: Function, layer: Path, folder: Path
) -> Iterator[ExecutionEnvironment]:
    """Run a function with *layer* as /opt, and its emulator's files below *folder*.

    Raises:
        LocalStackError: It cannot run on this machine, or does not start.
    """
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "aws-lambda-rie"
    if not program.exists():
        shutil.copy(emulator_program(), program)
        program.chmod(0o755)
    _check_namespaces(layer)
    port, api_port = processes.free_ports(2)
    log = folder / f"{function.name}.log"
    command = [
        *("unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--kill-child"),
        *("sh", "-c", _ENTER, str(layer), str(program)),
        *("--runtime-interface-emulator-address", f"127.0.0.1:{port}"),
        *("--runtime-api-address", f"127.0.0.1:{api_port}"),
        *function.command,
    ]
    environment = {
        "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_TIMEOUT": "30",
        **function.variables,
    }
    with processes.running(command, environment=environment, log=log, cwd=folder) as process:

        def is_listening() -> bool:
            if process.poll() is not None:
                message = f"the environment has ended:\n{processes.tail(log)}"
                raise LocalStackError(message)
            return _is_listening(port)

        processes.wait_until(
            is_listening, within_s=_READY_WITHIN_S, what="the emulator accepts connections"
        )
        url = f"http://127.0.0.1:{port}/2015-03-31/functions/function/invocations"
        yield ExecutionEnvironment(process, url, log)


def python_function(name: str, handler: str, variables: dict[str, str]) -> Function:
    """Return a sample function in Python, on AWS's runtime interface client."""
    samples = processes.ROOT / "local/samples/python_function"
    return Function(
        name=name,
        command=[sys.executable, "-m", "awslambdaric", handler],
        variables={"PYTHONPATH": str(samples), "PYTHONDONTWRITEBYTECODE": "1", **variables},
    )


def shell_function(name: str, variables: dict[str, str]) -> Function:
    """Return a sample function that is a shell script: a custom runtime, without Python."""
    bootstrap = processes.ROOT / "local/samples/shell_function/bootstrap"
    return Function(name=name, command=[str(bootstrap), "function.handler"], variables=variables)


def _payload(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode(errors="replace")


def _is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _check_namespaces(layer: Path) -> None:
    """Check that this machine allows a private /opt."""
    if not Path("/opt").is_dir():
        message = (
            "this machine has no folder /opt for the layer to be mounted on; make an empty one"
        )
        raise LocalStackError(message)
    tried = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", _ENTER, str(layer), "true"],
        capture_output=True,
        text=True,
        check=False,
    )
    if tried.returncode:
        message = (
            f"this machine allows no private mount namespace: {tried.stderr.strip()}\n"
            "On Ubuntu: sysctl kernel.apparmor_restrict_unprivileged_userns=0. In a container: "
            "allow user namespaces."
        )
        raise LocalStackError(message)
