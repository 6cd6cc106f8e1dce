"""Asks the person at the terminal."""

import sys

import click


def has_terminal() -> bool:
    """Return whether there is a terminal to ask on."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def agrees() -> bool:
    """Ask whether to continue; return whether the answer is yes.

    `click.confirm` would write a space to stdout, which is only for results.
    """
    click.echo("Go ahead? [y/N]: ", err=True, nl=False)
    if sys.stdin.readline().strip().lower() in {"y", "yes"}:
        return True
    click.echo("nothing was changed", err=True)
    return False
