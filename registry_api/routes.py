"""HTTP in, HTTP out: each route parses a request, calls an operation and spells its result."""

import base64
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, NoReturn

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from pydantic import ValidationError

from registry_api import cursors, schemas
from registry_api.operations import (
    BusyError,
    ConflictError,
    PublishOutcome,
    Registry,
    UnknownError,
)
from registry_api.problems import ProblemError, invalid, try_again
from registry_api.store import ThrottledError, UnreachableError
from registry_model.needs import name_fault
from registry_model.version import Version, VersionError

MAX_BODY = 65_536
DEFAULT_LIMIT = 50
MAX_LIMIT = 100

Count = Callable[[str], None]


class Routes:
    """The API's routes over one registry."""

    def __init__(self, registry: Registry, count: Count) -> None:
        """Take the operations, and what counts a named metric."""
        self._registry = registry
        self._count = count
        self.app = APIGatewayRestResolver()
        self._methods: dict[str, list[str]] = {}
        self._route("POST", "/services", self._publish)
        self._route("GET", "/services/<name>", self._service)
        self._route("GET", "/services/<name>/versions", self._versions)
        self._route("GET", "/services/<name>/versions/<version>", self._version)
        self.app.not_found(self._not_found)
        self.app.exception_handler(ProblemError)(self._refused)
        self.app.exception_handler(UnknownError)(_unknown)
        self.app.exception_handler(ConflictError)(self._conflict)
        self.app.exception_handler(BusyError)(_busy)
        self.app.exception_handler(ThrottledError)(_throttled)
        self.app.exception_handler(UnreachableError)(_unreachable)

    def _route(self, method: str, path: str, answer: Callable[..., Response[str]]) -> None:
        self.app.route(path, method=method)(answer)
        self._methods.setdefault(re.sub("<[a-z]+>", "[^/]+", path), []).append(method)

    def _publish(self) -> Response[str]:
        try:
            request = schemas.PublishRequest.model_validate(self._body())
        except ValidationError as error:
            raise invalid(schemas.faults_of(error)) from error
        outcome, record = self._registry.publish(request.to_publication(), self._caller())
        if outcome is PublishOutcome.REPEATED:
            return _json(HTTPStatus.OK, schemas.version_document(record))
        self._count("Publishes")
        location = f"/services/{record.name}/versions/{record.version}"
        return _json(HTTPStatus.CREATED, schemas.version_document(record), {"Location": location})

    def _service(self, name: str) -> Response[str]:
        view = self._registry.service(_name(name))
        return _json(HTTPStatus.OK, schemas.service_document(view))

    def _versions(self, name: str) -> Response[str]:
        _name(name)
        scope = f"versions/{name}"
        limit, after = self._paging(scope)
        page = self._registry.versions(name, limit=limit, after=after)
        document = {
            "versions": [schemas.version_document(record) for record in page.versions],
            "cursor": None if page.last is None else cursors.to_cursor(scope, str(page.last)),
        }
        return _json(HTTPStatus.OK, document)

    def _version(self, name: str, version: str) -> Response[str]:
        record = self._registry.version(_name(name), _path_version(name, version))
        etag = f'"{record.revision}"'
        if _matches(self._header("if-none-match"), etag):
            return Response(
                status_code=int(HTTPStatus.NOT_MODIFIED), body="", headers={"ETag": etag}
            )
        return _json(HTTPStatus.OK, schemas.version_document(record), {"ETag": etag})

    def _caller(self) -> str:
        """Name the caller's IAM identity, as API Gateway gives it."""
        context = self.app.current_event.raw_event.get("requestContext") or {}
        return (context.get("identity") or {}).get("userArn") or "unknown"

    def _header(self, name: str) -> str:
        headers: Mapping[str, str] = self.app.current_event.raw_event.get("headers") or {}
        for each, value in headers.items():
            if each.lower() == name:
                return value or ""
        return ""

    def _paging(self, scope: str) -> tuple[int, Version | None]:
        """Read `limit` and `cursor` of a list of versions, and name what is wrong with either."""
        query = self.app.current_event.raw_event.get("queryStringParameters") or {}
        errors = []
        limit = DEFAULT_LIMIT
        if query.get("limit") is not None:
            text = query["limit"]
            limit = int(text) if re.fullmatch("[0-9]{1,4}", text) else 0
            if not 1 <= limit <= MAX_LIMIT:
                detail = f"it should be a whole number from 1 to {MAX_LIMIT}"
                errors.append({"pointer": "/limit", "detail": detail})
        after = None
        if query.get("cursor") is not None:
            try:
                after = Version.parse(cursors.from_cursor(scope, query["cursor"]))
            except (cursors.CursorError, VersionError):
                errors.append({"pointer": "/cursor", "detail": str(cursors.CursorError())})
        if errors:
            raise invalid(errors)
        return limit, after

    def _body(self) -> object:
        """Read the request's JSON, whatever its Content-Type."""
        event = self.app.current_event.raw_event
        text = event.get("body") or ""
        try:
            if event.get("isBase64Encoded"):
                data = base64.b64decode(text)
            else:
                data = text.encode("utf-8", "surrogatepass")
        except ValueError as error:
            raise _not_json("the body is not what its encoding says") from error
        if len(data) > MAX_BODY:
            detail = f"the body has {len(data):,} bytes; {MAX_BODY:,} are the most"
            raise ProblemError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail)
        try:
            document = json.loads(
                data.decode("utf-8"), parse_constant=_no_constant, object_pairs_hook=_no_repeats
            )
            # A lone surrogate is a character that no UTF-8 has, and so nothing that can be kept.
            json.dumps(document, ensure_ascii=False).encode()
        except (ValueError, RecursionError) as error:
            raise _not_json(f"the body is not JSON: {error}") from error
        return document

    def _not_found(self, _error: Exception) -> Response[str]:
        event = self.app.current_event.raw_event
        method = event.get("httpMethod")
        for pattern, methods in self._methods.items():
            # Powertools finds no route for some characters; a path with them names nothing.
            if method not in methods and re.fullmatch(pattern, event.get("path") or ""):
                allowed = ", ".join(methods)
                detail = f"this path takes {allowed} and no {method}"
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


def _unknown(error: UnknownError) -> Response[str]:
    return ProblemError(HTTPStatus.NOT_FOUND, str(error)).to_response()


def _busy(error: BusyError) -> Response[str]:
    return try_again(HTTPStatus.SERVICE_UNAVAILABLE, str(error)).to_response()


def _throttled(_error: ThrottledError) -> Response[str]:
    detail = "the registry is asked for more than it gives right now; try again in a moment"
    return try_again(HTTPStatus.SERVICE_UNAVAILABLE, detail).to_response()


def _unreachable(_error: UnreachableError) -> Response[str]:
    detail = "the registry's table can't be reached right now; try again in a moment"
    return try_again(HTTPStatus.SERVICE_UNAVAILABLE, detail).to_response()


def _json(
    status: HTTPStatus, document: dict[str, Any], headers: dict[str, str] | None = None
) -> Response[str]:
    return Response(
        status_code=int(status),
        content_type="application/json",
        body=json.dumps(document),
        headers=dict(headers or {}),
    )


def _name(name: str) -> str:
    """Take a service's name from a path; one that can't be is one that is not there."""
    if name_fault(name):
        message = f"there is no service '{name}'"
        raise UnknownError(message)
    return name


def _path_version(name: str, text: str) -> Version:
    try:
        return Version.parse(text)
    except VersionError as error:
        message = f"service '{name}' has no such version: {error}"
        raise UnknownError(message) from error


def _matches(condition: str, etag: str) -> bool:
    """Tell whether If-None-Match names the entity (RFC 9110, weak comparison)."""
    tags = [tag.strip().removeprefix("W/") for tag in condition.split(",")]
    return etag in tags or tags == ["*"]


def _not_json(detail: str) -> ProblemError:
    return ProblemError(HTTPStatus.BAD_REQUEST, detail)


def _no_constant(name: str) -> NoReturn:
    message = f"{name} is no JSON number"
    raise ValueError(message)


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        repeated, _ = counts.most_common(1)[0]
        message = f"an object has the member {repeated!r} twice"
        raise ValueError(message)
    return members
