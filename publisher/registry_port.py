"""The interface to the registry."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from publisher.properties import ServiceVersion
from registry_client.documents import VersionJson


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceWithEtag:
    """A service's channels.

    Attributes:
        etag: For `If-Match`; None if the service does not exist.
        channels: The version that each channel is set to.
    """

    etag: str | None
    channels: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionWithEtag:
    """A version's record.

    Attributes:
        etag: For `If-Match`.
        record: The record.
    """

    etag: str
    record: VersionJson


class RegistryPort(Protocol):
    """The calls to the registry. Each may raise a `RegistryClientError`.

    An absent service or version is None, not an error; deleting an absent one does nothing.
    """

    def service(self, name: str) -> ServiceWithEtag:
        """Return a service's channels."""

    def version(self, name: str, version: str) -> VersionWithEtag | None:
        """Return a version; None if it does not exist."""

    def publish(self, wanted: ServiceVersion, if_match: str | None) -> VersionJson:
        """Publish a version and set its channel, in one change; return its record."""

    def yank(self, seen: VersionWithEtag, reason: str) -> None:
        """Yank a version, even if a selector loses its last answer."""

    def delete(self, seen: VersionWithEtag) -> None:
        """Delete a version, even if a selector loses its last answer."""

    def set_channel(self, name: str, channel: str, version: str, if_match: str | None) -> None:
        """Set a channel."""

    def delete_channel(self, name: str, channel: str, if_match: str | None) -> None:
        """Delete a channel; `latest` becomes the highest active stable version again."""
