"""The rules of a change: the service's state after it, and the reasons to refuse it. No I/O."""

from dataclasses import replace

from registry_api.refusals import ConflictError, InvalidError, UnknownError
from registry_api.values import ServiceView
from registry_model.needs import LATEST
from registry_model.version import Version
from registry_tables.records import HistoryEvent, ServiceRecord, Status, VersionRecord

MAX_CHANNELS = 100
MAX_METADATA_BYTES = 2_048


def at_event(event: HistoryEvent, service: ServiceRecord) -> ServiceRecord:
    """Return a service with the revision and the time of a change."""
    return replace(service, revision=event.revision, updated_at=event.at)


def with_version(
    service: ServiceRecord | None, event: HistoryEvent, record: VersionRecord
) -> ServiceRecord:
    """Return a service, or a new one, after a change that publishes or activates a version."""
    before = service or ServiceRecord(
        name=record.name, revision=0, created_at=event.at, updated_at=event.at
    )
    highest = before.highest
    if record.is_answer and (highest is None or record.version > highest):
        highest = record.version
    return replace(at_event(event, before), highest=highest)


def is_half_done(service: ServiceRecord, record: VersionRecord) -> bool:
    """Return whether a version's last change is not yet in its service.

    The change may still be being written. Then the commit that tries to complete it fails with a
    `RaceLostError`.
    """
    return record.revision > service.revision


def is_whole(view: ServiceView) -> bool:
    """Return whether a service's item matches its latest version."""
    if view.service.latest is None:
        return True
    return view.latest is not None and not is_half_done(view.service, view.latest)


def check_metadata(metadata: dict[str, str]) -> None:
    """Check the size of a new version's metadata.

    Raises:
        InvalidError: It is too large.
    """
    size = sum(len(text.encode()) for entry in metadata.items() for text in entry)
    if size > MAX_METADATA_BYTES:
        message = (
            f"names and values have {size:,} bytes in UTF-8; at most {MAX_METADATA_BYTES:,} "
            "are allowed"
        )
        raise InvalidError("/metadata", message)


def no_service(name: str) -> UnknownError:
    """Return the refusal of an unknown service."""
    message = f"there is no service '{name}'; it exists from its first publish on"
    return UnknownError(message)


def no_version(name: str, version: Version) -> UnknownError:
    """Return the refusal of an unknown version."""
    message = f"service '{name}' has no version {version}"
    return UnknownError(message)


def check_no_channel_points_at(service: ServiceRecord, version: Version) -> None:
    """Check that no channel points at a version that is to be yanked or deleted.

    Raises:
        ConflictError: A channel points at it.
    """
    pointing = sorted(each for each in service.channels if service.channels[each] == version)
    if pointing:
        named = ", ".join(f"'{channel}'" for channel in pointing)
        plural = len(pointing) > 1
        message = (
            f"the channel{'s' if plural else ''} {named} point{'' if plural else 's'} at "
            f"version {version}; set {'them' if plural else 'it'} to another version, or delete "
            f"{'them' if plural else 'it'}, first"
        )
        raise ConflictError(message)


def with_channel(service: ServiceRecord, channel: str, record: VersionRecord) -> dict[str, Version]:
    """Return the service's channels, with *channel* set to a version.

    Raises:
        ConflictError: The channel may not point at the version.
    """
    if record.status is Status.YANKED:
        message = f"version {record.version} is yanked; no channel may point at it"
        raise ConflictError(message, record)
    if channel == LATEST and not record.version.is_stable:
        message = (
            f"'latest' is for stable versions, and {record.version} is a pre-release; "
            "choose another channel"
        )
        raise ConflictError(message)
    if channel not in service.channels and len(service.channels) >= MAX_CHANNELS:
        message = f"a service has at most {MAX_CHANNELS} channels; delete one first"
        raise ConflictError(message)
    return {**service.channels, channel: record.version}
