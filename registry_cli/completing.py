"""`completion`."""

import sys

import click

from registry_cli.commands import RegistryCommand, Tools, with_tools
from registry_cli.failures import FAILED

_VARIABLE = "_SERVICE_REGISTRY_COMPLETE"


@click.command(cls=RegistryCommand)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@with_tools
def completion(tools: Tools, shell: str) -> int | None:
    r"""Print the completion script of SHELL.

    \b
    bash, in ~/.bashrc:                  eval "$(service-registry completion bash)"
    zsh, in ~/.zshrc, after `compinit`:  eval "$(service-registry completion zsh)"
    fish:  service-registry completion fish > ~/.config/fish/completions/service-registry.fish
    """
    from click.shell_completion import get_completion_class

    from registry_cli.main import cli

    found = get_completion_class(shell)
    if found is None:
        tools.output.note(f"this version of Click has no completion for {shell}")
        return FAILED
    sys.stdout.write(found(cli, {}, "service-registry", _VARIABLE).source() + "\n")
    return None
