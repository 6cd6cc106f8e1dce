"""Responses of several routes: documents, pages of a list, resolved needs, and empty ones."""

import json
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any, TypeVar

from aws_lambda_powertools.event_handler import Response

from registry_api import cursors, documents
from registry_api.problems import invalid
from registry_model.services_file import Member

# Lambda limits a response to 6 MB, including the proxy integration's JSON and its escapes.
MAX_RESPONSE = 2_500_000


def json_text_response(
    status: HTTPStatus, body: str, headers: dict[str, str] | None = None
) -> Response[str]:
    """Return a response with a JSON text."""
    return Response(
        status_code=int(status),
        content_type="application/json",
        body=body,
        headers=dict(headers or {}),
    )


def json_response(
    status: HTTPStatus, document: object, headers: dict[str, str] | None = None
) -> Response[str]:
    """Return a response with a document as JSON."""
    return json_text_response(status, json.dumps(document), headers)


def empty_response(status: HTTPStatus, headers: dict[str, str] | None = None) -> Response[str]:
    """Return a response without a document."""
    # Some gateways refuse a body of None.
    return Response(status_code=int(status), body="", headers=dict(headers or {}))


def page_response(
    member: str, scope: str, entries: Iterable[tuple[str, Any]], last: object
) -> Response[str]:
    """Return as many entries of a page as a response holds, and the cursor of the next page.

    Args:
        entries: Each with its position in the list.
        last: The position to continue after; None if the list ends with this page.
    """
    texts: list[str] = []
    position, left = None if last is None else str(last), MAX_RESPONSE
    before = ""
    for at, document in entries:
        text = json.dumps(document)
        left -= len(text)
        if texts and left < 0:
            position = before
            break
        texts.append(text)
        before = at
    cursor = None if position is None else cursors.to_cursor(scope, position)
    body = f'{{"{member}": [{", ".join(texts)}], "cursor": {json.dumps(cursor)}}}'
    return json_text_response(HTTPStatus.OK, body)


def resolution_response(members: Iterable[tuple[str, Member]]) -> Response[str]:
    """Return what needs resolve to, and whether all of them do.

    Raises:
        ProblemError: The document would be larger than a response may be.
    """
    texts: list[str] = []
    left = MAX_RESPONSE
    resolved = True
    for key, member in members:
        resolved = resolved and member.is_resolved
        text = f"{json.dumps(key)}: {json.dumps(documents.member_document(member))}"
        left -= len(text)
        if left < 0:
            detail = f"the result has over {MAX_RESPONSE:,} bytes; ask for fewer at once"
            raise invalid([{"pointer": "/needed", "detail": detail}])
        texts.append(text)
    body = f'{{"services": {{{", ".join(texts)}}}, "resolved": {json.dumps(resolved)}}}'
    return json_text_response(HTTPStatus.OK, body)


_Position = TypeVar("_Position")


def position_in(parse: Callable[[str], _Position], text: str) -> _Position:
    """Parse the position in a cursor, which a client may have forged.

    Raises:
        ProblemError: It is not a position of the list.
    """
    try:
        return parse(text)
    except ValueError as error:
        detail = str(cursors.CursorError())
        raise invalid([{"pointer": "/cursor", "detail": detail}]) from error
