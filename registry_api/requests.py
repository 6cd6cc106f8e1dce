"""A request of API Gateway's: what is read of it, and what is wrong with it."""

import base64
import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, NoReturn

from registry_api import cursors
from registry_api.operations import UnknownError
from registry_api.problems import ProblemError, invalid
from registry_model.needs import name_fault
from registry_model.version import Version, VersionError

MAX_BODY = 65_536
DEFAULT_LIMIT = 50
MAX_LIMIT = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Paging:
    """Which part of a list is asked for.

    Attributes:
        limit: The most entries that are wanted.
        after: The position behind which to go on, or None for the list's beginning.
    """

    limit: int
    after: str | None


class Request:
    """One request, as the event of a REST API's proxy integration has it."""

    def __init__(self, event: Mapping[str, Any]) -> None:
        """Take the event as it came."""
        self._event = event

    @property
    def method(self) -> str:
        """The method, in upper case."""
        return str(self._event.get("httpMethod"))

    @property
    def path(self) -> str:
        """The path below the stage."""
        return self._event.get("path") or ""

    def base_url(self) -> str | None:
        """Name the address that the API's paths are below; None where the gateway gives none."""
        context = self._event.get("requestContext") or {}
        domain, path = context.get("domainName"), context.get("path") or ""
        if not domain or not path.endswith(self.path):
            return None
        return f"https://{domain}{path.removesuffix(self.path)}"

    def caller(self) -> str:
        """Name the caller's IAM identity, as API Gateway gives it."""
        context = self._event.get("requestContext") or {}
        return (context.get("identity") or {}).get("userArn") or "unknown"

    def header(self, name: str) -> str:
        """Read a header by its name in lower case; empty where there is none."""
        headers: Mapping[str, str] = self._event.get("headers") or {}
        for each, value in headers.items():
            if each.lower() == name:
                return value or ""
        return ""

    def query(self, name: str) -> str | None:
        """Read a query parameter; None where there is none."""
        parameters: Mapping[str, str] = self._event.get("queryStringParameters") or {}
        return parameters.get(name)

    def paging(self, scope: str) -> Paging:
        """Read `limit` and `cursor` of the list that *scope* names.

        Raises:
            ProblemError: What is wrong with either.
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

    def body(self) -> object:
        """Read the request's JSON, whatever its Content-Type.

        Raises:
            ProblemError: It is too large, or no JSON.
        """
        text = self._event.get("body") or ""
        try:
            if self._event.get("isBase64Encoded"):
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
                data.decode("utf-8"),
                parse_constant=_no_constant,
                # No member is a number, and Python's integers have a limit that JSON's have not.
                parse_int=float,
                object_pairs_hook=_no_repeats,
            )
            # A lone surrogate is a character that no UTF-8 has, and so nothing that can be kept.
            json.dumps(document, ensure_ascii=False).encode()
        except RecursionError as error:
            raise _not_json("the body is JSON that is nested too deeply") from error
        except ValueError as error:
            raise _not_json(f"the body is not JSON: {error}") from error
        return document


def service_in(name: str) -> str:
    """Take a service's name from a path; one that can't be is one that is not there.

    Raises:
        UnknownError: It can't be.
    """
    if name_fault(name):
        message = f"there is no service '{name}'"
        raise UnknownError(message)
    return name


def channel_in(name: str, channel: str) -> str:
    """Take a channel of a service from a path; one that can't be is one that is not there.

    Raises:
        UnknownError: It can't be.
    """
    fault = name_fault(channel)
    if fault:
        message = f"service '{name}' has no channel '{channel}': {fault}"
        raise UnknownError(message)
    return channel


def version_in(name: str, text: str) -> Version:
    """Take a version of a service from a path; one that can't be is one that is not there.

    Raises:
        UnknownError: It can't be.
    """
    try:
        return Version.parse(text)
    except VersionError as error:
        message = f"service '{name}' has no such version: {error}"
        raise UnknownError(message) from error


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
