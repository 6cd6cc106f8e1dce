"""Publish a version for a resource, undo a publish, or remove a version; each can be repeated.

Each step reads, decides, and writes with `If-Match`: the write fails if the read state has changed.
Therefore a step with an unclear outcome can be repeated.
"""

from collections.abc import Callable
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import partial
from http import HTTPStatus
from typing import TypeVar

from publisher.decisions import (
    PublicationRequest,
    Removal,
    is_replaceable,
    is_undone_by_update,
    next_entry,
    roll_back_reason,
)
from publisher.ledger import Ledger, LedgerEntry
from publisher.properties import ServiceVersion, parse_physical_id
from publisher.registry_port import RegistryPort
from registry_client.documents import VersionJson
from registry_client.errors import RefusalError, RegistryUnreachableError

_T = TypeVar("_T")
_UNCLEAR = frozenset(
    {HTTPStatus.PRECONDITION_FAILED, HTTPStatus.BAD_GATEWAY, HTTPStatus.GATEWAY_TIMEOUT}
)
_MAX_ATTEMPTS = 20
_PAUSE_S = 0.5


class NameNotAllowedError(Exception):
    """The publisher may not publish this service."""

    def __init__(self, name: str, allowed: str) -> None:
        """Set the message: the name, and the pattern that it does not match."""
        super().__init__(
            f"this publisher may not change the service {name!r}: the parameter PublisherServices "
            f"of its stack allows {allowed!r}"
        )


class Publications:
    """Publishes versions for resources, and uses the ledger to undo that.

    Every method may raise a `RegistryClientError`, a `LedgerError`, a `NameNotAllowedError`, or an
    exception of the registry's `check_time`.
    """

    def __init__(
        self,
        registry: RegistryPort,
        ledger: Ledger,
        *,
        allowed_names: str,
        sleep: Callable[[float], None],
    ) -> None:
        """Set the parts.

        Args:
            registry: The registry.
            ledger: The ledger.
            allowed_names: A pattern with `*` and `?` for the services that may be changed.
            sleep: Waits for some seconds.
        """
        self._registry = registry
        self._ledger = ledger
        self._allowed_names = allowed_names
        self._sleep = sleep

    def begin(self, resource: str, request_id: str) -> None:
        """Record that a resource's previous request was successful, since a new one begins."""
        for entry in self._ledger.entries(resource):
            if entry.is_undoable and entry.request_id != request_id:
                self._ledger.write_entry(entry.settled())

    def publish(self, request: PublicationRequest, wanted: ServiceVersion) -> VersionJson:
        """Publish a version and set its channel; return its record."""
        self._check_name(wanted.name)
        return self._repeat(partial(self._publish_once, request, wanted))

    def present(self, physical_id: str) -> VersionJson | None:
        """Return the record of a version; None if it does not exist."""
        parsed = parse_physical_id(physical_id)
        seen = self._registry.version(*parsed) if parsed is not None else None
        return seen.record if seen is not None else None

    def undo(self, resource: str, physical_id: str, stack_name: str) -> list[str]:
        """Undo the last request's changes of a version; return what could not be undone."""
        entry = self._ledger.entry(resource, physical_id)
        return self._undo_entry(entry, stack_name, keep="") if entry is not None else []

    def undo_update(
        self, resource: str, target_id: str, failed_properties: str, stack_name: str
    ) -> list[str]:
        """Undo a failed update; return what could not be undone.

        Args:
            resource: The resource's key.
            target_id: The physical id that the roll-back returns to. It stays published.
            failed_properties: A digest of the failed update's properties.
            stack_name: The name of the stack.
        """
        notes = []
        for entry in self._ledger.entries(resource):
            if entry.is_undoable and is_undone_by_update(entry, target_id, failed_properties):
                notes += self._undo_entry(entry, stack_name, keep=target_id)
        return notes

    def remove(self, resource: str, physical_id: str, removal: Removal, reason: str) -> None:
        """Delete the channels that the resource had set; yank or delete the version.

        Args:
            resource: The resource's key.
            physical_id: The version, as `name@version`.
            removal: `YANK` or `DELETE`.
            reason: The reason of a yank.
        """
        parsed = parse_physical_id(physical_id)
        if parsed is None:
            return
        name, _ = parsed
        self._check_name(name)
        for entry in self._ledger.entries(resource):
            entry_name, _, version = entry.physical_id.rpartition("@")
            for channel in sorted(entry.channels) if entry_name == name else ():
                self._repeat(partial(self._delete_channel_once, name, channel, version))
        if removal is Removal.DELETE:
            self._repeat(partial(self._delete_once, parsed))
        else:
            self._repeat(partial(self._yank_once, parsed, None, reason))

    def forget(self, resource: str) -> None:
        """Delete the ledger's entries of a deleted resource.

        Entries of yanks by a roll-back are kept, so that the next stack with this name may publish
        the version again.
        """
        for entry in self._ledger.entries(resource):
            if not entry.was_rolled_back:
                self._ledger.delete_entry(entry)

    def _publish_once(self, request: PublicationRequest, wanted: ServiceVersion) -> VersionJson:
        # Read the service's ETag before the version: the publish fails after a change in between.
        service = self._registry.service(wanted.name) if wanted.channel is not None else None
        seen = self._registry.version(wanted.name, wanted.version)
        known = self._ledger.entry(request.resource, wanted.physical_id)
        if seen is not None and seen.record["status"] == "yanked":
            was_rolled_back = known is not None and known.was_rolled_back
            reason = seen.record.get("reason")
            if is_replaceable(reason, request.stack_name, was_rolled_back=was_rolled_back):
                self._registry.delete(seen)
                return self._publish_once(request, wanted)
        channels = service.channels if service is not None else {}
        entry = next_entry(request, wanted, known, channels, is_absent=seen is None)
        if entry != known:
            self._ledger.write_entry(entry)
        try:
            return self._registry.publish(wanted, service.etag if service is not None else None)
        except RefusalError as error:
            if error.status not in _UNCLEAR and (seen is None or not entry.was_absent):
                # Nothing was published, so there is nothing to undo.
                refused = replace(entry, channels=known.channels if known else frozenset())
                self._ledger.write_entry(refused.settled())
            raise

    def _undo_entry(self, entry: LedgerEntry, stack_name: str, *, keep: str) -> list[str]:
        version = parse_physical_id(entry.physical_id)
        if version is None or not entry.is_undoable:
            return []
        notes = []
        for channel, before in entry.channels_before.items():
            notes += self._try_step(partial(self._set_back, version, channel, before))
        is_yanked = False
        if entry.was_absent and entry.physical_id != keep:
            reason = roll_back_reason(stack_name)
            refused = self._try_step(partial(self._yank_once, version, entry.arn, reason))
            notes += refused
            is_yanked = not refused
        self._ledger.write_entry(entry.settled(was_rolled_back=is_yanked))
        return notes

    def _set_back(self, version: tuple[str, str], channel: str, before: str | None) -> None:
        name, set_to = version
        service = self._registry.service(name)
        if service.channels.get(channel) != set_to or before == set_to:
            return
        if before is None:
            self._registry.delete_channel(name, channel, service.etag)
            return
        try:
            self._registry.set_channel(name, channel, before, service.etag)
        except RefusalError as error:
            if error.status != HTTPStatus.CONFLICT:
                raise
            # The previous version has been yanked or deleted since, so the channel is deleted.
            self._registry.delete_channel(name, channel, service.etag)

    def _yank_once(self, version: tuple[str, str], arn: str | None, reason: str) -> None:
        seen = self._registry.version(*version)
        if seen is None or seen.record["status"] == "yanked":
            return
        if arn is None or seen.record["arn"] == arn:
            self._registry.yank(seen, reason)

    def _delete_once(self, version: tuple[str, str]) -> None:
        seen = self._registry.version(*version)
        if seen is not None:
            self._registry.delete(seen)

    def _delete_channel_once(self, name: str, channel: str, version: str) -> None:
        service = self._registry.service(name)
        if service.channels.get(channel) == version:
            self._registry.delete_channel(name, channel, service.etag)

    def _try_step(self, step: Callable[[], None]) -> list[str]:
        """Run a step of a roll-back; return the reason if the registry refuses it.

        Later changes by others are kept, and must not block the roll-back of a stack.
        """
        try:
            self._repeat(step)
        except RefusalError as error:
            if error.status != HTTPStatus.CONFLICT:
                raise
            return [str(error)]
        return []

    def _repeat(self, step: Callable[[], _T]) -> _T:
        """Run a step until its outcome is clear."""
        for _ in range(_MAX_ATTEMPTS):
            try:
                return step()
            except RefusalError as error:
                if error.status not in _UNCLEAR:
                    raise
            except RegistryUnreachableError as error:
                if not error.may_have_run:
                    raise
            self._sleep(_PAUSE_S)
        return step()

    def _check_name(self, name: str) -> None:
        if not fnmatchcase(name, self._allowed_names):
            raise NameNotAllowedError(name, self._allowed_names)
