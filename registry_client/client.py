"""The registry's routes as methods, which return documents, and raise refusals as errors."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import quote

from registry_client.documents import (
    ConsumerJson,
    DryRunJson,
    EventJson,
    ResolutionJson,
    ServiceConsumerJson,
    ServiceJson,
    ServiceSummaryJson,
    VersionJson,
)
from registry_client.errors import RefusalError, UnexpectedResponseError
from registry_client.signed_http import RegistryResponse, SignedHttp

_PAGE = 100
_FIRST_REFUSAL = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedVersion:
    """The result of a successful publish.

    Attributes:
        record: The version's record.
        is_new: False if the same version was published already.
    """

    record: VersionJson
    is_new: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteOptions:
    """The options of a change.

    Attributes:
        force: Whether to make the change even if a selector or a consumer's need loses its answer.
        if_match: The ETag that the version (for its own changes) or the service must still have.
    """

    force: bool = False
    if_match: str | None = None

    def query(self) -> dict[str, str]:
        """Return the query parameters."""
        return {"force": "true"} if self.force else {}

    def headers(self) -> dict[str, str]:
        """Return the headers."""
        return {"If-Match": self.if_match} if self.if_match else {}


_PLAINLY = WriteOptions()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeRequest:
    """A change of a service, to pass to `RegistryClient.dry_run` and `change`.

    Attributes:
        method: The HTTP method.
        path: The path below the registry's address.
        document: The body, or None.
        etag_path: The path of the service or version with the ETag for `If-Match`.
    """

    method: str
    path: str
    document: dict[str, Any] | None
    etag_path: str


def service_path(name: str, *rest: str) -> str:
    """Return the path of a service, or a longer path that begins with it."""
    return "/services/" + "/".join(_segment(each) for each in (name, *rest))


def consumer_path(consumer: str) -> str:
    """Return the path of a consumer."""
    return "/consumers/" + _segment(consumer)


def _segment(text: str) -> str:
    # A path may have a colon unescaped (RFC 3986, section 3.3), as IAM policies write it. URL
    # libraries would remove a segment that is "." or "..".
    return quote(text, safe=":") if text.strip(".") else text.replace(".", "%2E") or "%20"


def publish_request(
    name: str,
    version: str,
    arn: str,
    *,
    metadata: Mapping[str, str] | None = None,
    channel: str | None = None,
) -> ChangeRequest:
    """Publish a version, by its path."""
    document: dict[str, Any] = {"arn": arn}
    if metadata:
        document["metadata"] = dict(metadata)
    if channel is not None:
        document["channel"] = channel
    path = service_path(name, "versions", version)
    return ChangeRequest(method="PUT", path=path, document=document, etag_path=service_path(name))


def yank_request(name: str, version: str, reason: str | None = None) -> ChangeRequest:
    """Yank a version."""
    document = {"status": "yanked"} | ({"reason": reason} if reason is not None else {})
    path = service_path(name, "versions", version)
    return ChangeRequest(method="PATCH", path=path, document=document, etag_path=path)


def activate_request(name: str, version: str) -> ChangeRequest:
    """Make a yanked version active again."""
    path = service_path(name, "versions", version)
    return ChangeRequest(method="PATCH", path=path, document={"status": "active"}, etag_path=path)


def delete_request(name: str, version: str) -> ChangeRequest:
    """Delete a version."""
    path = service_path(name, "versions", version)
    return ChangeRequest(method="DELETE", path=path, document=None, etag_path=path)


def set_channel_request(name: str, channel: str, version: str) -> ChangeRequest:
    """Set a channel to a version; `latest` pins."""
    path = service_path(name, "channels", channel)
    document = {"version": version}
    return ChangeRequest(method="PUT", path=path, document=document, etag_path=service_path(name))


def delete_channel_request(name: str, channel: str) -> ChangeRequest:
    """Delete a channel; `latest` becomes the highest active stable version again."""
    path = service_path(name, "channels", channel)
    return ChangeRequest(method="DELETE", path=path, document=None, etag_path=service_path(name))


class RegistryClient:
    """Calls the registry's routes.

    Every method may raise a `RegistryClientError`: `RefusalError` if the registry refuses,
    `RegistryUnreachableError` if it does not respond, `MissingCredentialsError` if there are no
    credentials, `UnexpectedResponseError` if the response is not one of the registry.
    """

    def __init__(self, http: SignedHttp, *, page_size: int = _PAGE) -> None:
        """Use *http* for every call, and read lists in pages of *page_size*."""
        self._http = http
        self._page_size = page_size

    @property
    def url(self) -> str:
        """The registry's address."""
        return self._http.url

    def services(self, prefix: str = "") -> Iterator[ServiceSummaryJson]:
        """Return every service whose name starts with *prefix*, by name."""
        return self._pages("/services", "services", {"prefix": prefix} if prefix else {})

    def service(self, name: str) -> ServiceJson:
        """Return a service."""
        return cast("ServiceJson", self._get(service_path(name)))

    def versions(self, name: str) -> Iterator[VersionJson]:
        """Return every version of a service, from the highest down."""
        return self._pages(service_path(name, "versions"), "versions")

    def version(self, name: str, version: str) -> VersionJson:
        """Return one version."""
        return cast("VersionJson", self._get(service_path(name, "versions", version)))

    def history(self, name: str) -> Iterator[EventJson]:
        """Return every change of a service, the newest first."""
        return self._pages(service_path(name, "history"), "events")

    def resolve(self, needed: str) -> ResolutionJson:
        """Return what a function with these needs would get."""
        response = self._call("POST", "/resolve", {"needed": needed})
        return cast("ResolutionJson", self._object(response, "POST", "/resolve"))

    def etag(self, path: str) -> str | None:
        """Return the ETag of a service or a version; None if it does not exist."""
        response = self._find(path)
        return None if response is None else response.headers.get("etag")

    def has_service(self, name: str) -> bool:
        """Return whether there is a service of this name."""
        return self._find(service_path(name)) is not None

    def _find(self, path: str) -> RegistryResponse | None:
        try:
            return self._call("GET", path)
        except RefusalError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            return None

    def publish(self, request: ChangeRequest, *, if_match: str | None = None) -> PublishedVersion:
        """Send the request of `publish_request`."""
        response = self._send(request, WriteOptions(if_match=if_match))
        record = cast("VersionJson", self._object(response, request.method, request.path))
        return PublishedVersion(record=record, is_new=response.status == HTTPStatus.CREATED)

    def change(
        self, request: ChangeRequest, how: WriteOptions = _PLAINLY
    ) -> Mapping[str, Any] | None:
        """Make a change; return the response's document, None if it has none."""
        response = self._send(request, how)
        if response.status == HTTPStatus.NO_CONTENT:
            return None
        return self._object(response, request.method, request.path)

    def dry_run(self, request: ChangeRequest, how: WriteOptions = _PLAINLY) -> DryRunJson:
        """Return what a change would do; nothing is changed."""
        response = self._send(request, how, {"dry_run": "true"})
        document = self._object(response, request.method, request.path)
        if "changes" not in document:
            # An older registry ignores the parameter, so it has made the change.
            raise UnexpectedResponseError(
                request.method, self.url + request.path, response.status, response.body
            )
        return cast("DryRunJson", document)

    def consumers(self, prefix: str = "") -> Iterator[ConsumerJson]:
        """Return every consumer whose name starts with *prefix*, by name."""
        return self._pages("/consumers", "consumers", {"prefix": prefix} if prefix else {})

    def service_consumers(self, name: str) -> Iterator[ServiceConsumerJson]:
        """Return every need for a service, by consumer."""
        return self._pages(service_path(name, "consumers"), "consumers")

    def consumer(self, consumer: str) -> ConsumerJson:
        """Return a consumer."""
        return cast("ConsumerJson", self._get(consumer_path(consumer)))

    def declare_consumer(
        self, consumer: str, needed: str, *, arn: str | None = None, owner: str | None = None
    ) -> ResolutionJson:
        """Record a consumer's needs; return what it would get."""
        document = {"needed": needed}
        document |= {"arn": arn} if arn is not None else {}
        document |= {"owner": owner} if owner is not None else {}
        path = consumer_path(consumer)
        response = self._call("PUT", path, document)
        return cast("ResolutionJson", self._object(response, "PUT", path))

    def forget_consumer(self, consumer: str) -> None:
        """Delete a consumer's record."""
        self._call("DELETE", consumer_path(consumer))

    def _get(self, path: str) -> Mapping[str, Any]:
        return self._object(self._call("GET", path), "GET", path)

    def _pages(
        self, path: str, member: str, query: Mapping[str, str] | None = None
    ) -> Iterator[Any]:
        wanted = {"limit": str(self._page_size), **(query or {})}
        while True:
            response = self._call("GET", path, query=wanted)
            page = self._object(response, "GET", path)
            if not isinstance(page.get(member), list):
                raise UnexpectedResponseError(
                    "GET", self.url + path, response.status, response.body
                )
            yield from page[member]
            if page.get("cursor") is None:
                return
            wanted["cursor"] = page["cursor"]

    def _send(
        self, request: ChangeRequest, how: WriteOptions, query: Mapping[str, str] | None = None
    ) -> RegistryResponse:
        return self._call(
            request.method,
            request.path,
            request.document,
            query={**how.query(), **(query or {})},
            headers=how.headers(),
        )

    def _call(
        self,
        method: str,
        path: str,
        document: object = None,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> RegistryResponse:
        response = self._http.send(method, path, document, query=query, headers=headers)
        if response.status < _FIRST_REFUSAL:
            return response
        if not isinstance(response.document, dict):
            raise UnexpectedResponseError(method, self.url + path, response.status, response.body)
        raise RefusalError(method, path, response.status, response.document)

    def _object(self, response: RegistryResponse, method: str, path: str) -> Mapping[str, Any]:
        if not isinstance(response.document, dict):
            raise UnexpectedResponseError(method, self.url + path, response.status, response.body)
        return response.document
