"""Provides credentials from environment variables, or from an HTTP endpoint (SnapStart).

Portable: runs under MicroPython and CPython. Source: Lambda's "Activating and managing SnapStart"
and the SDKs' container credential provider.
"""

from extension import endpoints, sockets
from extension.http_client import BrokenError, HttpClient
from extension.sigv4 import Credentials
from extension.waiting import DeadlineError
from registry_model import strict_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from extension.endpoints import Endpoint
    from extension.http_client import Trust
    from extension.waiting import Waiter

    class CredentialsProvider(Protocol):
        """Provides the credentials to sign with."""

        def get(self, deadline: float) -> Credentials:
            """Return the credentials.

            Raises:
                CredentialsError: There are none, or they did not arrive in time.
            """


_ENDPOINT = "the endpoint of container credentials"
# As in every AWS SDK, the token is sent only to these hosts.
_HOSTS = ("localhost", "169.254.170.2", "169.254.170.23", "fd00:ec2::23", "::1")


class CredentialsError(Exception):
    """There are no credentials to sign with; the message has the reason."""


class NoCredentialsError(CredentialsError):
    """No variable for credentials is set; do not retry."""


class KeysFromEnvironment:
    """The credentials that Lambda set; they do not change in an execution environment."""

    def __init__(self, credentials: Credentials) -> None:
        """Set the credentials."""
        self._credentials = credentials

    def get(self, deadline: float) -> Credentials:  # noqa: ARG002  # the provider's signature
        """Return the credentials."""
        return self._credentials


class NoCredentials:
    """Used if no variable for credentials is set: `get` raises an error."""

    def get(self, deadline: float) -> Credentials:  # noqa: ARG002  # the provider's signature
        """Raise an error with the names of the variables."""
        raise NoCredentialsError(
            "no credentials: neither AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY "
            "nor AWS_CONTAINER_CREDENTIALS_FULL_URI is set"
        )


def is_allowed_host(host: str) -> bool:
    """Return whether container credentials may be requested from *host*."""
    return host in _HOSTS or (host.startswith("127.") and sockets.is_numeric(host))


class ContainerCredentials:
    """Credentials from the container credentials endpoint.

    They are requested at every check and not kept: after a restore, a snapshot's credentials would
    have expired. A request costs little, since the endpoint is on the same machine.
    """

    def __init__(
        self,
        endpoint: "Endpoint",
        token: "str | None",
        waiter: "Waiter",
        trust: "Trust",
    ) -> None:
        """Set the endpoint, the token to send, and the certificates to trust for https."""
        self._client = HttpClient(endpoint, waiter, trust=trust)
        self._path = endpoint.path
        self._token = token

    def get(self, deadline: float) -> Credentials:
        """Request the credentials.

        Raises:
            CredentialsError: The endpoint returned none, or not in time.
        """
        headers = ["host: " + self._client.host]
        if self._token:
            headers.append("authorization: " + self._token)
        try:
            response = self._client.request("GET", self._path, headers, b"", deadline)
        except (BrokenError, DeadlineError) as error:
            raise CredentialsError(f"{_ENDPOINT}: {self._client.describe_stage()}: {error}")
        finally:
            self._client.close()
        if response.status != 200:
            raise CredentialsError(
                f"{_ENDPOINT}: response of {self._client.host}: status {response.status}"
            )
        try:
            document = strict_json.loads(response.body)
            return Credentials(
                _text(document, "AccessKeyId"),
                _text(document, "SecretAccessKey"),
                _text(document, "Token"),
            )
        except ValueError as error:
            raise CredentialsError(f"{_ENDPOINT}: the document is malformed: {error}")


def _text(document: object, name: str) -> str:
    value = document.get(name) if isinstance(document, dict) else None
    if not isinstance(value, str):
        raise ValueError(f"no {name}")
    return value


def endpoint_of(uri: str) -> "Endpoint":
    """Parse AWS_CONTAINER_CREDENTIALS_FULL_URI.

    Raises:
        ValueError: It is malformed, or the token may not be sent to its host.
    """
    endpoint = endpoints.parse(uri)
    if endpoint.scheme == "http" and not is_allowed_host(endpoint.host):
        raise ValueError("its host is not a loopback or container address")
    return endpoint
