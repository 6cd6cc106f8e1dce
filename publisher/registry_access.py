"""Calls the registry's HTTP API: returns None for a 404, and sends nothing when no time is left."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus

from publisher.properties import ServiceVersion
from publisher.registry_port import ServiceWithEtag, VersionWithEtag
from registry_client.client import (
    RegistryClient,
    WriteOptions,
    delete_channel_request,
    delete_request,
    publish_request,
    service_path,
    set_channel_request,
    yank_request,
)
from registry_client.documents import VersionJson
from registry_client.errors import RefusalError


@contextmanager
def _absence_is_fine() -> Iterator[None]:
    try:
        yield
    except RefusalError as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise


class RegistryAccess:
    """Implements `RegistryPort` with a client. Every method may raise `check_time`'s exceptions."""

    def __init__(self, client: RegistryClient, check_time: Callable[[], None]) -> None:
        """Set the parts."""
        self._client = client
        self._check_time = check_time

    def service(self, name: str) -> ServiceWithEtag:
        """Return a service's channels."""
        self._check_time()
        # Read the ETag first, so that a change between the two reads fails the write with 412.
        etag = self._client.etag(service_path(name))
        if etag is not None:
            with _absence_is_fine():
                return ServiceWithEtag(etag=etag, channels=self._client.service(name)["channels"])
        return ServiceWithEtag(etag=None, channels={})

    def version(self, name: str, version: str) -> VersionWithEtag | None:
        """Return a version; None if it does not exist."""
        self._check_time()
        etag = self._client.etag(service_path(name, "versions", version))
        if etag is not None:
            with _absence_is_fine():
                return VersionWithEtag(etag=etag, record=self._client.version(name, version))
        return None

    def publish(self, wanted: ServiceVersion, if_match: str | None) -> VersionJson:
        """Publish a version and set its channel, in one change; return its record."""
        self._check_time()
        request = publish_request(
            wanted.name,
            wanted.version,
            wanted.arn,
            metadata=wanted.metadata,
            channel=wanted.channel,
        )
        return self._client.publish(request, if_match=if_match).record

    def yank(self, seen: VersionWithEtag, reason: str) -> None:
        """Yank a version, even if a selector loses its last answer."""
        self._check_time()
        request = yank_request(seen.record["name"], seen.record["version"], reason)
        self._client.change(request, WriteOptions(force=True, if_match=seen.etag))

    def delete(self, seen: VersionWithEtag) -> None:
        """Delete a version, even if a selector loses its last answer."""
        self._check_time()
        request = delete_request(seen.record["name"], seen.record["version"])
        with _absence_is_fine():
            self._client.change(request, WriteOptions(force=True, if_match=seen.etag))

    def set_channel(self, name: str, channel: str, version: str, if_match: str | None) -> None:
        """Set a channel."""
        self._check_time()
        request = set_channel_request(name, channel, version)
        self._client.change(request, WriteOptions(if_match=if_match))

    def delete_channel(self, name: str, channel: str, if_match: str | None) -> None:
        """Delete a channel; `latest` becomes the highest active stable version again."""
        self._check_time()
        request = delete_channel_request(name, channel)
        with _absence_is_fine():
            self._client.change(request, WriteOptions(if_match=if_match))
