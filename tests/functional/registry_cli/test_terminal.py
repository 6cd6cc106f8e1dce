"""At a real terminal (pty): a change is shown, confirmed, and only then made."""

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from local.processes import ROOT
from tests.functional.http_gateway import HttpGateway
from tests.functional.registry_cli.conftest import Publish

_WITHIN_S = 60
_COLOUR = re.compile(r"\x1b\[")


@dataclass(frozen=True, kw_only=True)
class Seen:
    """The output of a command.

    Attributes:
        screen: All that the terminal showed.
        out: What went to a pipe in place of the terminal; empty if nothing did.
    """

    status: int
    screen: str
    out: str


AtTerminal = Callable[..., Seen]


def _read_until(terminal: int, text: str) -> str:
    """Read the terminal's output until *text*, or to the end."""
    screen = b""
    while text.encode() not in screen:
        try:
            chunk = os.read(terminal, 4096)
        except OSError:  # Linux raises EIO if the other side has closed.
            break
        if not chunk:
            break
        screen += chunk
    return screen.decode()


@pytest.fixture
def at_terminal(environment: pytest.MonkeyPatch) -> AtTerminal:
    """Run the command line at a terminal; type an answer when it asks."""
    environment.setenv("COLUMNS", "100")
    environment.setenv("TERM", "xterm-256color")
    environment.delenv("CI", raising=False)

    def _run(
        *arguments: str,
        answer: str = "",
        is_piped: bool = False,
        before_answer: Callable[[], None] = lambda: None,
    ) -> Seen:
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "registry_cli", *arguments],
            cwd=ROOT,
            stdin=theirs,
            stdout=subprocess.PIPE if is_piped else theirs,
            stderr=theirs,
        )
        os.close(theirs)
        screen = ""
        if answer:
            screen = _read_until(ours, "[y/N]")
            before_answer()
            os.write(ours, f"{answer}\n".encode())
        screen += _read_until(ours, "\0")
        out, _ = process.communicate(timeout=_WITHIN_S)
        os.close(ours)
        return Seen(status=process.returncode, screen=screen, out=(out or b"").decode())

    return _run


def _writes(gateway: HttpGateway) -> list[str]:
    """Return the changes that were requested, without dry runs."""
    return [
        method
        for method, target in gateway.calls()
        if method not in {"GET", "POST"} and "dry_run" not in target
    ]


def test_change_is_shown_and_made_after_a_yes(
    at_terminal: AtTerminal, publish: Publish, gateway: HttpGateway
) -> None:
    """A change reaches every consumer in seconds, so it is shown first."""
    publish("1.0.0", "1.1.0")

    seen = at_terminal("pin", "users", "1.0.0", answer="y")

    assert seen.status == 0
    before, _, after = seen.screen.partition("Go ahead? [y/N]")
    assert "1 selector would change; no known consumer is affected" in before
    assert re.search(r"latest +1\.1\.0 +1\.0\.0", before)
    assert "users latest is pinned to 1.0.0" in after
    assert _writes(gateway) == ["PUT"]


def test_answer_no_changes_nothing(
    at_terminal: AtTerminal, publish: Publish, gateway: HttpGateway
) -> None:
    """The exit status lets a script stop."""
    publish("1.0.0", "1.1.0")

    for answer in ("n", "", "no"):
        seen = at_terminal("yank", "users", "1.1.0", answer=answer or "\n")

        assert seen.status == 1
        assert "nothing was changed" in seen.screen
    assert _writes(gateway) == []


def test_yes_does_not_ask(at_terminal: AtTerminal, publish: Publish, gateway: HttpGateway) -> None:
    publish("1.0.0", "1.1.0")

    seen = at_terminal("yank", "users", "1.1.0", "--yes")

    assert (seen.status, "[y/N]" in seen.screen) == (0, False)
    assert _writes(gateway) == ["PATCH"]


def test_change_fails_if_the_service_has_changed_since_it_was_shown(
    at_terminal: AtTerminal, publish: Publish
) -> None:
    publish("1.0.0", "1.1.0")

    def publish_meanwhile() -> None:
        publish("1.2.0")

    seen = at_terminal("pin", "users", "1.0.0", answer="y", before_answer=publish_meanwhile)

    assert seen.status == 4
    assert "has changed since it was shown" in seen.screen
    assert "latest is pinned" not in seen.screen


def test_refusal_comes_before_the_question(
    at_terminal: AtTerminal, publish: Publish, gateway: HttpGateway
) -> None:
    """A change that would be refused is not asked about."""
    publish("1.0.0", channel="beta")

    seen = at_terminal("delete", "users", "1.0.0")

    assert (seen.status, "[y/N]" in seen.screen) == (4, False)
    assert _writes(gateway) == []


def test_document_is_the_only_output_on_stdout(at_terminal: AtTerminal, publish: Publish) -> None:
    """The question goes to the terminal, although the result goes to a pipe."""
    publish("1.0.0", "1.1.0")

    seen = at_terminal("pin", "users", "1.0.0", "--json", answer="y", is_piped=True)

    assert seen.status == 0
    assert "Go ahead?" in seen.screen
    assert json.loads(seen.out) == {"channel": "latest", "version": "1.0.0"}
    assert seen.out.startswith("{")


def test_colours_are_for_terminals_and_no_color_switches_them_off(
    at_terminal: AtTerminal, publish: Publish, environment: pytest.MonkeyPatch
) -> None:
    publish("1.0.0")

    coloured = at_terminal("versions", "users")
    environment.setenv("NO_COLOR", "1")
    plain = at_terminal("versions", "users")
    environment.delenv("NO_COLOR")
    piped = at_terminal("versions", "users", is_piped=True)

    assert _COLOUR.search(coloured.screen)
    assert not _COLOUR.search(plain.screen)
    assert not _COLOUR.search(piped.out)


def test_interrupted_question_changes_nothing(
    environment: pytest.MonkeyPatch, publish: Publish, gateway: HttpGateway
) -> None:
    """Ctrl-C counts as a no."""
    environment.setenv("COLUMNS", "100")
    publish("1.0.0", "1.1.0")
    pid, ours = pty.fork()
    if pid == 0:  # pragma: no cover  # the child becomes the command
        # A shell's background jobs ignore the signal, and so would the command.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.chdir(ROOT)
        os.execv(sys.executable, [sys.executable, "-m", "registry_cli", "pin", "users", "1.0.0"])

    _read_until(ours, "[y/N]")
    os.write(ours, b"\x03")
    screen = _read_until(ours, "\0")
    _, status = os.waitpid(pid, 0)
    os.close(ours)

    assert os.waitstatus_to_exitcode(status) == 1
    assert "Aborted!" in screen
    assert _writes(gateway) == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script_is_printed(at_terminal: AtTerminal, shell: str) -> None:
    seen = at_terminal("completion", shell, is_piped=True)

    assert seen.status == 0
    assert "_SERVICE_REGISTRY_COMPLETE" in seen.out


# What each shell does at the tab key, with the script that `completion` prints.
_COMPLETIONS = {
    "bash": """
{source}
COMP_WORDS=(service-registry {typed}) COMP_CWORD={count}
_service_registry_completion service-registry
printf '%s\\n' "${{COMPREPLY[@]}}"
""",
    "zsh": """
autoload -U compinit && compinit -D -u
{source}
compadd() {{ print -l -- $completions }}
_describe() {{ print -l -- ${{completions_with_descriptions%%:*}} }}
words=(service-registry {typed}) CURRENT=$(({count} + 1))
_service_registry_completion
""",
    "fish": """
{source}
complete -C "service-registry {typed}"
""",
}


@pytest.mark.parametrize("shell", _COMPLETIONS)
def test_shell_completes_commands_and_options(
    at_terminal: AtTerminal, tmp_path: Path, shell: str
) -> None:
    """In the real shell, the script gets the candidates from this command."""
    found = shutil.which(shell)
    if found is None:
        pytest.skip(f"{shell} is not installed here")
    source = at_terminal("completion", shell, is_piped=True).out
    command = tmp_path / "service-registry"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m registry_cli "$@"\n')
    command.chmod(0o755)
    for typed, expected in {
        "pu": "publish",
        "channel s": "set",
        "yank --rea": "--reason",
    }.items():
        script = _COMPLETIONS[shell].format(source=source, typed=typed, count=len(typed.split()))

        done = subprocess.run(
            [found, "-c", script],
            env={
                "PATH": f"{tmp_path}:{os.environ['PATH']}",
                "HOME": str(tmp_path),
                "PYTHONPATH": str(ROOT),
                "LANG": "C.UTF-8",
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=_WITHIN_S,
        )

        assert expected in done.stdout.split(), done.stderr


def test_help_starts_with_a_first_step_and_examples(at_terminal: AtTerminal) -> None:
    """The first screen has the first step, three examples and the commands."""
    seen = at_terminal("--help")

    first = seen.screen.splitlines()[:30]
    text = "\n".join(first)
    assert seen.status == 0
    assert "First:" in text
    assert len([line for line in first if line.strip().startswith("service-registry ")]) == 3
    assert "SERVICE_REGISTRY_URL" in text
    for command in ("publish", "resolve", "pin", "policy", "consumers", "restore", "completion"):
        assert re.search(rf"^  {command} ", seen.screen, re.MULTILINE)
