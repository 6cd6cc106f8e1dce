"""The routes: each one parses a request, calls an operation and returns a response."""

import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response

from registry_api import documents, entity_tags, schemas
from registry_api.consumer_routes import ConsumerRoutes
from registry_api.consumers import Consumers
from registry_api.operations import Registry
from registry_api.problems import ProblemError, invalid
from registry_api.refusal_statuses import PROBLEMS, problem_of
from registry_api.requests import GatewayRequest, channel_in, service_in, version_in
from registry_api.resolution import NeedsResolver
from registry_api.responses import (
    empty_response,
    json_response,
    page_response,
    position_in,
    resolution_response,
)
from registry_api.route_table import ROUTES
from registry_api.values import Publication, PublishOutcome, WriteTerms
from registry_model import needs
from registry_model.version import Version
from registry_tables.records import Status, VersionRecord

Count = Callable[[str], None]

# The statuses of malformed requests.
_REJECTED = {
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
}


class Routes:
    """The API's routes over one registry."""

    def __init__(
        self, registry: Registry, consumers: Consumers, resolver: NeedsResolver, count: Count
    ) -> None:
        """Use the operations, the resolver of needs, and a function that counts a metric."""
        self._registry = registry
        self._resolver = resolver
        self._count = count
        self._app = APIGatewayRestResolver()
        handlers: Mapping[str, Callable[..., Response[str]]] = {
            "publish": self._publish,
            "listServices": self._services,
            "getService": self._service,
            "listVersions": self._versions,
            "getVersion": self._version,
            "publishVersion": self._publish_version,
            "setStatus": self._set_status,
            "deleteVersion": self._delete,
            "setChannel": self._set_channel,
            "deleteChannel": self._delete_channel,
            "resolve": self._resolve,
            "listHistory": self._history,
            "resolveNeeds": self._resolve_needs,
            "describe": self._describe,
            **ConsumerRoutes(registry, consumers, lambda: self._request).handlers(),
        }
        for entry in ROUTES:
            path = entry.path.replace("{", "<").replace("}", ">")
            self._app.route(path, method=entry.method)(handlers[entry.name])
        self._app.not_found(self._not_found)
        self._app.exception_handler([ProblemError, *PROBLEMS])(self._refuse)

    def respond(self, event: dict[str, Any], context: Any) -> dict[str, Any]:  # noqa: ANN401  # Lambda's
        """Return the response to one event of API Gateway."""
        path = GatewayRequest(event).path
        # Powertools' patterns ignore a trailing line feed; no route has one.
        return self._app.resolve({**event, "path": path if path.isprintable() else ""}, context)

    @property
    def _request(self) -> GatewayRequest:
        return GatewayRequest(self._app.current_event.raw_event)

    def _publish(self) -> Response[str]:
        flags = self._request.write_flags()
        wanted = self._request.parsed(schemas.PublishRequest).to_publication()
        # Relative to the request's own URL, so it is correct for any stage or base path.
        location = f"services/{wanted.name}/versions/{wanted.version}"
        return self._published(wanted, location, is_dry_run=flags.dry_run)

    def _publish_version(self, name: str, version: str) -> Response[str]:
        at = service_in(name), version_in(name, version)
        flags = self._request.write_flags()
        wanted = self._request.parsed(schemas.PublishVersionRequest).to_publication(*at)
        return self._published(wanted, str(wanted.version), is_dry_run=flags.dry_run)

    def _published(self, wanted: Publication, location: str, *, is_dry_run: bool) -> Response[str]:
        caller, terms = self._request.caller(), self._terms(entity_tags.service_tag)

        def publish(registry: Registry) -> tuple[PublishOutcome, VersionRecord]:
            return registry.publish(wanted, caller, terms)

        if is_dry_run:
            return self._dry_run_response(publish)
        outcome, record = publish(self._registry)
        if outcome is PublishOutcome.REPEATED:
            return _version_response(HTTPStatus.OK, record)
        self._count("Publishes")
        # A path that ends in a slash is one segment deeper.
        up = "../" if self._request.path.endswith("/") else ""
        return _version_response(HTTPStatus.CREATED, record, {"Location": up + location})

    def _services(self) -> Response[str]:
        prefix = self._request.query("prefix") or ""
        scope = f"services/{prefix}"
        paging = self._request.paging(scope)
        after = None
        if paging.after is not None:
            after = position_in(lambda text: _service_name(text, prefix), paging.after)
        page = self._registry.services(prefix, limit=paging.limit, after=after)
        entries = ((view.service.name, documents.summary_document(view)) for view in page.items)
        return page_response("services", scope, entries, page.last)

    def _service(self, name: str) -> Response[str]:
        view = self._registry.service(service_in(name))
        tag = entity_tags.service_tag(view.service.revision)
        return self._unless_not_modified(tag, lambda: documents.service_document(view))

    def _versions(self, name: str) -> Response[str]:
        scope = f"versions/{service_in(name)}"
        paging = self._request.paging(scope)
        after = None if paging.after is None else position_in(Version.parse, paging.after)
        page = self._registry.versions(name, limit=paging.limit, after=after)
        entries = ((str(each.version), documents.version_document(each)) for each in page.items)
        return page_response("versions", scope, entries, page.last)

    def _version(self, name: str, version: str) -> Response[str]:
        record = self._registry.version(service_in(name), version_in(name, version))
        tag = entity_tags.version_tag(record.revision)
        return self._unless_not_modified(tag, lambda: documents.version_document(record))

    def _set_status(self, name: str, version: str) -> Response[str]:
        at = service_in(name), version_in(name, version)
        flags = self._request.write_flags()
        wanted = self._request.parsed(schemas.StatusRequest)
        caller = self._request.caller()
        terms = self._terms(entity_tags.version_tag, passes_guard=flags.force)

        def set_status(registry: Registry) -> VersionRecord:
            if wanted.status is Status.YANKED:
                return registry.yank(*at, wanted.reason_given(), caller, terms)
            return registry.activate(*at, caller, terms)

        if flags.dry_run:
            return self._dry_run_response(set_status)
        return _version_response(HTTPStatus.OK, set_status(self._registry))

    def _delete(self, name: str, version: str) -> Response[str]:
        at = service_in(name), version_in(name, version)
        flags = self._request.write_flags()
        caller = self._request.caller()
        terms = self._terms(entity_tags.version_tag, passes_guard=flags.force)

        def delete(registry: Registry) -> None:
            registry.delete(*at, caller, terms)

        if flags.dry_run:
            return self._dry_run_response(delete)
        delete(self._registry)
        return empty_response(HTTPStatus.NO_CONTENT)

    def _set_channel(self, name: str, channel: str) -> Response[str]:
        at = service_in(name), channel_in(name, channel)
        flags = self._request.write_flags()
        version = Version.parse(self._request.parsed(schemas.ChannelRequest).version)
        caller, terms = self._request.caller(), self._terms(entity_tags.service_tag)

        def set_channel(registry: Registry) -> None:
            registry.set_channel(*at, version, caller, terms)

        if flags.dry_run:
            return self._dry_run_response(set_channel)
        set_channel(self._registry)
        return json_response(HTTPStatus.OK, documents.channel_document(channel, version))

    def _delete_channel(self, name: str, channel: str) -> Response[str]:
        at = service_in(name), channel_in(name, channel)
        flags = self._request.write_flags()
        caller, terms = self._request.caller(), self._terms(entity_tags.service_tag)

        def delete_channel(registry: Registry) -> None:
            registry.delete_channel(*at, caller, terms)

        if flags.dry_run:
            return self._dry_run_response(delete_channel)
        delete_channel(self._registry)
        return empty_response(HTTPStatus.NO_CONTENT)

    def _resolve(self, name: str) -> Response[str]:
        service_in(name)
        try:
            selector = needs.parse_selector(self._request.query("selector") or "")
        except needs.SelectorError as error:
            raise invalid([{"pointer": "/selector", "detail": str(error)}]) from error
        member = self._resolver.resolve_one(name, selector)
        return json_response(HTTPStatus.OK, documents.member_document(member))

    def _resolve_needs(self) -> Response[str]:
        wanted = needs.parse_needs(self._request.parsed(schemas.ResolveRequest).needed)
        return resolution_response(self._resolver.resolve(wanted))

    def _history(self, name: str) -> Response[str]:
        scope = f"history/{service_in(name)}"
        paging = self._request.paging(scope)
        before = None if paging.after is None else position_in(_revision, paging.after)
        page = self._registry.history(name, limit=paging.limit, before=before)
        entries = ((str(each.revision), documents.event_document(each)) for each in page.items)
        return page_response("events", scope, entries, page.last)

    def _describe(self) -> Response[str]:
        # Imported on first use, to keep the cold starts of publishes short.
        from registry_api import openapi  # noqa: PLC0415

        return json_response(HTTPStatus.OK, openapi.document(self._request.base_url()))

    def _terms(self, tag_of: Callable[[int], str], *, passes_guard: bool = False) -> WriteTerms:
        """Return the terms of a write: the guard, and If-Match if the client sends it."""
        condition = self._request.header("if-match")
        if condition is None:
            return WriteTerms(passes_guard=passes_guard)

        def accepts(revision: int | None) -> bool:
            tag = None if revision is None else tag_of(revision)
            return entity_tags.matches_strongly(condition, tag)

        return WriteTerms(passes_guard=passes_guard, accepts=accepts)

    def _dry_run_response(self, write: Callable[[Registry], object]) -> Response[str]:
        """Return what a write would change."""
        return json_response(
            HTTPStatus.OK, documents.impact_document(self._registry.dry_run(write))
        )

    def _unless_not_modified(self, tag: str, document: Callable[[], object]) -> Response[str]:
        """Return a document with its entity tag; a 304 if If-None-Match has that tag."""
        condition = self._request.header("if-none-match")
        if condition is not None and entity_tags.matches_weakly(condition, tag):
            return empty_response(HTTPStatus.NOT_MODIFIED, {"ETag": tag})
        return json_response(HTTPStatus.OK, document(), {"ETag": tag})

    def _not_found(self, _error: Exception) -> Response[str]:
        request = self._request
        methods = [entry.method for entry in ROUTES if _is_path(entry.path, request.path)]
        # Powertools finds no route for paths with some characters; they are 404s like any other.
        if methods and request.method not in methods:
            allowed = ", ".join(methods)
            detail = f"this path allows {allowed}, not {request.method}"
            problem = ProblemError(
                HTTPStatus.METHOD_NOT_ALLOWED, detail, headers={"Allow": allowed}
            )
            return problem.to_response()
        return ProblemError(HTTPStatus.NOT_FOUND, "there is no such path").to_response()

    def _refuse(self, error: Exception) -> Response[str]:
        problem = problem_of(error)
        if problem.status is HTTPStatus.CONFLICT:
            self._count("Conflicts")
        elif problem.status in _REJECTED:
            self._count("RejectedRequests")
        return problem.to_response()


def _is_path(template: str, path: str) -> bool:
    pattern = re.sub("{[a-z]+}", "[^/]+", template)
    return path.isprintable() and re.fullmatch(pattern, path) is not None


def _version_response(
    status: HTTPStatus, record: VersionRecord, headers: dict[str, str] | None = None
) -> Response[str]:
    """Return a version's record, with its entity tag for If-Match."""
    tag = {"ETag": entity_tags.version_tag(record.revision)}
    return json_response(status, documents.version_document(record), tag | (headers or {}))


def _service_name(text: str, prefix: str) -> str:
    # DynamoDB rejects a start key that does not begin with the prefix.
    fault = needs.name_fault(text) or (None if text.startswith(prefix) else "not of this list")
    if fault:
        raise ValueError(fault)
    return text


def _revision(text: str) -> int:
    if not re.fullmatch("[1-9][0-9]{0,17}", text):
        message = "a revision is a number of 1 to 18 digits"
        raise ValueError(message)
    return int(text)
