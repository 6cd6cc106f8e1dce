"""`publish`."""

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from registry_cli.arguments import NAME, VERSION
from registry_cli.changing import print_plan
from registry_cli.commands import RegistryCommand, Tools, with_tools
from registry_cli.failures import interruptible
from registry_client.version_prefix import VersionPrefixError, version_from_arn

if TYPE_CHECKING:
    from registry_client.documents import VersionJson


def metadata_of(pairs: Sequence[str]) -> dict[str, str]:
    """Parse `K=V` texts.

    Raises:
        click.UsageError: A text has no key, or a key is repeated.
    """
    metadata: dict[str, str] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key:
            message = f"--metadata {pair!r}: use the form KEY=VALUE"
            raise click.UsageError(message)
        if key in metadata:
            message = f"--metadata: the key {key!r} is repeated"
            raise click.UsageError(message)
        metadata[key] = text
    return metadata


def _version_from(prefix: str, arn: str) -> str:
    try:
        return version_from_arn(prefix, arn)
    except VersionPrefixError as error:
        message = f"--version-prefix: {error}"
        raise click.UsageError(message) from error


def _note_new_service(tools: Tools, record: "VersionJson") -> None:
    """Warn if the name of a new service is similar to the name of an existing one."""
    from registry_client.errors import RegistryClientError

    # A pipeline may have the right to publish one service, but not to list the others.
    with suppress(RegistryClientError):
        name, version = record["name"], record["version"]
        question = tools.connection.almost_the_same_service(name)
        if question:
            tools.output.note(
                f"Note: {name!r} is a new service; {question} If so, delete it: "
                f"`service-registry delete {name} {version} --force`"
            )


@click.command(cls=RegistryCommand)
@click.argument("name", type=NAME)
@click.argument("version", type=VERSION, required=False)
@click.option("--arn", required=True, help="The ARN that functions get; any kind of ARN.")
@click.option(
    "--version-prefix",
    metavar="MAJOR[.MINOR]",
    help="Instead of VERSION: with the ARN's numeric qualifier, 1 and …:users:42 make 1.42.0, "
    "1.4 makes 1.4.42.",
)
@click.option("--channel", type=NAME, help="Set this channel to the version, in the same change.")
@click.option("--metadata", multiple=True, metavar="K=V", help="A text to attach; repeatable.")
@click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
@with_tools
def publish(
    tools: Tools,
    *,
    name: str,
    version: str | None,
    arn: str,
    version_prefix: str | None,
    channel: str | None,
    metadata: tuple[str, ...],
    dry_run: bool,
) -> None:
    r"""Publish VERSION of the service NAME.

    Publishing the same again changes nothing, so a pipeline may repeat it. A version's ARN does not
    change: the exit status is 4 if it is published with another one.

    \b
    service-registry publish users 1.4.2 \
        --arn arn:aws:lambda:eu-west-1:123456789012:function:users:42
    service-registry publish users --version-prefix 1 --arn "$FUNCTION_VERSION_ARN"
    """
    from registry_client.client import publish_request

    if (version is None) == (version_prefix is None):
        message = "give either VERSION or --version-prefix"
        raise click.UsageError(message)
    wanted = version if version_prefix is None else _version_from(version_prefix, arn)
    request = publish_request(
        name, wanted or "", arn, metadata=metadata_of(metadata), channel=channel
    )
    registry = tools.connection.registry()
    if dry_run:
        print_plan(tools, registry.dry_run(request))
        return
    with interruptible(f"history {name}"):
        published = registry.publish(request)
        record = published.record
        if published.is_new and record["revision"] == 1:
            _note_new_service(tools, record)
    if tools.output.is_json:
        outcome = "published" if published.is_new else "unchanged"
        tools.output.document({**record, "outcome": outcome})
        return
    what = f"{record['name']} {record['version']} = {record['arn']}"
    tools.output.line(
        f"published {what}, revision {record['revision']}"
        if published.is_new
        else f"{what} was published before: nothing changed"
    )
    if channel is not None:
        tools.output.line(f"channel {channel} = {record['version']}")
