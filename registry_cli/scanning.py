"""`consumers scan`: reads the functions of an account and Region, and records what they need."""

from typing import TYPE_CHECKING, Any

import click

from registry_cli.commands import RegistryCommand, Tools, with_tools
from registry_cli.connection import Connection
from registry_cli.output import Output, Ticker, counted

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

    from consumer_scan.listing import Listing, Scope

_FUNCTION = "ConsumerScanFunction"
# Lambda limits a payload to 6 MB. A consumer has 5 KB at most, since Lambda limits a function's
# environment variables to 4 KB.
_BATCH = 500
# Lambda's control plane allows 15 requests a second in an account, deployments included. The
# adaptive retry mode sends fewer requests when Lambda throttles them.
_ATTEMPTS = 12


@click.command(cls=RegistryCommand)
@click.option(
    "--functions-profile",
    help="The AWS profile to read the functions with, instead of --profile.",
)
@click.option(
    "--functions-region", help="The Region whose functions are read, instead of --region."
)
@click.option("--dry-run", is_flag=True, help="Show what was found, and record nothing.")
@with_tools
def scan(
    tools: Tools, functions_profile: str | None, functions_region: str | None, *, dry_run: bool
) -> None:
    """Read the needs of all Lambda functions of an account and Region, and record them.

    The functions are read with your own rights (lambda:ListFunctions, lambda:ListAliases), and the
    registry records what was found (lambda:InvokeFunction on its ConsumerScanFunction). --profile
    and --region select the registry's account; for functions in another one, add
    --functions-profile or --functions-region. Of a function's variables only NEEDED_SERVICES is
    read.
    """
    from consumer_scan.listing import Scope, list_consumers

    options = tools.connection.options
    functions = Connection(
        options._replace(
            profile=functions_profile or options.profile, region=functions_region or options.region
        )
    )
    scope = Scope(account_id=functions.account[1], region=functions.region)
    with tools.output.progress() as show:
        show(f"functions of {scope.account_id} in {scope.region}")
        listing = list_consumers(
            _lambda_client(functions),
            scope,
            lambda count: show(f"{counted(count, 'function')} read"),
        )
        counts = {} if dry_run else _record(tools, scope, listing, show)
    _print(tools.output, scope, listing, counts)


def _lambda_client(functions: Connection) -> "LambdaClient":
    from botocore.config import Config

    retries: Any = {"mode": "adaptive", "total_max_attempts": _ATTEMPTS}
    client: LambdaClient = functions.client("lambda", config=Config(retries=retries))
    return client


def _record(tools: Tools, scope: "Scope", listing: "Listing", show: Ticker) -> dict[str, int]:
    """Let the registry record the consumers; return how many records were written or removed."""
    record = tools.connection.function(_FUNCTION)
    request = {"account_id": scope.account_id, "region": scope.region}
    found = _consumers(listing, key="name")
    counts: dict[str, int] = {}
    for start in range(0, len(found), _BATCH):
        batch = found[start : start + _BATCH]
        _add(counts, record({"action": "record", **request, "consumers": batch}))
        show(f"{start + len(batch):,} of {counted(len(found), 'consumer')} recorded")
    # The listing is complete, so a consumer that is not in it no longer exists.
    present = [each["name"] for each in found] + sorted(listing.unreadable)
    _add(counts, record({"action": "remove-gone", **request, "present": present}))
    return counts


def _print(output: Output, scope: "Scope", listing: "Listing", counts: dict[str, int]) -> None:
    if output.is_json:
        output.document(
            {
                "account_id": scope.account_id,
                "region": scope.region,
                "functions": listing.functions,
                "consumers": _consumers(listing, key="consumer"),
                "unreadable": listing.unreadable,
                **counts,
            }
        )
    else:
        output.table(
            ("CONSUMER", "NEEDED"), [(each.name, each.needed) for each in listing.consumers]
        )
        output.line(
            f"{counted(listing.functions, 'function')}, "
            + counted(len(listing.consumers), "consumer")
            + "".join(f", {count:,} {name}" for name, count in counts.items())
        )
    for name, reason in sorted(listing.unreadable.items()):
        output.note(f"Warning: {name}: {reason}")


def _consumers(listing: "Listing", *, key: str) -> list[dict[str, str]]:
    return [{key: each.name, "needed": each.needed, "arn": each.arn} for each in listing.consumers]


def _add(counts: dict[str, int], document: dict[str, int]) -> None:
    for name, count in document.items():
        counts[name] = counts.get(name, 0) + count
