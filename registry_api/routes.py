"""HTTP in, HTTP out: each route parses a request, calls an operation and spells its result."""

import json
import re
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any, TypeVar

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from pydantic import BaseModel, ValidationError

from registry_api import cursors, schemas
from registry_api.dry_run import DryRun
from registry_api.operations import (
    BusyError,
    ConflictError,
    PublishOutcome,
    Registry,
    UnknownError,
)
from registry_api.problems import ProblemError, invalid, try_again
from registry_api.requests import Request, channel_in, service_in, version_in
from registry_model import needs
from registry_model.version import Version
from registry_tables.errors import FullError, ThrottledError, UnreachableError
from registry_tables.records import Status

# Lambda's answers have at most 6 MB, API Gateway's envelope and its escapes included.
MAX_ANSWER = 2_500_000

Count = Callable[[str], None]
_Model = TypeVar("_Model", bound=BaseModel)


class Routes:
    """The API's routes over one registry."""

    def __init__(self, registry: Registry, dry_run: DryRun, count: Count) -> None:
        """Take the operations, the resolve of needs, and what counts a named metric."""
        self._registry = registry
        self._dry_run = dry_run
        self._count = count
        self.app = APIGatewayRestResolver()
        self.methods: dict[str, list[str]] = {}
        self._route("POST", "/services", self._publish)
        self._route("GET", "/services", self._services)
        self._route("GET", "/services/<name>", self._service)
        self._route("GET", "/services/<name>/versions", self._versions)
        self._route("GET", "/services/<name>/versions/<version>", self._version)
        self._route("PATCH", "/services/<name>/versions/<version>", self._set_status)
        self._route("DELETE", "/services/<name>/versions/<version>", self._delete)
        self._route("PUT", "/services/<name>/channels/<channel>", self._set_channel)
        self._route("DELETE", "/services/<name>/channels/<channel>", self._delete_channel)
        self._route("GET", "/services/<name>/resolve", self._resolve)
        self._route("GET", "/services/<name>/history", self._history)
        self._route("POST", "/resolve", self._resolve_needs)
        self._route("GET", "/openapi.json", self._openapi)
        self.app.not_found(self._not_found)
        self.app.exception_handler(ProblemError)(self._refused)
        self.app.exception_handler(UnknownError)(_unknown)
        self.app.exception_handler(ConflictError)(self._conflict)
        self.app.exception_handler(FullError)(self._full)
        self.app.exception_handler(BusyError)(_busy)
        self.app.exception_handler(ThrottledError)(_throttled)
        self.app.exception_handler(UnreachableError)(_unreachable)

    def _route(self, method: str, path: str, answer: Callable[..., Response[str]]) -> None:
        self.app.route(path, method=method)(answer)
        self.methods.setdefault(path, []).append(method)

    @property
    def _request(self) -> Request:
        return Request(self.app.current_event.raw_event)

    def _publish(self) -> Response[str]:
        wanted = self._parsed(schemas.PublishRequest).to_publication()
        outcome, record = self._registry.publish(wanted, self._request.caller())
        if outcome is PublishOutcome.REPEATED:
            return _json(HTTPStatus.OK, schemas.version_document(record))
        self._count("Publishes")
        location = f"/services/{record.name}/versions/{record.version}"
        return _json(HTTPStatus.CREATED, schemas.version_document(record), {"Location": location})

    def _services(self) -> Response[str]:
        prefix = self._request.query("prefix") or ""
        scope = f"services/{prefix}"
        paging = self._request.paging(scope)
        after = None
        if paging.after is not None:
            after = _position(lambda text: _service_name(text, prefix), paging.after)
        page = self._registry.services(prefix, limit=paging.limit, after=after)
        entries = ((view.service.name, schemas.summary_document(view)) for view in page.items)
        return _page("services", scope, entries, has_more=page.last is not None)

    def _service(self, name: str) -> Response[str]:
        view = self._registry.service(service_in(name))
        return _json(HTTPStatus.OK, schemas.service_document(view))

    def _versions(self, name: str) -> Response[str]:
        scope = f"versions/{service_in(name)}"
        paging = self._request.paging(scope)
        after = None if paging.after is None else _position(Version.parse, paging.after)
        page = self._registry.versions(name, limit=paging.limit, after=after)
        entries = ((str(each.version), schemas.version_document(each)) for each in page.items)
        return _page("versions", scope, entries, has_more=page.last is not None)

    def _version(self, name: str, version: str) -> Response[str]:
        record = self._registry.version(service_in(name), version_in(name, version))
        etag = f'"{record.revision}"'
        if _matches(self._request.header("if-none-match"), etag):
            return _empty(HTTPStatus.NOT_MODIFIED, {"ETag": etag})
        return _json(HTTPStatus.OK, schemas.version_document(record), {"ETag": etag})

    def _set_status(self, name: str, version: str) -> Response[str]:
        at = service_in(name), version_in(name, version)
        wanted = self._parsed(schemas.StatusRequest)
        caller = self._request.caller()
        if wanted.status is Status.YANKED:
            record = self._registry.yank(*at, wanted.reason_given(), caller)
        else:
            record = self._registry.activate(*at, caller)
        return _json(HTTPStatus.OK, schemas.version_document(record))

    def _delete(self, name: str, version: str) -> Response[str]:
        at = service_in(name), version_in(name, version)
        self._registry.delete(*at, self._request.caller())
        return _empty(HTTPStatus.NO_CONTENT)

    def _set_channel(self, name: str, channel: str) -> Response[str]:
        at = service_in(name), channel_in(name, channel)
        version = Version.parse(self._parsed(schemas.ChannelRequest).version)
        self._registry.set_channel(*at, version, self._request.caller())
        return _json(HTTPStatus.OK, schemas.channel_document(channel, version))

    def _delete_channel(self, name: str, channel: str) -> Response[str]:
        at = service_in(name), channel_in(name, channel)
        self._registry.delete_channel(*at, self._request.caller())
        return _empty(HTTPStatus.NO_CONTENT)

    def _resolve(self, name: str) -> Response[str]:
        service_in(name)
        try:
            selector = needs.parse_selector(self._request.query("selector") or "")
        except needs.SelectorError as error:
            raise invalid([{"pointer": "/selector", "detail": str(error)}]) from error
        member = self._dry_run.resolve_one(name, selector)
        return _json(HTTPStatus.OK, schemas.member_document(member))

    def _resolve_needs(self) -> Response[str]:
        wanted = needs.parse_needs(self._parsed(schemas.ResolveRequest).needed)
        texts: list[str] = []
        left = MAX_ANSWER
        resolved = True
        for key, member in self._dry_run.resolve(wanted):
            resolved = resolved and member.is_resolved
            text = f"{json.dumps(key)}: {json.dumps(schemas.member_document(member))}"
            left -= len(text)
            if left < 0:
                detail = f"the answers come to over {MAX_ANSWER:,} bytes; ask for fewer at once"
                raise invalid([{"pointer": "/needed", "detail": detail}])
            texts.append(text)
        body = f'{{"services": {{{", ".join(texts)}}}, "resolved": {json.dumps(resolved)}}}'
        return _text(HTTPStatus.OK, body)

    def _history(self, name: str) -> Response[str]:
        scope = f"history/{service_in(name)}"
        paging = self._request.paging(scope)
        before = None if paging.after is None else _position(_revision, paging.after)
        page = self._registry.history(name, limit=paging.limit, before=before)
        entries = ((str(each.revision), schemas.event_document(each)) for each in page.items)
        return _page("events", scope, entries, has_more=page.last is not None)

    def _openapi(self) -> Response[str]:
        # Whoever publishes does not wait for what describes it.
        from registry_api import openapi  # noqa: PLC0415

        return _json(HTTPStatus.OK, openapi.document(self._request.base_url()))

    def _parsed(self, model: type[_Model]) -> _Model:
        try:
            return model.model_validate(self._request.body())
        except ValidationError as error:
            raise invalid(schemas.faults_of(error)) from error

    def _not_found(self, _error: Exception) -> Response[str]:
        request = self._request
        for path, methods in self.methods.items():
            # Powertools finds no route for some characters; a path with them names nothing.
            pattern = re.sub("<[a-z]+>", "[^/]+", path)
            if request.method not in methods and re.fullmatch(pattern, request.path):
                allowed = ", ".join(methods)
                detail = f"this path takes {allowed} and no {request.method}"
                problem = ProblemError(
                    HTTPStatus.METHOD_NOT_ALLOWED, detail, headers={"Allow": allowed}
                )
                return problem.to_response()
        return ProblemError(HTTPStatus.NOT_FOUND, "there is no such path").to_response()

    def _refused(self, problem: ProblemError) -> Response[str]:
        self._count("RejectedRequests")
        return problem.to_response()

    def _conflict(self, error: ConflictError) -> Response[str]:
        self._count("Conflicts")
        current = {"current": schemas.version_document(error.current)} if error.current else {}
        return ProblemError(HTTPStatus.CONFLICT, str(error), members=current).to_response()

    def _full(self, _error: FullError) -> Response[str]:
        self._count("Conflicts")
        detail = (
            "the service holds the 10 GB that one may, its history included; go on "
            "under another name"
        )
        return ProblemError(HTTPStatus.CONFLICT, detail).to_response()


def _unknown(error: UnknownError) -> Response[str]:
    return ProblemError(HTTPStatus.NOT_FOUND, str(error)).to_response()


def _busy(error: BusyError) -> Response[str]:
    return try_again(HTTPStatus.SERVICE_UNAVAILABLE, str(error)).to_response()


def _throttled(_error: ThrottledError) -> Response[str]:
    detail = "the registry is asked for more than it gives right now; try again in a moment"
    return try_again(HTTPStatus.SERVICE_UNAVAILABLE, detail).to_response()


def _unreachable(_error: UnreachableError) -> Response[str]:
    detail = "a table of the registry's can't be reached right now; try again in a moment"
    return try_again(HTTPStatus.SERVICE_UNAVAILABLE, detail).to_response()


def _text(status: HTTPStatus, body: str, headers: dict[str, str] | None = None) -> Response[str]:
    return Response(
        status_code=int(status),
        content_type="application/json",
        body=body,
        headers=dict(headers or {}),
    )


def _json(
    status: HTTPStatus, document: object, headers: dict[str, str] | None = None
) -> Response[str]:
    return _text(status, json.dumps(document), headers)


def _empty(status: HTTPStatus, headers: dict[str, str] | None = None) -> Response[str]:
    # A body of None is one that not every gateway takes.
    return Response(status_code=int(status), body="", headers=dict(headers or {}))


def _page(
    member: str, scope: str, entries: Iterable[tuple[str, Any]], *, has_more: bool
) -> Response[str]:
    """Spell as many entries of a page as an answer holds, and where the list goes on."""
    texts: list[str] = []
    last, left = "", MAX_ANSWER
    for position, document in entries:
        text = json.dumps(document)
        left -= len(text)
        if texts and left < 0:
            has_more = True
            break
        texts.append(text)
        last = position
    cursor = cursors.to_cursor(scope, last) if has_more and texts else None
    body = f'{{"{member}": [{", ".join(texts)}], "cursor": {json.dumps(cursor)}}}'
    return _text(HTTPStatus.OK, body)


_Position = TypeVar("_Position")


def _position(parse: Callable[[str], _Position], text: str) -> _Position:
    """Read the position of a cursor that somebody may have made up.

    Raises:
        ProblemError: The list has no such positions.
    """
    try:
        return parse(text)
    except ValueError as error:
        detail = str(cursors.CursorError())
        raise invalid([{"pointer": "/cursor", "detail": detail}]) from error


def _service_name(text: str, prefix: str) -> str:
    # DynamoDB refuses to begin outside of what the prefix spans.
    fault = needs.name_fault(text) or (None if text.startswith(prefix) else "not of this list")
    if fault:
        raise ValueError(fault)
    return text


def _revision(text: str) -> int:
    if not re.fullmatch("[1-9][0-9]{0,17}", text):
        message = "a revision is a number of 1 to 18 digits"
        raise ValueError(message)
    return int(text)


def _matches(condition: str, etag: str) -> bool:
    """Tell whether If-None-Match names the entity (RFC 9110, weak comparison)."""
    tags = [tag.strip().removeprefix("W/") for tag in condition.split(",")]
    return etag in tags or tags == ["*"]
