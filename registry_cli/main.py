"""The entry point: the commands by name, and the help text."""

import click

from registry_cli.commands import LazyCommand, RegistryGroup

_PUBLISH, _LOOK, _CHANGE = "Publish", "Look", "Change"
_CONSUMERS, _RIGHTS, _OPERATE = "Consumers", "Rights", "Operate"

_COMMANDS = {
    "publish": LazyCommand("publishing", "publish", "Publish a version of a service.", _PUBLISH),
    "list": LazyCommand("looking", "list_services", "The services, by name.", _LOOK),
    "show": LazyCommand("looking", "show", "A service: latest version and channels.", _LOOK),
    "versions": LazyCommand("looking", "versions", "A service's versions, highest first.", _LOOK),
    "history": LazyCommand("looking", "history", "A service's changes, newest first.", _LOOK),
    "resolve": LazyCommand("looking", "resolve", "What a function would get.", _LOOK),
    "pin": LazyCommand("changing", "pin", "Set latest to a version: roll back.", _CHANGE),
    "unpin": LazyCommand("changing", "unpin", "Set latest to the highest again.", _CHANGE),
    "yank": LazyCommand("changing", "yank", "Withdraw a version.", _CHANGE),
    "unyank": LazyCommand("changing", "unyank", "Make a yanked version active again.", _CHANGE),
    "delete": LazyCommand("changing", "delete", "Delete a wrongly published version.", _CHANGE),
    "channel": LazyCommand("changing", "channel", "Set and delete channels.", _CHANGE),
    "consumers": LazyCommand(
        "consuming", "consumers", "Show and declare who needs what.", _CONSUMERS
    ),
    "policy": LazyCommand("granting", "policy", "Print a least-privilege policy.", _RIGHTS),
    "verify": LazyCommand("operating", "verify", "Compare the index with the versions.", _OPERATE),
    "rebuild": LazyCommand("operating", "rebuild", "Correct the index.", _OPERATE),
    "restore": LazyCommand("operating", "restore", "Restore from another table.", _OPERATE),
    "completion": LazyCommand("completing", "completion", "Completion for your shell.", _OPERATE),
}

_HELP = """Publish the versions of services, look at them, roll back, and see who needs them.

\b
First:
  Sign in to AWS as for the AWS CLI (aws sso login, AWS_PROFILE, a role). The
  registry is found by its stack, service-discovery, in your Region; name
  another one with --stack. A pipeline sets SERVICE_REGISTRY_URL to the
  stack's output RegistryUrl. Then list the services: service-registry list

\b
Examples:
  service-registry publish users 1.4.2 --arn arn:aws:lambda:eu-west-1:123456789012:function:users:42
  service-registry resolve 'users==1.x'
  service-registry pin users 1.4.1            # roll back, for every function, in seconds

Changes show what they do and ask first, on a terminal. Every command has --help and --json."""

_STATUS = """\b
Exit status:
  0 done   1 failed, answered "no", or verify found differences   2 usage
  3 not resolved   4 refused by the present state (another ARN, a channel, a consumer)"""


def _show_version(context: click.Context, _option: click.Parameter, is_asked: bool) -> None:  # noqa: FBT001  # click's own
    """Print the version and exit."""
    if is_asked:
        # Imported on first use: `--help` needs no metadata.
        from registry_cli.product_version import product_version

        click.echo(f"service-registry {product_version()}")
        context.exit()


cli = RegistryGroup(
    name="service-registry",
    help=_HELP,
    epilog=_STATUS,
    members=_COMMANDS,
    params=[
        click.Option(
            ["--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_show_version,
            help="Show the version and exit.",
        )
    ],
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def main() -> None:
    """Run the command line."""
    cli.main(prog_name="service-registry")
