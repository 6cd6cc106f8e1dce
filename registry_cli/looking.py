"""`list`, `show`, `versions`, `history`, `resolve`."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from operator import itemgetter

import click

from registry_cli.arguments import NAME, NEEDS
from registry_cli.commands import RegistryCommand, Tools, with_tools
from registry_cli.failures import NOT_RESOLVED
from registry_client.documents import MemberJson, ResolutionJson, VersionJson
from registry_model.needs import parse_needs

# The index follows a change within seconds; the clocks of two machines may differ.
_FOLLOWS_WITHIN = timedelta(seconds=30)


@click.command("list", cls=RegistryCommand)
@click.argument("prefix", default="")
@with_tools
def list_services(tools: Tools, prefix: str) -> None:
    """List the services, or those whose names start with PREFIX."""
    services = tools.connection.registry().services(prefix)
    none = f"no service's name starts with {prefix!r}" if prefix else "there are no services yet"
    tools.output.listing(
        "services",
        services,
        {
            "NAME": itemgetter("name"),
            "LATEST": lambda each: each["latest"]["version"] if each["latest"] else "no answer",
            "ARN": lambda each: each["latest"]["arn"] if each["latest"] else "",
            "REVISION": itemgetter("revision"),
        },
        empty=f"{none}; `service-registry publish --help` shows how to publish one",
    )


@click.command(cls=RegistryCommand)
@click.argument("name", type=NAME)
@with_tools
def show(tools: Tools, name: str) -> None:
    """Show the service NAME: its latest version and its channels."""
    service = tools.connection.registry().service(name)
    if tools.output.is_json:
        tools.output.document(service)
        return
    latest = service["latest"]
    pinned = " (pinned)" if "latest" in service["channels"] else ""
    rows: list[tuple[str, object]] = [("name", service["name"])]
    if latest is None:
        rows += [("latest", "no answer")]
    else:
        rows += [("latest", latest["version"] + pinned), ("ARN", latest["arn"])]
        rows += [(f"metadata {key}", text) for key, text in latest.get("metadata", {}).items()]
    rows += [
        (f"channel {channel}", version)
        for channel, version in sorted(service["channels"].items())
        if channel != "latest"
    ]
    rows += [
        ("revision", service["revision"]),
        ("created", service["created_at"]),
        ("updated", service["updated_at"]),
    ]
    tools.output.table(("SERVICE", ""), rows)


@click.command(cls=RegistryCommand)
@click.argument("name", type=NAME)
@with_tools
def versions(tools: Tools, name: str) -> None:
    """List the versions of the service NAME, the highest first."""
    found = tools.connection.registry().versions(name)
    tools.output.listing(
        "versions",
        found,
        {
            "VERSION": itemgetter("version"),
            "STATUS": itemgetter("status"),
            "ARN": itemgetter("arn"),
            "PUBLISHED": itemgetter("published_at"),
            "BY": itemgetter("published_by"),
            "NOTE": _note,
        },
    )


def _note(record: VersionJson) -> str:
    metadata = " ".join(f"{key}={text}" for key, text in record.get("metadata", {}).items())
    return record.get("reason", metadata)


@click.command(cls=RegistryCommand)
@click.argument("name", type=NAME)
@with_tools
def history(tools: Tools, name: str) -> None:
    """List the changes of the service NAME, the newest first."""
    events = tools.connection.registry().history(name)
    tools.output.listing(
        "events",
        events,
        {
            "REVISION": itemgetter("revision"),
            "AT": itemgetter("at"),
            "ACTION": itemgetter("action"),
            "VERSION": lambda each: each.get("version"),
            "CHANNEL": lambda each: each.get("channel"),
            "BY": itemgetter("by"),
            "REASON": lambda each: each.get("reason"),
        },
    )


@click.command(cls=RegistryCommand)
@click.argument("need", type=NEEDS, metavar="NAME[SELECTOR]", required=False)
@click.option("--needed", type=NEEDS, help="Needs, as in NEEDED_SERVICES: 'users==1.x,billing'.")
@with_tools
def resolve(tools: Tools, need: str | None, needed: str | None) -> int:
    """Show what a function would get for NAME[SELECTOR], such as 'users==1.x', or for NEEDS.

    The exit status is 3 if something is not resolved.
    """
    if (need is None) == (needed is None):
        message = "give either NAME[SELECTOR] or --needed NEEDS"
        raise click.UsageError(message)
    if need is not None and len(parse_needs(need)) != 1:
        message = f"{need!r} is not one need: give NAME[SELECTOR], or several with --needed"
        raise click.UsageError(message)
    found = tools.connection.registry().resolve(needed or need or "")
    if not tools.output.is_json:
        print_resolution(tools, found)
    elif need is None:
        tools.output.document(found)
    else:
        (member,) = found["services"].values()
        tools.output.document(member)
    unresolved = {key: each for key, each in found["services"].items() if "arn" not in each}
    if not unresolved:
        return 0
    print_unresolved(tools, unresolved)
    return NOT_RESOLVED


def print_resolution(tools: Tools, found: ResolutionJson) -> None:
    """Print what a function would get, as a table."""
    tools.output.table(
        ("KEY", "REQUESTED", "STATUS", "VERSION", "ARN", "NOTE"),
        [
            (
                key,
                member["requested"],
                member["status"],
                member.get("version"),
                member.get("arn"),
                member.get("reason", member.get("error")),
            )
            for key, member in found["services"].items()
        ],
    )


def _has_just_changed(updated_at: str) -> bool:
    age = datetime.now(UTC) - datetime.fromisoformat(updated_at)
    return abs(age) < _FOLLOWS_WITHIN


def print_unresolved(tools: Tools, members: Mapping[str, MemberJson]) -> None:
    """Print why needs have no answer, and the services with similar names."""
    from registry_client.errors import RegistryClientError

    registry = tools.connection.registry()
    for key, member in members.items():
        name = member.get("service", key)
        suggestion = ""
        # If the caller may resolve but not read services, only the reason is shown.
        with suppress(RegistryClientError):
            if not registry.has_service(name):
                suggestion = (
                    f"; there is no such service; {tools.connection.similar_services(name)}"
                )
            elif _has_just_changed(registry.service(name)["updated_at"]):
                suggestion = (
                    "; the service has just changed, and answers follow in a second or two: "
                    "resolve it again"
                )
            else:
                command = "show" if member["requested"].startswith("@") else "versions"
                suggestion = f"; `service-registry {command} {name}` shows what there is"
        tools.output.note(f"Not resolved: {key}: {member.get('error', 'no answer')}{suggestion}")
