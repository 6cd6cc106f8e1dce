"""The HTTP status and the problem document of each refusal, and of each error of the tables."""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from registry_api import documents
from registry_api.problems import ProblemError, invalid, try_again
from registry_api.refusals import (
    BusyError,
    ConflictError,
    GuardError,
    InvalidError,
    PreconditionError,
    UnknownError,
)
from registry_tables.errors import (
    DamagedAnswerError,
    DamagedItemError,
    FullError,
    RaceLostError,
    ThrottledError,
    UnreachableError,
)


def problem_of(error: Exception) -> ProblemError:
    """Return the problem of an error that is a key of `PROBLEMS`, or a ProblemError itself."""
    return error if isinstance(error, ProblemError) else PROBLEMS[type(error)](error)


def _conflict(error: ConflictError) -> ProblemError:
    current = {"current": documents.version_document(error.current)} if error.current else {}
    return ProblemError(HTTPStatus.CONFLICT, str(error), members=current)


def _guarded(error: GuardError) -> ProblemError:
    members = {
        "selectors": list(error.selectors),
        "consumers": documents.consumer_documents(error.consumers),
        "consumers_total": len(error.consumers),
    }
    return ProblemError(HTTPStatus.CONFLICT, str(error), members=members)


def _full(_error: FullError) -> ProblemError:
    detail = (
        "the service has reached its size limit, 10 GB with its history; use another service name"
    )
    return ProblemError(HTTPStatus.CONFLICT, detail)


def _unavailable(detail: str) -> ProblemError:
    return try_again(HTTPStatus.SERVICE_UNAVAILABLE, detail)


PROBLEMS: Mapping[type[Exception], Callable[[Any], ProblemError]] = {
    InvalidError: lambda error: invalid([{"pointer": error.pointer, "detail": str(error)}]),
    UnknownError: lambda error: ProblemError(HTTPStatus.NOT_FOUND, str(error)),
    PreconditionError: lambda error: ProblemError(HTTPStatus.PRECONDITION_FAILED, str(error)),
    GuardError: _guarded,
    ConflictError: _conflict,
    FullError: _full,
    BusyError: lambda error: _unavailable(str(error)),
    RaceLostError: lambda _: _unavailable(str(BusyError())),
    ThrottledError: lambda _: _unavailable("the registry is throttled; try again in a moment"),
    UnreachableError: lambda _: _unavailable(
        "the registry can't reach one of its tables; try again in a moment"
    ),
    DamagedItemError: lambda error: _unavailable(
        f"{error}; docs/operations.md says how to restore it"
    ),
    DamagedAnswerError: lambda error: _unavailable(
        f"{error}; `service-registry rebuild` writes it again"
    ),
}
