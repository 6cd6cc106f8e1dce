"""Lists the Lambda functions of one account and Region, with their needs.

Of a function's variables only `NEEDED_SERVICES` is kept. The others are dropped as soon as a page
of functions has been read, and are never logged. Source: Lambda API Reference, "ListFunctions" and
"ListAliases".
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from registry_model.needs import MAX_RECORDED_NEEDS, NeedsError, parse_needs

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

NEEDED_SERVICES = "NEEDED_SERVICES"
_LATEST_VERSION = "$LATEST"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The functions of a scan: those of one account in one Region."""

    account_id: str
    region: str

    @property
    def prefix(self) -> str:
        """The prefix of their consumers' names."""
        return f"{self.account_id}:{self.region}:"


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundConsumer:
    """A function, or a version or an alias of one, that needs services.

    Attributes:
        name: `<account>:<region>:<function>`, or `…:<qualifier>` for a version or an alias.
        needed: The text of its `NEEDED_SERVICES`.
        arn: Its ARN, with the qualifier if it has one.
    """

    name: str
    needed: str
    arn: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The result of a scan.

    Attributes:
        consumers: Every function that needs services.
        unreadable: Why the needs of other functions could not be read, by consumer name. Their
            records are kept.
        functions: The number of functions.
    """

    consumers: tuple[FoundConsumer, ...]
    unreadable: dict[str, str]
    functions: int


@dataclass(slots=True)
class _Function:
    """A function: the needs of each of its versions, or why they cannot be read."""

    arn: str = ""
    needed: dict[str, str] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)


def list_consumers(
    client: "LambdaClient", scope: Scope, on_page: Callable[[int], None] | None = None
) -> Listing:
    """List the functions of the client's account and Region, all pages, and return their needs.

    A published version is listed under its own name if its needs differ from those of `$LATEST`,
    and so is each alias of such a version. Aliases are read only for functions
    with such a version.

    Args:
        on_page: Called with the number of functions that have been read so far.

    Raises:
        ClientError: A page could not be read. Functions that were not listed may still exist.
    """
    functions: dict[str, _Function] = defaultdict(_Function)
    pages = client.get_paginator("list_functions").paginate(FunctionVersion="ALL")
    for page in pages:
        for configuration in page["Functions"]:
            _add(functions[configuration["FunctionName"]], configuration)
        if on_page is not None:
            on_page(len(functions))
    consumers: list[FoundConsumer] = []
    unreadable: dict[str, str] = {}
    for name in sorted(functions):
        function = functions[name]
        for qualifier, version in _qualifiers(client, name, function):
            suffix = f":{qualifier}" if qualifier else ""
            consumer = f"{scope.prefix}{name}{suffix}"
            if version in function.unreadable:
                unreadable[consumer] = function.unreadable[version]
            elif function.needed.get(version):
                consumers.append(
                    FoundConsumer(
                        name=consumer,
                        needed=function.needed[version],
                        arn=f"{function.arn}{suffix}",
                    )
                )
    return Listing(consumers=tuple(consumers), unreadable=unreadable, functions=len(functions))


def _add(function: _Function, configuration: Mapping[str, Any]) -> None:
    """Keep the needs of one version of a function."""
    version = configuration["Version"]
    function.arn = configuration["FunctionArn"].removesuffix(f":{version}")
    environment = configuration.get("Environment") or {}
    error = environment.get("Error")
    if error:
        reason = error.get("ErrorCode") or "unknown error"
        function.unreadable[version] = f"Lambda can't read the function's variables: {reason}"
        return
    needed = (environment.get("Variables") or {}).get(NEEDED_SERVICES) or ""
    try:
        needs = parse_needs(needed)
    except NeedsError as error:
        function.unreadable[version] = f"{NEEDED_SERVICES} is malformed: {error}"
        return
    if len(needs) > MAX_RECORDED_NEEDS:
        function.unreadable[version] = (
            f"{NEEDED_SERVICES} has {len(needs):,} needs; {MAX_RECORDED_NEEDS:,} can be recorded"
        )
        return
    function.needed[version] = needed if needs else ""


def _qualifiers(
    client: "LambdaClient", name: str, function: _Function
) -> Iterator[tuple[str, str]]:
    """Yield each qualifier under which the function is listed, with the version it selects."""
    yield "", _LATEST_VERSION
    own = _signature(function, _LATEST_VERSION)
    versions = {*function.needed, *function.unreadable} - {_LATEST_VERSION}
    different = {version for version in versions if _signature(function, version) != own}
    for version in sorted(different, key=int):
        yield version, version
    if different:
        for page in client.get_paginator("list_aliases").paginate(FunctionName=name):
            for alias in page["Aliases"]:
                if alias["FunctionVersion"] in different:
                    yield alias["Name"], alias["FunctionVersion"]


def _signature(function: _Function, version: str) -> object:
    """Return a value that is equal for equal needs, even if they are written differently."""
    if version in function.unreadable:
        return function.unreadable[version]
    return sorted(
        (need.key, need.service, need.selector.requested)
        for need in parse_needs(function.needed.get(version, ""))
    )
