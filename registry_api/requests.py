"""Parses a request from API Gateway, and reports its faults."""

import base64
import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError

from registry_api import cursors, fields, schemas
from registry_api.problems import ProblemError, invalid, pointer
from registry_api.refusals import UnknownError
from registry_model.needs import name_fault
from registry_model.text import quote
from registry_model.version import Version, VersionError

_Model = TypeVar("_Model", bound=BaseModel)

MAX_BODY = 65_536
DEFAULT_LIMIT = 50
MAX_LIMIT = 100
DRY_RUN = "dry_run"
FORCE = "force"


@dataclass(frozen=True, slots=True, kw_only=True)
class Paging:
    """The part of a list that is requested.

    Attributes:
        limit: The maximum number of entries to return.
        after: The position to continue after, or None for the list's beginning.
    """

    limit: int
    after: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteFlags:
    """The query parameters of a route that writes.

    Attributes:
        dry_run: Whether to return what would change, and change nothing.
        force: Whether to make the change even if selectors are left without an answer.
    """

    dry_run: bool = False
    force: bool = False


class GatewayRequest:
    """A request, from the event of a REST API's proxy integration."""

    def __init__(self, event: Mapping[str, Any]) -> None:
        """Set the event."""
        self._event = event

    @property
    def method(self) -> str:
        """The method, in upper case."""
        return str(self._event.get("httpMethod"))

    @property
    def path(self) -> str:
        """The path below the API's base address.

        Behind a custom domain with a base path, the event's `path` includes the base path. The
        greedy path parameter of the template's only resource does not.
        """
        proxy = (self._event.get("pathParameters") or {}).get("proxy")
        return f"/{proxy}" if isinstance(proxy, str) else self._event.get("path") or ""

    def base_url(self) -> str | None:
        """Return the address that the API's paths are below; None if the event has none."""
        context = self._event.get("requestContext") or {}
        domain, path = context.get("domainName"), context.get("path") or ""
        if not domain or not path.endswith(self.path):
            return None
        return f"https://{domain}{path.removesuffix(self.path)}"

    def caller(self) -> str:
        """Return the caller's IAM identity, as API Gateway gives it."""
        context = self._event.get("requestContext") or {}
        return (context.get("identity") or {}).get("userArn") or "unknown"

    def header(self, name: str) -> str | None:
        """Return a header by its name in lower case, repeated ones joined; None if absent."""
        repeated: Mapping[str, list[str]] = self._event.get("multiValueHeaders") or {}
        for each, values in repeated.items():
            if each.lower() == name and values:
                return ", ".join(values)
        single: Mapping[str, str] = self._event.get("headers") or {}
        for each, value in single.items():
            if each.lower() == name:
                return value or ""
        return None

    def query(self, name: str) -> str | None:
        """Return a query parameter; None if there is none."""
        parameters: Mapping[str, str] = self._event.get("queryStringParameters") or {}
        return parameters.get(name)

    def write_flags(self) -> WriteFlags:
        """Return the query parameters of a route that writes.

        An unknown one is refused: a misspelt `dry_run` must not commit.

        Raises:
            ProblemError: A parameter is unknown or malformed.
        """
        values = self._query_values()
        errors = []
        for name, texts in sorted(values.items()):
            if name not in (DRY_RUN, FORCE):
                detail = f"no such query parameter; there are {DRY_RUN} and {FORCE}"
                errors.append({"pointer": pointer(name), "detail": detail})
            elif texts not in (["true"], ["false"]):
                detail = "it should be 'true' or 'false', once"
                errors.append({"pointer": pointer(name), "detail": detail})
        if errors:
            raise invalid(errors)
        return WriteFlags(
            dry_run=values.get(DRY_RUN) == ["true"], force=values.get(FORCE) == ["true"]
        )

    def refuse_query(self) -> None:
        """Refuse every query parameter, on a route that writes and has none.

        Raises:
            ProblemError: The request has one.
        """
        errors = [
            {"pointer": pointer(name), "detail": "this route has no query parameters"}
            for name in sorted(self._query_values())
        ]
        if errors:
            raise invalid(errors)

    def _query_values(self) -> dict[str, list[str]]:
        """Return all values of each query parameter."""
        single: Mapping[str, str] = self._event.get("queryStringParameters") or {}
        repeated: Mapping[str, list[str]] = self._event.get("multiValueQueryStringParameters") or {}
        return {name: [text] for name, text in single.items()} | {
            name: texts for name, texts in repeated.items() if texts
        }

    def paging(self, scope: str) -> Paging:
        """Return `limit` and `cursor` of the list that *scope* identifies.

        Raises:
            ProblemError: At least one is malformed.
        """
        errors = []
        text = self.query("limit")
        limit = DEFAULT_LIMIT
        if text is not None:
            limit = int(text) if re.fullmatch("[1-9][0-9]{0,3}", text) else 0
            if not 1 <= limit <= MAX_LIMIT:
                detail = f"it should be a whole number from 1 to {MAX_LIMIT}"
                errors.append({"pointer": "/limit", "detail": detail})
        after = None
        cursor = self.query("cursor")
        if cursor is not None:
            try:
                after = cursors.from_cursor(scope, cursor)
            except cursors.CursorError as error:
                errors.append({"pointer": "/cursor", "detail": str(error)})
        if errors:
            raise invalid(errors)
        return Paging(limit=limit, after=after)

    def parsed(self, model: type[_Model]) -> _Model:
        """Parse the request's body.

        Raises:
            ProblemError: It is too large, not JSON, or not a valid *model*.
        """
        try:
            return model.model_validate(self.body())
        except ValidationError as error:
            raise invalid(schemas.faults_of(error)) from error

    def body(self) -> object:
        """Parse the request's JSON, with any Content-Type.

        Raises:
            ProblemError: It is too large, or not JSON.
        """
        text = self._event.get("body") or ""
        try:
            if self._event.get("isBase64Encoded"):
                data = base64.b64decode(text)
            else:
                data = text.encode("utf-8", "surrogatepass")
        except ValueError as error:
            raise _not_json("the body can't be decoded from base64: it is not JSON") from error
        if len(data) > MAX_BODY:
            detail = f"the body has {len(data):,} bytes; at most {MAX_BODY:,} are allowed"
            raise ProblemError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail)
        if not data:
            raise _not_json("the body is empty; it should be a JSON object")
        try:
            document = json.loads(
                data.decode("utf-8"),
                parse_constant=_no_constant,
                # No member is a number. Unlike JSON, Python's `int` limits the number of digits.
                parse_int=float,
                object_pairs_hook=_no_repeats,
            )
            # UTF-8 has no lone surrogates, so DynamoDB could not store one.
            json.dumps(document, ensure_ascii=False).encode()
        except RecursionError as error:
            raise _not_json("the body is JSON that is nested too deeply") from error
        except ValueError as error:
            raise _not_json(f"the body is not JSON: {error}") from error
        return document


def consumer_in(text: str) -> str:
    """Return a consumer's name from a path.

    Raises:
        UnknownError: It is malformed.
    """
    # Some clients percent-encode a colon in a path, which is optional (RFC 3986, section 3.3).
    name = text.replace("%3A", ":").replace("%3a", ":")
    if not re.fullmatch(fields.CONSUMER_NAME, name):
        message = (
            f"there is no consumer {name!r}: a name has 1 to 256 letters, digits, '.', '_', ':' "
            "and '-', and starts with a letter or a digit"
        )
        raise UnknownError(message)
    return name


def service_in(name: str) -> str:
    """Return a service's name from a path.

    Raises:
        UnknownError: It is malformed: there can't be such a service.
    """
    fault = name_fault(name)
    if fault:
        message = f"there is no service {quote(name)}: {fault}"
        raise UnknownError(message)
    return name


def channel_in(name: str, channel: str) -> str:
    """Return the name of a service's channel from a path.

    Raises:
        UnknownError: It is malformed: there can't be such a channel.
    """
    fault = name_fault(channel)
    if fault:
        message = f"service '{name}' has no channel {quote(channel)}: {fault}"
        raise UnknownError(message)
    return channel


def version_in(name: str, text: str) -> Version:
    """Return a version of a service from a path.

    Raises:
        UnknownError: It is malformed: there can't be such a version.
    """
    try:
        return Version.parse(text)
    except VersionError as error:
        message = f"service '{name}' has no such version: {error}"
        raise UnknownError(message) from error


def _not_json(detail: str) -> ProblemError:
    return ProblemError(HTTPStatus.BAD_REQUEST, detail)


def _no_constant(name: str) -> NoReturn:
    message = f"{name} is not a JSON number"
    raise ValueError(message)


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        repeated, _ = counts.most_common(1)[0]
        message = f"an object has the member {repeated!r} twice"
        raise ValueError(message)
    return members
