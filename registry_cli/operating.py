"""`verify` and `rebuild`: the stack's function is invoked again and again, with progress.

Each invocation goes on where the one before stopped, so nothing is lost when it is stopped.
"""

import json
import sys
from collections.abc import Iterator
from typing import Any

import click

from registry_cli.arguments import NAME
from registry_cli.commands import RegistryCommand, Tools, with_tools
from registry_cli.failures import FAILED, CommandError, Failure, failure_of

_FUNCTION = "IndexRebuildFunction"
# Each invocation ends after so long: progress is shown, and little is lost if it is stopped.
_SECONDS = 15
_SECONDS_ON_A_TERMINAL = 3
# The last step of an invocation, and a second look at what differs, may take longer.
_READ_TIMEOUT_S = 300
_ATTEMPTS = 5


@click.command(cls=RegistryCommand)
@click.option("--service", type=NAME, help="This service alone.")
@click.option("--cursor", help="Go on where an earlier run stopped; it printed the cursor.")
@with_tools
def verify(tools: Tools, service: str | None, cursor: str | None) -> int:
    """Compare the index with what the versions table implies; change nothing.

    The exit status is 1 where they differ, or where not everything was compared.
    """
    return _run(tools, "verify", service, cursor)


@click.command(cls=RegistryCommand)
@click.option("--service", type=NAME, help="This service alone.")
@click.option("--cursor", help="Go on where an earlier run stopped; it printed the cursor.")
@with_tools
def rebuild(tools: Tools, service: str | None, cursor: str | None) -> int:
    """Make the index what the versions table implies. It may run beside live traffic."""
    return _run(tools, "rebuild", service, cursor)


class _Findings:
    """The sum of what the invocations found."""

    def __init__(self, action: str, cursor: str | None) -> None:
        """Begin with nothing."""
        self.action = action
        self.services = self.selectors = self.differences = 0
        self.listed: list[dict[str, Any]] = []
        self.failed: dict[str, str] = {}
        self.cursor = cursor
        self.stopped_by: Failure | None = None

    def add(self, document: dict[str, Any]) -> None:
        """Add one invocation's document."""
        self.services += document["services"]
        self.selectors += document["selectors"]
        self.differences += document["differences"]
        self.listed += document["listed"]
        self.failed |= document["failed"]
        self.cursor = document["cursor"]

    @property
    def is_complete(self) -> bool:
        """Whether everything was looked at."""
        return self.stopped_by is None and not self.failed

    def progress(self) -> str:
        """Return how far it has got."""
        return (
            f"{self.services:,} services, {self.selectors:,} selectors, "
            f"{self.differences:,} differences"
        )

    def document(self) -> dict[str, Any]:
        """Return the whole result."""
        return {
            "action": self.action,
            "complete": self.is_complete,
            "services": self.services,
            "selectors": self.selectors,
            "differences": self.differences,
            "listed": self.listed,
            "failed": self.failed,
            "cursor": self.cursor,
        }


def _run(tools: Tools, action: str, service: str | None, cursor: str | None) -> int:
    findings = _Findings(action, cursor)
    payload: dict[str, Any] = {"action": action}
    payload |= {"service": service} if service else {}
    payload |= {"cursor": cursor} if cursor else {}
    documents = _invocations(tools, payload)
    with tools.output.progress() as show:
        show(f"{action}: {tools.connection.stack_name}")
        try:
            for document in documents:
                findings.add(document)
                show(findings.progress())
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  # a bug is raised again
            findings.stopped_by = _stopped_by(tools, error)
    return _report(tools, findings)


def _stopped_by(tools: Tools, error: BaseException) -> Failure:
    if isinstance(error, KeyboardInterrupt):
        return Failure(what="interrupted")
    failure = failure_of(error, tools.connection) if isinstance(error, Exception) else None
    if failure is None:
        raise error
    return failure


def _invocations(tools: Tools, payload: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Invoke the stack's function until all is done; return each document.

    Raises:
        CommandError: The function failed.
    """
    from botocore.config import Config

    function = tools.connection.stack_resource(_FUNCTION)
    config = Config(
        read_timeout=_READ_TIMEOUT_S,
        retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
    )
    client = tools.connection.client("lambda", config=config)
    seconds = _SECONDS_ON_A_TERMINAL if sys.stderr.isatty() else _SECONDS
    payload = {**payload, "seconds": seconds}
    while True:
        response = client.invoke(FunctionName=function, Payload=json.dumps(payload).encode())
        document = json.load(response["Payload"])
        if "FunctionError" in response:
            raise CommandError(
                Failure(
                    what=f"{document.get('errorType')}: {document.get('errorMessage', document)}",
                    where=f"the function {function}",
                    way_out="its log says more",
                )
            )
        yield document
        if document["cursor"] is None:
            return
        payload["cursor"] = document["cursor"]


def _report(tools: Tools, findings: _Findings) -> int:
    if tools.output.is_json:
        tools.output.document(findings.document())
    else:
        if findings.listed:
            tools.output.table(
                ("SERVICE", "SELECTOR", "IS", "SHOULD BE"),
                [_difference_row(each) for each in findings.listed],
            )
        unlisted = findings.differences - len(findings.listed)
        if unlisted:
            tools.output.line(f"and {unlisted:,} more")
        tools.output.line(findings.progress() + _verdict(findings))
    for service, reason in sorted(findings.failed.items()):
        tools.output.note(f"Error: {service} could not be looked at: {reason}")
    if findings.stopped_by is not None:
        for line in findings.stopped_by.lines():
            tools.output.note(line)
        if findings.cursor:
            tools.output.note(f"Way out: go on with --cursor {findings.cursor}")
    is_well = findings.action == "rebuild" or not findings.differences
    return 0 if findings.is_complete and is_well else FAILED


def _verdict(findings: _Findings) -> str:
    if not findings.is_complete:
        return "; not everything was looked at"
    if findings.differences and findings.action == "rebuild":
        return "; all of them corrected"
    return ""


def _difference_row(difference: dict[str, Any]) -> tuple[str, str, str, str]:
    """Return what differs, without what does not."""
    found, wanted = difference["is"] or {}, difference["should_be"] or {}
    names = sorted({*found, *wanted} - {"updated_at"})
    if found and wanted:
        names = [name for name in names if found.get(name) != wanted.get(name)]
    return (
        difference["service"],
        difference["selector"],
        _shown(found, names),
        _shown(wanted, names),
    )


def _shown(item: dict[str, Any], names: list[str]) -> str:
    return " ".join(f"{name}={item[name]}" for name in names if name in item) or "nothing"
