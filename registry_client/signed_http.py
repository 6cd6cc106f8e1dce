"""HTTP requests, signed with SigV4 for `execute-api`, over botocore's connection pool.

As in the AWS CLI, botocore handles proxies (HTTPS_PROXY, NO_PROXY), AWS_CA_BUNDLE, and the renewal
of credentials.
"""

import json
import os
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlencode

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ProxyConnectionError,
    SSLError,
)
from botocore.httpsession import URLLib3Session
from botocore.utils import get_environ_proxies

from registry_client.errors import MissingCredentialsError, RegistryUnreachableError

# API Gateway's timeout is 29 s.
_TIMEOUT_S = 35
_MAX_ATTEMPTS = 4
_FIRST_PAUSE_S = 0.3
_LONGEST_PAUSE_S = 10.0
_TRY_AGAIN = frozenset({429, 503})
_UNCLEAR = frozenset({502, 504})
# These are raised before anything is sent.
_BEFORE_SENDING = (ConnectTimeoutError, EndpointConnectionError, ProxyConnectionError, SSLError)


class CredentialSource(Protocol):
    """The credentials of botocore and boto3, which may renew themselves."""

    def get_frozen_credentials(self) -> ReadOnlyCredentials:
        """Return the keys that are valid now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryResponse:
    """A response of the API.

    Attributes:
        status: The HTTP status.
        headers: By lower-case name.
        document: The body's JSON; None if the body is empty or not JSON.
        body: The body's bytes.
    """

    status: int
    headers: Mapping[str, str]
    document: Any
    body: bytes


class SignedHttp:
    """Sends signed requests to one base address, with retries of those that may succeed later."""

    def __init__(
        self,
        url: str,
        *,
        credentials: CredentialSource | None,
        region: str,
        timeout_s: int = _TIMEOUT_S,
        max_attempts: int = _MAX_ATTEMPTS,
        proxies: Mapping[str, str] | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Keep the parts; nothing is sent yet.

        Args:
            url: The stack's output `RegistryUrl`, or any address that serves the API.
            credentials: The credentials to sign with; None if there are none.
            region: The Region to sign for.
            timeout_s: For a connection, and for each wait for bytes of a response.
            max_attempts: The maximum number of times that a request is sent.
            proxies: Proxies by URL scheme; None for those of the environment.
        """
        self.url = url.rstrip("/")
        self._credentials = credentials
        self._region = region
        self._max_attempts = max_attempts
        self._sleep = sleep
        self._http = URLLib3Session(
            # botocore's stubs have `bool`; its own sessions pass a bundle's path here.
            verify=os.environ.get("AWS_CA_BUNDLE") or True,  # type: ignore[arg-type]
            proxies=get_environ_proxies(self.url) if proxies is None else dict(proxies),
            timeout=timeout_s,
        )

    def send(
        self,
        method: str,
        path: str,
        document: object = None,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> RegistryResponse:
        """Send a document, or the bytes of *body*; return the response with any status.

        A throttled request (429, 503) and one that did not reach the registry are sent again. One
        that may have been executed (a lost response, 502, 504) is sent again only if that is safe:
        not a DELETE, and none with If-Match.

        Args:
            path: The path below the base address, percent-encoded, with a leading slash.
            query: Parameters by name, not encoded.

        Raises:
            MissingCredentialsError: There are no credentials to sign with.
            RegistryUnreachableError: There is no response.
        """
        if document is not None:
            body = json.dumps(document).encode()
        url = self.url + path + (f"?{urlencode(query)}" if query else "")
        is_repeatable = method != "DELETE" and "If-Match" not in (headers or {})
        attempt = 1
        while True:
            wait_s: float | None = None
            try:
                response = self._send_once(method, url, headers or {}, body)
            except RegistryUnreachableError as error:
                if attempt >= self._max_attempts or (error.may_have_run and not is_repeatable):
                    raise
            else:
                if response.status in _TRY_AGAIN:
                    wait_s = _retry_after_s(response)
                elif response.status not in _UNCLEAR or not is_repeatable:
                    return response
                if attempt >= self._max_attempts:
                    return response
            self._sleep(_pause_s(attempt) if wait_s is None else wait_s)
            attempt += 1

    def _send_once(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None
    ) -> RegistryResponse:
        request = AWSRequest(
            method=method,
            url=url,
            data=body or b"",
            headers={"Content-Type": "application/json", **headers},
        )
        SigV4Auth(self._frozen_credentials(), "execute-api", self._region).add_auth(request)
        try:
            response = self._http.send(request.prepare())
            content = response.content
        except BotoCoreError as error:
            may_have_run = not isinstance(error, _BEFORE_SENDING)
            raise RegistryUnreachableError(
                url, _reason(error), may_have_run=may_have_run
            ) from error
        lowered = {name.lower(): value for name, value in response.headers.items()}
        return RegistryResponse(
            status=response.status_code,
            headers=lowered,
            document=_json_of(content),
            body=content,
        )

    def _frozen_credentials(self) -> ReadOnlyCredentials:
        if self._credentials is None:
            raise MissingCredentialsError("none were found")
        try:
            # This also renews expired credentials of SSO, an assumed role or a process.
            frozen = self._credentials.get_frozen_credentials()
        except (BotoCoreError, ClientError) as error:
            raise MissingCredentialsError(str(error)) from error
        if not frozen.access_key or not frozen.secret_key:
            raise MissingCredentialsError("they are empty")
        return frozen


def _json_of(body: bytes) -> Any:  # noqa: ANN401  # any JSON
    try:
        return json.loads(body) if body else None
    except ValueError:
        return None


def _reason(error: BotoCoreError) -> str:
    """Return the system's error text if there is one, such as `Connection refused`."""
    cause: BaseException | None = error.kwargs.get("error")
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__
    return str(error.kwargs.get("error", error))


def _retry_after_s(response: RegistryResponse) -> float | None:
    seconds = response.headers.get("retry-after", "")
    return min(float(seconds), _LONGEST_PAUSE_S) if seconds.isdecimal() else None


def _pause_s(attempt: int) -> float:
    longest = min(_FIRST_PAUSE_S * 2.0**attempt, _LONGEST_PAUSE_S)
    return longest * random.uniform(0.5, 1.0)  # noqa: S311  # jitter needs no secure source
