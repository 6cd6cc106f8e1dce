"""`python -m local demo`, `run` and `function`."""

import argparse
import shlex
import shutil
import signal
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import NoReturn

from local import own_function, processes, story
from local.emulator import REGION
from local.own_function import OwnFunction
from local.processes import LocalStackError
from local.services import deploy_service
from local.story import Stage
from registry_client.errors import RegistryClientError
from registry_model.needs import NeedsError, parse_needs


def _interrupted(_number: int, _frame: FrameType | None) -> NoReturn:
    # A second signal must not interrupt the clean-up.
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


def _shut_down(stage: Stage) -> None:
    """Shut the functions down as Lambda does, and check that their extensions end, too."""
    for function in stage.functions.values():
        function.shut_down()


def _check_that_nothing_is_left(folder: Path) -> None:
    """Check that all processes of this run have ended, and that its files are removed.

    Raises:
        LocalStackError: A process or a file is left.
    """
    pids = processes.left_over()
    if pids:
        named = [f"{pid} ({' '.join(processes.command_line(pid)[:3])})" for pid in pids]
        message = f"processes left behind: {', '.join(named)}"
        raise LocalStackError(message)
    if folder.exists():
        message = f"files left behind: {folder}"
        raise LocalStackError(message)


def _stop(stage: Stage, stack: ExitStack, folder: Path) -> None:
    """End everything, and check that nothing is left.

    Raises:
        LocalStackError: Something is left, or a function did not end properly.
    """
    with stage.steps.step("Stop everything"):
        _shut_down(stage)
        stack.close()
        shutil.rmtree(folder)
        _check_that_nothing_is_left(folder)
        print("   no process and no file of this run is left", flush=True)


def demo() -> None:
    """Run the story, then stop everything.

    Raises:
        LocalStackError: A step failed, or something is left.
    """
    started = time.monotonic()
    with story.stage_folder() as folder, ExitStack() as stack:
        _stop(story.run_story(stack, folder), stack, folder)
    print(f"\nEvery step did what it should, in {time.monotonic() - started:.0f} s.", flush=True)


def run() -> None:
    """Run the story, then keep everything running until Ctrl-C.

    Raises:
        LocalStackError: A step failed, or something is left.
    """
    with story.stage_folder() as folder, ExitStack() as stack:
        stage = story.run_story(stack, folder)
        try:
            print(_how_to_call(stage, folder), flush=True)
            signal.pause()
        except KeyboardInterrupt:
            _stop(stage, stack, folder)


def _programs(stage: Stage, folder: Path) -> Path:
    """Write the commands for the user's other terminal; return their folder."""
    python = f"PYTHONPATH={shlex.quote(str(processes.ROOT))} exec {shlex.quote(sys.executable)} -m"
    layer = shlex.quote(str(stage.deployment.layer))
    commands = {
        "service-registry": f"{python} registry_cli",
        "run-function": f"{python} local function --layer {layer}",
    }
    programs = folder / "bin"
    programs.mkdir()
    for name, command in commands.items():
        (programs / name).write_text(f'#!/bin/sh\n{command} "$@"\n', encoding="utf-8")
        (programs / name).chmod(0o755)
    return programs


def _how_to_call(stage: Stage, folder: Path) -> str:
    """Return commands to paste into a terminal."""
    consumer = stage.functions["python"].invoke_url()
    newer = deploy_service(stage.emulator, "users", "1.6.0")
    example = shlex.quote(str(processes.ROOT / "examples/consumers/sam-python/src"))
    return f"""
The registry is running; call it from another terminal, in bash or zsh:

  unset AWS_PROFILE AWS_SESSION_TOKEN SERVICE_REGISTRY_URL SERVICE_REGISTRY_STACK
  export AWS_ENDPOINT_URL={stage.emulator.url} NO_PROXY=127.0.0.1
  export AWS_REGION={REGION} AWS_DEFAULT_REGION={REGION}
  export AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local
  export PATH={shlex.quote(str(_programs(stage, folder)))}:$PATH

  # list the services, and the versions of one
  service-registry list
  service-registry versions users

  # publish a newer version, which is deployed already, and show what a function would get
  service-registry publish users 1.6.0 --arn {newer}
  service-registry resolve users

  # invoke the sample function a second later, and once more: it returns its services file
  curl -s {consumer} -d '{{}}'; echo

  # roll back (without --yes it shows what will change, and asks)
  service-registry pin users 1.5.0 --yes

  # the same API for any HTTP client (the emulator accepts unsigned requests, AWS does not)
  export REGISTRY={stage.deployment.registry_url}
  curl -s $REGISTRY/services/users; echo

  # resolve a service by one key, from any language
  aws dynamodb get-item --table-name {stage.deployment.outputs["IndexTableName"]} \\
    --key '{{"service": {{"S": "users"}}, "selector": {{"S": "1.x"}}}}'

  # run a function of your own with the layer (docs/local.md); this one is an example
  run-function {example} --handler app.handler --needed users==1.x

Logs are below {folder}. Ctrl-C stops everything."""


def _variable(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        message = f"{text!r}: use the form NAME=VALUE"
        raise argparse.ArgumentTypeError(message)
    return name, value


def _needs(text: str) -> str:
    try:
        parse_needs(text)
    except NeedsError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def argument_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("demo", help="the story, then stop everything")
    commands.add_parser("run", help="the story, then keep everything running until Ctrl-C")
    function = commands.add_parser(
        "function", prog="run-function", help="run your own function, beside `make run`"
    )
    function.add_argument("folder", type=Path, help="the folder with its code")
    function.add_argument(
        "--handler",
        default="app.handler",
        help="as in Lambda: FILE.FUNCTION (default: %(default)s)",
    )
    function.add_argument(
        "--needed", default="", type=_needs, help="NEEDED_SERVICES, as in users==1.x"
    )
    function.add_argument(
        "--env",
        action="append",
        default=[],
        type=_variable,
        metavar="NAME=VALUE",
        help="an environment variable; repeatable",
    )
    function.add_argument("--layer", type=Path, required=True, help=argparse.SUPPRESS)
    return parser


def _run_function(parsed: argparse.Namespace) -> int:
    own = OwnFunction(
        folder=parsed.folder,
        handler=parsed.handler,
        needed=parsed.needed,
        layer=parsed.layer,
        variables=dict(parsed.env),
    )
    try:
        own_function.run(own)
    except LocalStackError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1


def main(arguments: list[str]) -> int:
    """Parse the command line and run the command."""
    wanted = argument_parser().parse_args(arguments)
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, _interrupted)
    processes.adopt_orphans()
    try:
        if wanted.command == "function":
            return _run_function(wanted)
        demo() if wanted.command == "demo" else run()
    except (LocalStackError, RegistryClientError):
        return 1
    except KeyboardInterrupt:
        print("Stopped.", flush=True)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
