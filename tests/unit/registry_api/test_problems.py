"""Refusals have one form."""

import json
from http import HTTPStatus

from registry_api.problems import ProblemError, invalid, try_again


def test_refusal_is_a_problem_document() -> None:
    """RFC 9457: a client can parse every refusal in the same way."""
    problem = ProblemError(
        HTTPStatus.CONFLICT, "it stands", members={"current": {}}, headers={"X-Why": "because"}
    )

    response = problem.to_response()

    assert response.status_code == 409
    assert response.headers == {"X-Why": "because", "Content-Type": "application/problem+json"}
    assert json.loads(str(response.body)) == {
        "type": "about:blank",
        "title": "Conflict",
        "status": 409,
        "detail": "it stands",
        "current": {},
    }


def test_invalid_request_is_refused_with_each_fault() -> None:
    """`detail` is for people, `errors` is for tools."""
    errors = [
        {"pointer": "/arn", "detail": "it is none"},
        {"pointer": "", "detail": "it is no object"},
    ]

    problem = invalid(errors)

    assert problem.status == 422
    assert str(problem) == "/arn: it is none; the body: it is no object"
    assert json.loads(str(problem.to_response().body))["errors"] == errors


def test_refusal_to_be_repeated_has_retry_after() -> None:
    """`Retry-After` says when to send the request again."""
    response = try_again(HTTPStatus.SERVICE_UNAVAILABLE, "later").to_response()

    assert response.status_code == 503
    assert int(str(response.headers["Retry-After"])) >= 1
