"""`pin`, `unpin`, `yank`, `unyank`, `delete`, `channel`: show the change, ask, then make it."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from registry_cli.arguments import NAME, VERSION
from registry_cli.commands import LazyCommand, RegistryCommand, RegistryGroup, Tools, with_tools
from registry_cli.failures import FAILED, interruptible
from registry_cli.output import counted
from registry_cli.terminal import agrees, has_terminal

if TYPE_CHECKING:
    from registry_client.client import ChangeRequest
    from registry_client.documents import DryRunJson

_MAX_LISTED = 20


def _change_options(function: Callable[..., Any]) -> Callable[..., Any]:
    options = (
        click.option("--yes", "-y", is_flag=True, help="Do not ask."),
        click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing."),
        click.option(
            "--force",
            is_flag=True,
            help="Make the change even if a selector or a consumer loses its answer.",
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


@click.command(cls=RegistryCommand)
@click.argument("name", type=NAME)
@click.argument("version", type=VERSION)
@click.option("--reason", help="The reason, for functions that need exactly this version.")
@_change_options
@with_tools
def yank(
    tools: Tools, *, name: str, version: str, reason: str | None, **options: bool
) -> int | None:
    """Yank VERSION of the service NAME: only 'NAME==VERSION' still resolves to it."""
    from registry_client.client import yank_request

    request = yank_request(name, version, reason)
    return make_change(tools, request, f"{name} {version} is yanked", **options)


@click.command(cls=RegistryCommand)
@click.argument("name", type=NAME)
@click.argument("version", type=VERSION)
@_change_options
@with_tools
def unyank(tools: Tools, *, name: str, version: str, **options: bool) -> int | None:
    """Make the yanked VERSION of the service NAME active again."""
    from registry_client.client import activate_request

    return make_change(
        tools, activate_request(name, version), f"{name} {version} is active", **options
    )


@click.command(cls=RegistryCommand)
@click.argument("name", type=NAME)
@click.argument("version", type=VERSION)
@_change_options
@with_tools
def delete(tools: Tools, *, name: str, version: str, **options: bool) -> int | None:
    """Delete VERSION of the service NAME, if it was published by mistake.

    The version may then be published again, even with another ARN.
    """
    from registry_client.client import delete_request

    return make_change(
        tools, delete_request(name, version), f"{name} {version} is deleted", **options
    )


@click.command(cls=RegistryCommand)
@click.argument("name", type=NAME)
@click.argument("version", type=VERSION)
@_change_options
@with_tools
def pin(tools: Tools, *, name: str, version: str, **options: bool) -> int | None:
    """Pin latest of the service NAME to VERSION, to roll back or forward."""
    from registry_client.client import set_channel_request

    request = set_channel_request(name, "latest", version)
    return make_change(tools, request, f"{name} latest is pinned to {version}", **options)


@click.command(cls=RegistryCommand)
@click.argument("name", type=NAME)
@_change_options
@with_tools
def unpin(tools: Tools, *, name: str, **options: bool) -> int | None:
    """Unpin latest of the service NAME: it is the highest active stable version again."""
    from registry_client.client import delete_channel_request

    request = delete_channel_request(name, "latest")
    return make_change(tools, request, f"{name} latest is no longer pinned", **options)


@click.command("set", cls=RegistryCommand)
@click.argument("name", type=NAME)
@click.argument("channel_name", type=NAME, metavar="CHANNEL")
@click.argument("version", type=VERSION)
@_change_options
@with_tools
def set_channel(
    tools: Tools, *, name: str, channel_name: str, version: str, **options: bool
) -> int | None:
    """Set CHANNEL of the service NAME, which 'NAME@CHANNEL' resolves to, to VERSION."""
    from registry_client.client import set_channel_request

    request = set_channel_request(name, channel_name, version)
    return make_change(tools, request, f"{name}@{channel_name} is {version}", **options)


@click.command("delete", cls=RegistryCommand)
@click.argument("name", type=NAME)
@click.argument("channel_name", type=NAME, metavar="CHANNEL")
@_change_options
@with_tools
def delete_channel(tools: Tools, *, name: str, channel_name: str, **options: bool) -> int | None:
    """Delete CHANNEL of the service NAME."""
    from registry_client.client import delete_channel_request

    request = delete_channel_request(name, channel_name)
    return make_change(tools, request, f"{name}@{channel_name} is deleted", **options)


channel = RegistryGroup(
    name="channel",
    help="Set and delete the channels of services.",
    members={
        "set": LazyCommand("changing", "set_channel", "Set a channel to a version."),
        "delete": LazyCommand("changing", "delete_channel", "Delete a channel."),
    },
)


def make_change(
    tools: Tools, request: "ChangeRequest", done: str, *, yes: bool, dry_run: bool, force: bool
) -> int | None:
    """Show what a change does, ask if there is a terminal, and make it; return the exit status.

    The change fails if the version or the service has changed since it was shown.
    """
    from registry_client.client import WriteOptions

    registry = tools.connection.registry()
    options = WriteOptions(force=force)
    if dry_run:
        print_plan(tools, registry.dry_run(request, options))
        return None
    if not yes and has_terminal():
        options = WriteOptions(force=force, if_match=registry.etag(request.etag_path))
        _show_plan(tools, registry.dry_run(request, options))
        if not agrees():
            return FAILED
    service = request.path.split("/")[2]
    with interruptible(f"history {service}"):
        document = registry.change(request, options)
    if tools.output.is_json:
        tools.output.document(dict(document) if document is not None else {"done": done})
    else:
        tools.output.line(done)
    return None


def print_plan(tools: Tools, plan: "DryRunJson") -> None:
    """Print what a change would do, as the command's result."""
    if tools.output.is_json:
        tools.output.document(plan)
    else:
        tools.output.line(_summary(plan))
        _print_tables(tools.output.table, plan)


def _show_plan(tools: Tools, plan: "DryRunJson") -> None:
    tools.output.note(_summary(plan))
    _print_tables(tools.output.table_on_stderr, plan)


def _print_tables(print_table: Callable[..., None], plan: "DryRunJson") -> None:
    if plan["changes"]:
        changes = [(each["selector"], *_from_to(each)) for each in plan["changes"]]
        print_table(("SELECTOR", "FROM", "TO"), changes)
    if plan["consumers"]:
        listed = plan["consumers"][:_MAX_LISTED]
        consumers = [(each["consumer"], each["need"], *_from_to(each)) for each in listed]
        print_table(("CONSUMER", "NEED", "FROM", "TO"), consumers)


def _from_to(move: Any) -> tuple[str, str]:  # noqa: ANN401  # a MoveJson or an ImpactJson
    return move["from"] or "no answer", move["to"] or "no answer"


def _summary(plan: "DryRunJson") -> str:
    """Return `3 selectors would change; 12 consumers would move from 1.4.2 to 1.5.0`."""
    count = len(plan["changes"])
    selectors = counted(count, "selector") if count else "no selectors"
    consumers = plan["consumers"]
    total = plan.get("consumers_total", len(consumers))
    if not total:
        return f"{selectors} would change; no known consumer is affected"
    lost = sum(each["to"] is None for each in consumers)
    moves = {(each["from"], each["to"]) for each in consumers if each["to"] is not None}
    parts = []
    if total > lost:
        versions = ""
        if len(moves) == 1:
            ((before, after),) = moves
            versions = f" from {before or 'no answer'} to {after}"
        parts += [f"{counted(total - lost, 'consumer')} would move{versions}"]
    if lost:
        parts += [f"{counted(lost, 'consumer')} would lose the answer"]
    return f"{selectors} would change; {', '.join(parts)}"
