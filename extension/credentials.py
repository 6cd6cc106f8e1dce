"""Where credentials come from: the environment, or under SnapStart the container's endpoint.

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
                CredentialsError: There are none, or they did not come in time.
            """


_ENDPOINT = "the endpoint of container credentials"
# As in every SDK: the token is sent to these hosts only, whatever the variable names.
_HOSTS = ("localhost", "169.254.170.2", "169.254.170.23", "fd00:ec2::23", "::1")


class CredentialsError(Exception):
    """There are no credentials to sign with; the message says why."""


class NoCredentialsError(CredentialsError):
    """No variable names credentials; asking again would not help."""


class KeysFromEnvironment:
    """The credentials that Lambda set; an execution environment keeps them."""

    def __init__(self, credentials: Credentials) -> None:
        """Set the credentials."""
        self._credentials = credentials

    def get(self, deadline: float) -> Credentials:  # noqa: ARG002  # the provider's signature
        """Return the credentials."""
        return self._credentials


class NoCredentials:
    """No variable that names credentials, or an endpoint that has some, is set."""

    def get(self, deadline: float) -> Credentials:  # noqa: ARG002  # the provider's signature
        """Raise an error that says which variables are missing."""
        raise NoCredentialsError(
            "no credentials: neither AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY "
            "nor AWS_CONTAINER_CREDENTIALS_FULL_URI is set"
        )


def is_allowed_host(host: str) -> bool:
    """Return whether a container's credentials may be asked for at *host*."""
    return host in _HOSTS or (host.startswith("127.") and sockets.is_numeric(host))


class ContainerCredentials:
    """Credentials from the endpoint beside the function.

    It is asked at every check, and nothing is kept: a restored snapshot would hold credentials that
    have expired, and the endpoint is on the same machine.
    """

    def __init__(
        self,
        endpoint: "Endpoint",
        token: "str | None",
        waiter: "Waiter",
        trust: "Trust",
    ) -> None:
        """Set the endpoint, the token that it wants to see, and what to trust if it is https."""
        self._client = HttpClient(endpoint, waiter, trust=trust)
        self._path = endpoint.path
        self._token = token

    def get(self, deadline: float) -> Credentials:
        """Ask for the credentials.

        Raises:
            CredentialsError: The endpoint gave none, or not in time.
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
        ValueError: It is malformed, or its host is not one that the token may be sent to.
    """
    endpoint = endpoints.parse(uri)
    if endpoint.scheme == "http" and not is_allowed_host(endpoint.host):
        raise ValueError("its host is not a loopback or container address")
    return endpoint
