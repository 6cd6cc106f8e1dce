"""`verify`, `rebuild` and `restore`: invoke a function of the stack until its work is done.

Each invocation continues the previous one, so little is lost if one is stopped.
"""

import shlex
import sys
from contextlib import suppress
from typing import Any, Protocol

import click

from registry_cli.arguments import NAME
from registry_cli.commands import RegistryCommand, Tools, with_tools
from registry_cli.failures import FAILED, USAGE, Failure, failure_of
from registry_cli.output import counted
from registry_cli.terminal import agrees, has_terminal

_REBUILD_FUNCTION, _RESTORE_FUNCTION = "IndexRebuildFunction", "RestoreFunction"
# How long an invocation works: short, to show progress and to lose little if it is stopped.
_SECONDS = 15
_SECONDS_ON_A_TERMINAL = 3


@click.command(cls=RegistryCommand)
@click.option("--service", type=NAME, help="Only this service.")
@click.option("--cursor", help="Continue an earlier run, which printed this cursor.")
@with_tools
def verify(tools: Tools, service: str | None, cursor: str | None) -> int:
    """Compare the index with the versions table; change nothing.

    The exit status is 1 if they differ, or if not everything was compared.
    """
    return _run(tools, "verify", service, cursor)


@click.command(cls=RegistryCommand)
@click.option("--service", type=NAME, help="Only this service.")
@click.option("--cursor", help="Continue an earlier run, which printed this cursor.")
@with_tools
def rebuild(tools: Tools, service: str | None, cursor: str | None) -> int:
    """Correct the index from the versions table; safe during live traffic."""
    return _run(tools, "rebuild", service, cursor)


@click.command(cls=RegistryCommand)
@click.option(
    "--from", "source", required=True, metavar="TABLE", help="The other table: its name or ARN."
)
@click.option("--cursor", help="Continue an earlier run, which printed this cursor.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask; needed if there is no terminal.")
@with_tools
def restore(tools: Tools, source: str, cursor: str | None, *, yes: bool) -> int:
    """Make the versions table equal to TABLE, then rebuild the index.

    TABLE is a restored point in time, another stack's versions table, or an older registry's. Items
    that TABLE does not have are deleted. A second run writes only what still differs.
    """
    table = tools.connection.stack.output("VersionsTableName")
    if not yes and not has_terminal():
        message = "there is no terminal to ask on: restore needs --yes"
        raise click.UsageError(message)
    if not yes:
        tools.output.note(
            f"The versions table {table} becomes equal to {source}: items that {source} does "
            "not have are deleted."
        )
        if not agrees():
            return FAILED
    restored = _RestoreTotals(source, cursor)
    payload = {"action": "restore", "from": source} | ({"cursor": cursor} if cursor else {})
    _work(tools, restored, _RESTORE_FUNCTION, payload)
    findings = _Findings("rebuild", None)
    if restored.is_complete:
        _work(tools, findings, _REBUILD_FUNCTION, {"action": "rebuild"})
    return _report_restore(tools, restored, findings)


class _Work(Protocol):
    """The combined results of a function's invocations."""

    action: str
    stopped_by: Failure | None

    def add(self, document: dict[str, Any]) -> None:
        """Add an invocation's response."""

    def progress(self) -> str:
        """Return the progress as text."""


class _RestoreTotals:
    """The sum of a restore's results."""

    def __init__(self, source: str, cursor: str | None) -> None:
        """Begin with empty results."""
        self.action = "restore"
        self.source = source
        self.items = self.written = self.deleted = 0
        self.cursor = cursor
        self.stopped_by: Failure | None = None

    def add(self, document: dict[str, Any]) -> None:
        """Add an invocation's response."""
        self.items += document["items"]
        self.written += document["written"]
        self.deleted += document["deleted"]
        self.cursor = document["cursor"]

    @property
    def is_complete(self) -> bool:
        """Whether the versions table is equal to the other table."""
        return self.stopped_by is None

    def progress(self) -> str:
        """Return the progress as text."""
        return (
            f"{counted(self.items, 'item')} compared, {self.written:,} written, "
            f"{self.deleted:,} deleted"
        )


class _Findings:
    """The sum of a rebuild's or a verification's results."""

    def __init__(self, action: str, cursor: str | None) -> None:
        """Begin with empty results."""
        self.action = action
        self.services = self.selectors = self.differences = 0
        self.listed: list[dict[str, Any]] = []
        self.failed: dict[str, str] = {}
        self.damaged: dict[str, str] = {}
        self.cursor = cursor
        self.stopped_by: Failure | None = None

    def add(self, document: dict[str, Any]) -> None:
        """Add an invocation's response."""
        self.services += document["services"]
        self.selectors += document["selectors"]
        self.differences += document["differences"]
        self.listed += document["listed"]
        self.failed |= document["failed"]
        self.damaged |= document.get("damaged", {})
        self.cursor = document["cursor"]

    @property
    def is_complete(self) -> bool:
        """Whether everything was compared."""
        return self.stopped_by is None and not self.failed

    def progress(self) -> str:
        """Return the progress as text."""
        return (
            f"{counted(self.services, 'service')}, {counted(self.selectors, 'selector')}, "
            f"{counted(self.differences, 'difference')}"
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
            "damaged": self.damaged,
            "cursor": self.cursor,
        }


def _run(tools: Tools, action: str, service: str | None, cursor: str | None) -> int:
    findings = _Findings(action, cursor)
    payload: dict[str, Any] = {"action": action}
    payload |= {"service": service} if service else {}
    payload |= {"cursor": cursor} if cursor else {}
    _work(tools, findings, _REBUILD_FUNCTION, payload)
    status = _report(tools, findings)
    if service and findings.is_complete:
        _note_unknown(tools, service)
    return status


def _note_unknown(tools: Tools, service: str) -> None:
    """Note that there is no such service: for a misspelt name, no difference is found."""
    from registry_client.errors import RegistryClientError

    # The caller may have the right to invoke the function, but not to call the registry.
    with suppress(RegistryClientError):
        if not tools.connection.registry().has_service(service):
            similar = tools.connection.similar_services(service)
            tools.output.note(f"Note: there is no service {service!r}; {similar}")


def _work(tools: Tools, work: _Work, function: str, payload: dict[str, Any]) -> None:
    """Invoke a function of the stack until all is done, with progress."""
    payload = {**payload, "seconds": _seconds()}
    with tools.output.progress() as show:
        show(f"{work.action}: {tools.connection.stack_name}")
        try:
            invoke = tools.connection.function(function)
            while True:
                document = invoke(payload)
                work.add(document)
                show(work.progress())
                if document["cursor"] is None:
                    return
                payload["cursor"] = document["cursor"]
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  # a bug is raised again
            work.stopped_by = _stopped_by(tools, error)


def _seconds() -> int:
    return _SECONDS_ON_A_TERMINAL if sys.stderr.isatty() else _SECONDS


def _stopped_by(tools: Tools, error: BaseException) -> Failure:
    if isinstance(error, KeyboardInterrupt):
        return Failure(
            what="interrupted; the function finishes its present step, within about "
            f"{_seconds()} seconds"
        )
    failure = failure_of(error, tools.connection) if isinstance(error, Exception) else None
    if failure is None:
        raise error
    return failure


def _report_restore(tools: Tools, restored: _RestoreTotals, findings: _Findings) -> int:
    is_complete = restored.is_complete and findings.is_complete
    if tools.output.is_json:
        tools.output.document(
            {
                "action": "restore",
                "from": restored.source,
                "complete": is_complete,
                "items": restored.items,
                "written": restored.written,
                "deleted": restored.deleted,
                "cursor": restored.cursor,
                "rebuild": findings.document() if restored.is_complete else None,
            }
        )
    else:
        if restored.is_complete or restored.items:
            tools.output.line(restored.progress())
        if restored.is_complete:
            tools.output.line(f"index: {findings.progress()}{_verdict(findings)}")
    if restored.stopped_by is not None:
        again = f"service-registry restore --from {shlex.quote(restored.source)}"
        _print_stop(tools, restored.stopped_by, f"continue with {again} --cursor", restored.cursor)
    _print_failed(tools, findings, "service-registry rebuild --cursor")
    return 0 if is_complete else FAILED


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
        if findings.is_complete or findings.services or findings.selectors:
            tools.output.line(findings.progress() + _verdict(findings))
    _print_failed(tools, findings, "continue with --cursor")
    is_well = findings.action == "rebuild" or not (findings.differences or findings.damaged)
    return 0 if findings.is_complete and is_well else FAILED


def _print_failed(tools: Tools, findings: _Findings, way_out: str) -> None:
    for service, reason in sorted(findings.failed.items()):
        tools.output.note(f"Error: {service} could not be compared: {reason}")
    for service, reason in sorted(findings.damaged.items()):
        tools.output.note(f"Warning: {service}: {reason}")
    if findings.stopped_by is not None:
        _print_stop(tools, findings.stopped_by, way_out, findings.cursor)


def _print_stop(tools: Tools, failure: Failure, continue_with: str, cursor: str | None) -> None:
    for line in failure.lines():
        tools.output.note(line)
    if cursor and failure.status != USAGE:
        tools.output.note(f"Way out: {continue_with} {cursor}")
    elif not failure.way_out:
        tools.output.note("Way out: run it again, from the beginning; that does no harm")


def _verdict(findings: _Findings) -> str:
    if not findings.is_complete:
        return "; not everything was compared"
    if findings.differences and findings.action == "rebuild":
        return "; all of them corrected"
    return ""


def _difference_row(difference: dict[str, Any]) -> tuple[str, str, str, str]:
    """Return the row of a difference, with only the attributes that differ."""
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
