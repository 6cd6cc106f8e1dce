"""`consumers`: the records of who needs what."""

from operator import itemgetter

import click

from registry_cli.arguments import NAME, NEEDS
from registry_cli.commands import LazyCommand, RegistryCommand, RegistryGroup, Tools, with_tools
from registry_cli.failures import NOT_RESOLVED, interruptible
from registry_cli.looking import print_resolution, print_unresolved

consumers = RegistryGroup(
    name="consumers",
    help="Show who needs the service NAME, or change the records of consumers.\n\n"
    "\b\nservice-registry consumers NAME\nservice-registry consumers COMMAND ...",
    members={
        "of": LazyCommand("consuming", "of_service", "The consumers of a service."),
        "list": LazyCommand("consuming", "list_consumers", "All consumers and their needs."),
        "declare": LazyCommand(
            "consuming", "declare", "Record a consumer's needs, and check them."
        ),
        "forget": LazyCommand("consuming", "forget", "Delete a consumer's record."),
        "scan": LazyCommand("scanning", "scan", "Record what an account's functions need."),
    },
    fallback="of",
    subcommand_metavar="NAME | COMMAND [ARGS]...",
)


@click.command("NAME", cls=RegistryCommand)
@click.argument("name", type=NAME)
@with_tools
def of_service(tools: Tools, name: str) -> None:
    """List the consumers of the service NAME, with the version that each gets."""
    found = tools.connection.registry().service_consumers(name)
    tools.output.listing(
        "consumers",
        found,
        {
            "CONSUMER": itemgetter("consumer"),
            "KEY": itemgetter("key"),
            "REQUESTED": itemgetter("requested"),
            "VERSION": lambda each: each["version"] or "no answer",
            "SOURCE": itemgetter("source"),
            "SEEN": itemgetter("seen_at"),
        },
        empty=f"no consumer of {name!r} is known",
    )


@click.command("list", cls=RegistryCommand)
@click.argument("prefix", default="")
@with_tools
def list_consumers(tools: Tools, prefix: str) -> None:
    """List the consumers, or those whose names start with PREFIX."""
    found = tools.connection.registry().consumers(prefix)
    none = f"no consumer's name starts with {prefix!r}" if prefix else "no consumer is known"
    tools.output.listing(
        "consumers",
        found,
        {
            "CONSUMER": itemgetter("consumer"),
            "NEEDED": itemgetter("needed"),
            "OWNER": lambda each: each.get("owner"),
            "SOURCE": itemgetter("source"),
            "SEEN": itemgetter("seen_at"),
        },
        empty=f"{none}; `service-registry consumers declare --help` shows how to record one",
    )


@click.command(cls=RegistryCommand)
@click.argument("consumer")
@click.option("--needed", type=NEEDS, required=True, help="Its needs, as in NEEDED_SERVICES.")
@click.option("--arn", help="Its ARN.")
@click.option("--owner", help="The person or team to ask.")
@with_tools
def declare(
    tools: Tools, consumer: str, needed: str, arn: str | None, owner: str | None
) -> int | None:
    """Record the needs of CONSUMER in place of earlier ones, and show what it would get.

    The exit status is 3 if something is not resolved; the needs are recorded nevertheless.
    """
    registry = tools.connection.registry()
    with interruptible("consumers list"):
        found = registry.declare_consumer(consumer, needed, arn=arn, owner=owner)
    if tools.output.is_json:
        tools.output.document(found)
    else:
        print_resolution(tools, found)
    unresolved = {key: each for key, each in found["services"].items() if "arn" not in each}
    if not unresolved:
        return None
    print_unresolved(tools, unresolved)
    return NOT_RESOLVED


@click.command(cls=RegistryCommand)
@click.argument("consumer")
@with_tools
def forget(tools: Tools, consumer: str) -> None:
    """Delete the record of CONSUMER."""
    registry = tools.connection.registry()
    with interruptible("consumers list"):
        registry.forget_consumer(consumer)
    if tools.output.is_json:
        tools.output.document({"consumer": consumer, "outcome": "forgotten"})
    else:
        tools.output.line(f"the record of {consumer} is deleted")
