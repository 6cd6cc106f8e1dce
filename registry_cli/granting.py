"""`policy`: prints IAM policies."""

import click

from registry_cli.arguments import ACCOUNT, NAME, NEEDS
from registry_cli.commands import LazyCommand, RegistryCommand, RegistryGroup, Tools, with_tools
from registry_cli.failures import NOT_RESOLVED
from registry_cli.looking import print_unresolved
from registry_cli.policies import consumer_policy, operator_policy, publisher_policy
from registry_model.needs import parse_needs

policy = RegistryGroup(
    name="policy",
    help="Print a least-privilege IAM policy; nothing is changed.",
    members={
        "publisher": LazyCommand("granting", "publisher", "To publish versions of services."),
        "operator": LazyCommand(
            "granting", "operator", "To look, yank, delete, pin, set channels."
        ),
        "consumer": LazyCommand("granting", "consumer", "To resolve services and to call them."),
    },
)


@click.command(cls=RegistryCommand)
@click.argument("names", type=NAME, nargs=-1, required=True, metavar="NAME...")
@with_tools
def publisher(tools: Tools, names: tuple[str, ...]) -> None:
    """Print the policy of a pipeline that publishes only the services NAME."""
    tools.output.document(publisher_policy(tools.connection.api_address(), names))


@click.command(cls=RegistryCommand)
@click.argument("names", type=NAME, nargs=-1, required=True, metavar="NAME...")
@with_tools
def operator(tools: Tools, names: tuple[str, ...]) -> None:
    """Print the policy of an operator of the services NAME: every right except to publish."""
    tools.output.document(operator_policy(tools.connection.api_address(), names))


@click.command(cls=RegistryCommand)
@click.option(
    "--needed", type=NEEDS, required=True, help="Its needs, as in NEEDED_SERVICES: 'users==1.x'."
)
@click.option("--account", type=ACCOUNT, help="The consumer's account, if it is not yours.")
@with_tools
def consumer(tools: Tools, needed: str, account: str | None) -> int | None:
    """Print the policy of a function with these needs: to read the answers and call the services.

    The needs are resolved now; the right to call a service depends on its kind of ARN. For ARNs of
    other accounts, which have to allow the calls, there is a warning on stderr.
    """
    found = tools.connection.registry().resolve(needed)
    unresolved = {key: each for key, each in found["services"].items() if "arn" not in each}
    if unresolved:
        print_unresolved(tools, unresolved)
        return NOT_RESOLVED
    stack = tools.connection.stack
    table = stack.output("IndexTableName")
    granted = consumer_policy(
        account_id=account or tools.connection.account[1],
        index_arn=f"arn:{stack.partition}:dynamodb:{stack.region}:{stack.account_id}:table/{table}",
        key_arn=stack.parameters.get("KmsKeyArn", ""),
        services=[need.service for need in parse_needs(needed)],
        arns=[each["arn"] for each in found["services"].values() if "arn" in each],
    )
    tools.output.document(granted.document)
    for warning in granted.warnings:
        tools.output.note(f"Warning: {warning}")
    return None
