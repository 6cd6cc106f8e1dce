"""The errors of calls to the registry."""

from collections.abc import Mapping
from typing import Any


class RegistryClientError(Exception):
    """A call to the registry failed; the message has the reason."""


class MissingCredentialsError(RegistryClientError):
    """There are no AWS credentials to sign with, or they could not be renewed."""

    def __init__(self, reason: str) -> None:
        """Set the message with the reason."""
        super().__init__(f"no AWS credentials to sign the request with: {reason}")


class RegistryUnreachableError(RegistryClientError):
    """The registry did not respond: name look-up, connection, TLS or timeout.

    Attributes:
        url: The address that was called.
        reason: The reason why there was no response.
        may_have_run: Whether the registry may have executed the request nevertheless.
    """

    def __init__(self, url: str, reason: str, *, may_have_run: bool) -> None:
        """Set the message with the address and the reason."""
        super().__init__(f"{url} did not respond: {reason}")
        self.url = url
        self.reason = reason
        self.may_have_run = may_have_run


class UnexpectedResponseError(RegistryClientError):
    """The response is not one of the registry: its body is not the API's JSON."""

    def __init__(self, method: str, url: str, status: int, body: bytes) -> None:
        """Set the message with the request and the start of the response."""
        shown = body[:120].decode("utf-8", "replace")
        super().__init__(f"{method} {url}: not a registry's response: status {status}, {shown!r}")
        self.status = status


class RefusalError(RegistryClientError):
    """The registry refused a request with a problem document (RFC 9457).

    Attributes:
        method: The request's method.
        path: The request's path, below the registry's address.
        status: The HTTP status.
        title: The kind of the refusal.
        detail: The reason, and what to do about it.
        faults: One entry for each fault of the request: `pointer` and `detail`.
        problem: The whole document.
    """

    def __init__(self, method: str, path: str, status: int, problem: Mapping[str, Any]) -> None:
        """Parse the document; missing and malformed members count as empty."""
        title, detail = problem.get("title"), problem.get("detail")
        # With an older template, API Gateway's own responses have `message`.
        fallback = problem.get("message") or problem.get("Message") or ""
        self.method = method
        self.path = path
        self.status = status
        self.title = title if isinstance(title, str) else ""
        self.detail = detail if isinstance(detail, str) else str(fallback)
        errors = problem.get("errors")
        self.faults = [
            {"pointer": str(each.get("pointer", "")), "detail": str(each.get("detail", ""))}
            for each in (errors if isinstance(errors, list) else [])
            if isinstance(each, dict)
        ]
        self.problem = dict(problem)
        super().__init__(self.detail or f"{method} {path}: status {status} {self.title}".strip())

    @property
    def is_conflict(self) -> bool:
        """Whether the registry's present state does not allow the request (409, 412)."""
        return self.status in {409, 412}

    @property
    def is_throttled(self) -> bool:
        """Whether the same request may succeed a moment later (429, 503)."""
        return self.status in {429, 503}
