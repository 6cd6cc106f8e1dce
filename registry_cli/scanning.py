"""`consumers scan`: reads the functions of an account and Region, and records what they need."""

from typing import Any

import click

from registry_cli.commands import RegistryCommand, Tools, with_tools
from registry_cli.connection import Connection

_FUNCTION = "ConsumerScanFunction"
# Lambda takes 6 MB with an invocation; a consumer has 5 KB at most, its variables' limit.
_BATCH = 500
# Lambda's control plane takes 15 requests a second of an account: leave room for deployments.
_ATTEMPTS = 12


@click.command(cls=RegistryCommand)
@click.option("--functions-profile", help="The AWS profile to read the functions with.")
@click.option("--functions-region", help="The Region whose functions are read.")
@click.option("--dry-run", is_flag=True, help="Show what was found, and record nothing.")
@with_tools
def scan(
    tools: Tools, functions_profile: str | None, functions_region: str | None, *, dry_run: bool
) -> None:
    """Read the needs of all Lambda functions of an account and Region, and record them.

    The functions are read with your own rights (lambda:ListFunctions, lambda:ListAliases), those of
    the registry's own account and Region unless you name others; the registry records what was
    found (lambda:InvokeFunction on its ConsumerScanFunction). Of a function's variables only
    NEEDED_SERVICES is looked at.
    """
    from botocore.config import Config

    from consumer_scan.listing import Scope, list_consumers

    options = tools.connection.options
    functions = Connection(
        options._replace(
            profile=functions_profile or options.profile, region=functions_region or options.region
        )
    )
    scope = Scope(account_id=functions.account[1], region=functions.region)
    retries: Any = {"mode": "adaptive", "total_max_attempts": _ATTEMPTS}
    client = functions.client("lambda", config=Config(retries=retries))
    with tools.output.progress() as show:
        show(f"functions of {scope.account_id} in {scope.region}")
        listing = list_consumers(client, scope, lambda count: show(f"{count:,} functions read"))
        counts: dict[str, int] = {}
        if not dry_run:
            record = tools.connection.function(_FUNCTION)
            request = {"account_id": scope.account_id, "region": scope.region}
            found = [
                {"name": each.name, "needed": each.needed, "arn": each.arn}
                for each in listing.consumers
            ]
            for start in range(0, len(found), _BATCH):
                batch = found[start : start + _BATCH]
                _add(counts, record({"action": "record", **request, "consumers": batch}))
                show(f"{start + len(batch):,} of {len(found):,} consumers recorded")
            # The listing has come to its end: what is not in it is gone.
            present = [each["name"] for each in found] + sorted(listing.unreadable)
            _add(counts, record({"action": "remove-gone", **request, "present": present}))
    if tools.output.is_json:
        tools.output.document(
            {
                "account_id": scope.account_id,
                "region": scope.region,
                "functions": listing.functions,
                "consumers": [
                    {"consumer": each.name, "needed": each.needed, "arn": each.arn}
                    for each in listing.consumers
                ],
                "unreadable": listing.unreadable,
                **counts,
            }
        )
    else:
        tools.output.table(
            ("CONSUMER", "NEEDED"), [(each.name, each.needed) for each in listing.consumers]
        )
        tools.output.line(
            f"{listing.functions:,} functions, {len(listing.consumers):,} consumers"
            + "".join(f", {count:,} {name}" for name, count in counts.items())
        )
    for name, reason in sorted(listing.unreadable.items()):
        tools.output.note(f"Warning: {name}: {reason}")


def _add(counts: dict[str, int], document: dict[str, int]) -> None:
    for name, count in document.items():
        counts[name] = counts.get(name, 0) + count
