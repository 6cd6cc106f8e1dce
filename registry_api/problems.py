"""Problem details (RFC 9457), the HTTP responses of refusals."""

import json
from http import HTTPStatus
from typing import Any

from aws_lambda_powertools.event_handler import Response

CONTENT_TYPE = "application/problem+json"
_RETRY_AFTER_S = 1
# As RFC 9110 names them; the phrases of Python's `http` depend on its version.
_TITLES = {
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "Content Too Large",
    HTTPStatus.UNPROCESSABLE_ENTITY: "Unprocessable Content",
}


def title_of(status: HTTPStatus) -> str:
    """Return a problem's title."""
    return _TITLES.get(status, status.phrase)


class ProblemError(Exception):
    """A request is refused, with this problem document.

    Attributes:
        status: The HTTP status.
        members: Members of the document besides the standard ones.
        headers: Headers that the status requires.
    """

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        *,
        members: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        """Set the parts; *detail* is for the client: the fault, and what to do about it."""
        super().__init__(detail)
        self.status = status
        self.members = members or {}
        self.headers = headers or {}

    def to_response(self) -> Response[str]:
        """Return the problem document as a response."""
        document = {
            "type": "about:blank",
            "title": title_of(self.status),
            "status": int(self.status),
            "detail": str(self),
        }
        return Response(
            status_code=int(self.status),
            content_type=CONTENT_TYPE,
            body=json.dumps(document | self.members),
            headers=dict(self.headers),
        )


def invalid(errors: list[dict[str, str]]) -> ProblemError:
    """Return the refusal of a request's content: every fault at once."""
    detail = "; ".join(f"{error['pointer'] or 'the body'}: {error['detail']}" for error in errors)
    return ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, detail, members={"errors": errors})


def try_again(status: HTTPStatus, detail: str) -> ProblemError:
    """Return the refusal of a request that may be repeated a moment later."""
    return ProblemError(status, detail, headers={"Retry-After": str(_RETRY_AFTER_S)})


def pointer(*parts: int | str) -> str:
    """Return a JSON pointer (RFC 6901) of these parts."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)
