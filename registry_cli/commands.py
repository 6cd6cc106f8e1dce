"""The base of every command: shared options, errors, and help that imports no other modules."""

import functools
import importlib
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from registry_cli.settings import DEFAULT_STACK, STACK_VARIABLE, URL_VARIABLE, ConnectionOptions

if TYPE_CHECKING:
    from registry_cli.connection import Connection
    from registry_cli.output import Output


class Tools(NamedTuple):
    """The connection and the output of a command."""

    connection: "Connection"
    output: "Output"


def _shared_options() -> list[click.Option]:
    return [
        click.Option(["--json", "is_json"], is_flag=True, help="Print one JSON document."),
        click.Option(["--url"], help=f"The registry's address, instead of {URL_VARIABLE}."),
        click.Option(
            ["--stack"],
            help="The registry's stack, if no address is given; instead of "
            f"{STACK_VARIABLE}, else {DEFAULT_STACK}.",
        ),
        click.Option(["--profile"], help="The AWS profile, as in the AWS CLI."),
        click.Option(["--region"], help="The AWS Region, as in the AWS CLI."),
        click.Option(["--endpoint-url"], help="Another AWS endpoint, as in the AWS CLI."),
    ]


_SHARED = frozenset({"is_json", *ConnectionOptions._fields})


def _write_options(
    params: list[click.Parameter], context: click.Context, formatter: click.HelpFormatter
) -> None:
    """Write a command's own options first, then those that all commands share."""
    for title, is_shared in (("Options", False), ("Registry and output", True)):
        records = [param.get_help_record(context) for param in params]
        rows = [
            record
            for param, record in zip(params, records, strict=True)
            if record is not None and (param.name in _SHARED) == is_shared
        ]
        if rows:
            with formatter.section(title):
                formatter.write_dl(rows)


class RegistryCommand(click.Command):
    """A command with the shared options."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  # click's own
        """Add the shared options to the command's own."""
        super().__init__(*args, **kwargs)
        self.params += _shared_options()

    def format_options(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the shared options last."""
        _write_options(self.get_params(context), context, formatter)

    def invoke(self, context: click.Context) -> Any:  # noqa: ANN401  # click's own
        """Run the command with its tools; for a failure, print it and exit with its status."""
        from registry_cli.connection import Connection
        from registry_cli.failures import failure_of
        from registry_cli.output import Output, printable

        shared = {name: context.params.pop(name) for name in _SHARED}
        parent = context.find_object(dict) or {}
        chosen = {name: shared[name] or parent.get(name) for name in _SHARED}
        connection = Connection(
            ConnectionOptions(**{name: chosen[name] for name in ConnectionOptions._fields})
        )
        context.obj = Tools(connection, Output(is_json=bool(chosen["is_json"])))
        try:
            status = super().invoke(context)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            failure = failure_of(error, connection)
            if failure is None:
                raise
            for line in failure.lines():
                click.echo(printable(line), err=True)
            sys.exit(failure.status)
        sys.exit(status or 0)


def with_tools(function: Callable[..., int | None]) -> Callable[..., int | None]:
    """Pass the tools to a command's function as its first argument."""

    @functools.wraps(function)
    def _with_tools(**params: Any) -> int | None:  # noqa: ANN401  # click's own
        return function(click.get_current_context().obj, **params)

    return _with_tools


class LazyCommand(NamedTuple):
    """A command that is imported when it is run.

    Attributes:
        module: The module of `registry_cli` that defines it.
        attribute: Its name in that module.
        summary: Its line in the list of commands.
        section: Its heading in the list of commands.
    """

    module: str
    attribute: str
    summary: str
    section: str = "Commands"


class RegistryGroup(click.Group):
    """A group of commands that are imported when they are run."""

    def __init__(
        self,
        *args: Any,  # noqa: ANN401  # click's own
        members: Mapping[str, LazyCommand],
        fallback: str | None = None,
        **kwargs: Any,  # noqa: ANN401  # click's own
    ) -> None:
        """Set the members.

        Args:
            fallback: The member that is called if the first argument is not a member.
        """
        super().__init__(*args, **kwargs)
        self._members = members
        self._fallback = fallback
        self.params += _shared_options()

    def list_commands(self, context: click.Context) -> list[str]:  # noqa: ARG002  # click's own
        """Return the members in the order of the help."""
        return [name for name in self._members if name != self._fallback]

    def get_command(self, context: click.Context, name: str) -> click.Command | None:  # noqa: ARG002  # click's own
        """Import a member."""
        member = self._members.get(name)
        if member is None:
            return None
        module = importlib.import_module(f"registry_cli.{member.module}")
        command: click.Command = getattr(module, member.attribute)
        return command

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command or the fallback; suggest similar names if there is no such command."""
        name = args[0]
        if name not in self._members and self._fallback and not name.startswith("-"):
            return self._fallback, self.get_command(context, self._fallback), args
        if name not in self._members and not name.startswith("-"):
            import difflib

            close = difflib.get_close_matches(name, self.list_commands(context), n=2)
            question = f" Did you mean {' or '.join(close)}?" if close else ""
            context.fail(f"No such command {name!r}.{question}")
        return super().resolve_command(context, args)

    def invoke(self, context: click.Context) -> Any:  # noqa: ANN401  # click's own
        """Store the shared options that are given before the command's name."""
        parent = context.find_object(dict) or {}
        context.obj = {name: context.params.pop(name) or parent.get(name) for name in _SHARED}
        return super().invoke(context)

    def format_options(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands by section, then the options."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for name in self.list_commands(context):
            member = self._members[name]
            sections.setdefault(member.section, []).append((name, member.summary))
        for title, rows in sections.items():
            with formatter.section(title):
                formatter.write_dl(rows)
        _write_options(self.get_params(context), context, formatter)
