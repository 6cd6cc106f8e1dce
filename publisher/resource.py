"""Handle the requests of a resource from its creation to its deletion."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from publisher.deadline import OutOfTimeError
from publisher.decisions import PublicationRequest, Removal, decide_removal
from publisher.events import RequestKind, StackRequest, TerraformRequest
from publisher.ledger import LedgerError, RequestResult
from publisher.operations import NameNotAllowedError, Publications
from publisher.properties import (
    PropertiesError,
    ServiceVersion,
    digest,
    parse_on_delete,
    parse_physical_id,
)
from publisher.stacks import Stacks, StackUnreadableError
from registry_client.documents import VersionJson
from registry_client.errors import RefusalError, RegistryClientError

# CloudFormation needs an id for a failed creation, too. It later sends a Delete with this id,
# which does nothing.
NOTHING_PUBLISHED = "nothing-published"
_NOTHING_DONE = "nothing was changed in the registry"

# Errors that a person can act on; any other error is a bug of the publisher.
EXPECTED_ERRORS = (
    PropertiesError,
    NameNotAllowedError,
    RegistryClientError,
    LedgerError,
    OutOfTimeError,
)


def describe_failure(error: Exception) -> str:
    """Return why a request failed, and what to do about it."""
    if isinstance(error, RefusalError):
        current = error.problem.get("current")
        if isinstance(current, dict) and "arn" in current:
            return f"{error} (it is published with {current['arn']})"
        if error.status == HTTPStatus.FORBIDDEN:
            return f"the publisher may not call {error.method} {error.path}: {error}"
        if error.is_throttled:
            return f"the registry is throttled or unreachable: {error}; deploy again in a moment"
    return str(error)


def physical_id_of(request: StackRequest) -> str:
    """Return the id of a request that failed.

    A failed creation may have published the version. With its id, the Delete can undo that.
    """
    if request.kind is not RequestKind.CREATE:
        return request.physical_id or NOTHING_PUBLISHED
    try:
        return ServiceVersion.parse(request.properties).physical_id
    except PropertiesError:
        return NOTHING_PUBLISHED


@dataclass(frozen=True, slots=True, kw_only=True)
class StackResources:
    """Handles CloudFormation's requests.

    Attributes:
        publications: Publishes and undoes publishes.
        stacks: Reads the states of stacks.
    """

    publications: Publications
    stacks: Stacks

    def handle(self, request: StackRequest) -> RequestResult:
        """Handle a request.

        Raises:
            PropertiesError, NameNotAllowedError, RegistryClientError, LedgerError, OutOfTimeError:
                It failed, for a reason that a person can act on.
        """
        if request.kind is RequestKind.DELETE:
            return self._delete(request)
        if request.kind is RequestKind.UPDATE:
            try:
                if self.stacks.state(request.resource).is_rolling_back:
                    return self._roll_back(request)
            except StackUnreadableError:
                # The Delete at the end of the roll-back undoes the rest, if it can read the state.
                return self._publish(request)
        self.publications.begin(request.resource.key, request.request_id)
        return self._publish(request)

    def _publish(self, request: StackRequest) -> RequestResult:
        wanted = ServiceVersion.parse(request.properties)
        publication = PublicationRequest(
            resource=request.resource.key,
            request_id=request.request_id,
            properties=digest(request.properties),
            stack_name=request.resource.stack_name,
        )
        record = self.publications.publish(publication, wanted)
        notes = []
        if record["status"] == "yanked":
            reason = record.get("reason") or "no reason is given"
            notes.append(f"the version stays yanked ({reason}): unyank it, or publish another one")
        return _done(wanted.physical_id, data=attributes(record), notes=notes)

    def _roll_back(self, request: StackRequest) -> RequestResult:
        """Undo a failed update; the version before the update is still published."""
        try:
            target = ServiceVersion.parse(request.properties)
        except PropertiesError:
            return _done(request.physical_id)
        notes = self.publications.undo_update(
            request.resource.key,
            target.physical_id,
            digest(request.old_properties),
            request.resource.stack_name,
        )
        record = self.publications.present(target.physical_id)
        absent = {"Version": target.version, "Arn": target.arn, "Revision": "0"}
        data = attributes(record) if record is not None else absent
        return _done(target.physical_id, data=data, notes=notes)

    def _delete(self, request: StackRequest) -> RequestResult:
        if parse_physical_id(request.physical_id) is None:
            return _done(request.physical_id or NOTHING_PUBLISHED)
        resource, physical_id = request.resource, request.physical_id
        try:
            removal = self._removal(request)
        except StackUnreadableError as error:
            return _done(physical_id, notes=[f"{error}; {_NOTHING_DONE}"])
        if removal is Removal.UNDO:
            notes = self.publications.undo(resource.key, physical_id, resource.stack_name)
            return _done(physical_id, notes=notes)
        if removal in {Removal.YANK, Removal.DELETE}:
            reason = f"deleted with the stack {resource.stack_name}"
            self.publications.remove(resource.key, physical_id, removal, reason)
        if removal is not Removal.CLEAN_UP:
            self.publications.forget(resource.key)
        return _done(physical_id)

    def _removal(self, request: StackRequest) -> Removal:
        is_rolling_back = self.stacks.state(request.resource).is_rolling_back
        present_id = None if is_rolling_back else self.stacks.present_id(request.resource)
        return decide_removal(
            parse_on_delete(request.properties),
            request.physical_id,
            is_rolling_back=is_rolling_back,
            present_id=present_id,
        )


def handle_terraform(
    request: TerraformRequest, request_id: str, publications: Publications
) -> dict[str, Any]:
    """Handle an invocation by Terraform, and return its result.

    Terraform has no roll-back, and its destroy always removes the resource.

    Raises:
        PropertiesError, NameNotAllowedError, RegistryClientError, LedgerError, OutOfTimeError: It
            failed, for a reason that a person can act on.
    """
    wanted = ServiceVersion.parse(request.properties)
    # Terraform sends no name of the resource: the service and the channel identify the resource.
    key = f"terraform#{wanted.name}#{wanted.channel or ''}"
    if request.kind is not RequestKind.DELETE:
        publications.begin(key, request_id)
        publication = PublicationRequest(
            resource=key,
            request_id=request_id,
            properties=digest(request.properties),
            stack_name="terraform",
        )
        record = publications.publish(publication, wanted)
        return {"PhysicalResourceId": wanted.physical_id, **attributes(record)}
    removal = decide_removal(
        wanted.on_delete, wanted.physical_id, is_rolling_back=False, present_id=None
    )
    if removal in {Removal.YANK, Removal.DELETE}:
        publications.remove(key, wanted.physical_id, removal, "destroyed by Terraform")
    publications.forget(key)
    return {"PhysicalResourceId": wanted.physical_id}


def attributes(record: VersionJson) -> dict[str, str]:
    """Return the values of `Fn::GetAtt`."""
    return {
        "Version": record["version"],
        "Arn": record["arn"],
        "Revision": str(record["revision"]),
    }


def _done(
    physical_id: str, *, data: Mapping[str, str] | None = None, notes: list[str] | None = None
) -> RequestResult:
    return RequestResult(
        is_success=True, physical_id=physical_id, reason="; ".join(notes or []), data=data or {}
    )
