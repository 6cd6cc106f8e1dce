"""Where the keys come from: the environment, or under SnapStart the container's endpoint.

Portable: runs under MicroPython and CPython. Source: Lambda's "Activating and managing SnapStart"
and the SDKs' container credential provider.
"""

from extension import endpoints, sockets
from extension.http_client import BrokenError, HttpClient
from extension.sigv4 import Credentials
from registry_model import strict_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from extension.endpoints import Endpoint
    from extension.http_client import Trust
    from extension.waiting import Waiter

    class CredentialsProvider(Protocol):
        """Knows the keys to sign with."""

        def get(self, deadline: float) -> Credentials:
            """Tell the keys.

            Raises:
                CredentialsError: There are none.
            DeadlineError: They did not come in time.
            """


# As every SDK: a token must not be sent to a host that somebody put into a variable.
_HOSTS = ("localhost", "169.254.170.2", "169.254.170.23", "fd00:ec2::23", "::1")


class CredentialsError(Exception):
    """There are no keys to sign with; the message says why."""


class NoCredentialsError(CredentialsError):
    """Nothing says where keys are; asking again would not help."""


class KeysFromEnvironment:
    """The keys that Lambda set; an execution environment keeps them."""

    def __init__(self, credentials: Credentials) -> None:
        """Take the keys."""
        self._credentials = credentials

    def get(self, deadline: float) -> Credentials:  # noqa: ARG002  # the provider's signature
        """Tell the keys."""
        return self._credentials


class NoCredentials:
    """No variable that names keys, or an endpoint that has some, is set."""

    def get(self, deadline: float) -> Credentials:  # noqa: ARG002  # the provider's signature
        """Say that there are none."""
        raise NoCredentialsError(
            "no credentials: neither AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY "
            "nor AWS_CONTAINER_CREDENTIALS_FULL_URI is set"
        )


def is_allowed_host(host: str) -> bool:
    """Tell whether a container's credentials may be asked for at *host*."""
    return host in _HOSTS or (host.startswith("127.") and sockets.is_numeric(host))


class ContainerCredentials:
    """The endpoint beside the function that hands keys out.

    It is asked for every check, and nothing is kept: a restored snapshot would hold keys that have
    expired, and the endpoint is on the same machine.
    """

    def __init__(
        self,
        endpoint: "Endpoint",
        token: "str | None",
        waiter: "Waiter",
        trust: "Trust",
    ) -> None:
        """Take the endpoint, the token that it wants to see, and what to trust if it is https."""
        self._client = HttpClient(endpoint, waiter, trust=trust)
        self._path = endpoint.path
        self._token = token

    def get(self, deadline: float) -> Credentials:
        """Ask for the keys.

        Raises:
            CredentialsError: The endpoint has no good answer.
            DeadlineError: It has none in time.
        """
        headers = [("host", self._client.host)]
        if self._token:
            headers.append(("authorization", self._token))
        try:
            answer = self._client.request("GET", self._path, headers, b"", deadline)
        except BrokenError as error:
            raise CredentialsError(f"the container's credentials can't be had: {error}")
        finally:
            self._client.close()
        if answer.status != 200:
            raise CredentialsError(f"the container's credentials: status {answer.status}")
        try:
            document = strict_json.loads(answer.body)
            return Credentials(
                _text(document, "AccessKeyId"),
                _text(document, "SecretAccessKey"),
                _text(document, "Token"),
            )
        except ValueError as error:
            raise CredentialsError(f"the container's credentials are malformed: {error}")


def _text(document: object, name: str) -> str:
    value = document.get(name) if isinstance(document, dict) else None
    if not isinstance(value, str):
        raise ValueError(f"no {name}")
    return value


def endpoint_of(uri: str) -> "Endpoint":
    """Read AWS_CONTAINER_CREDENTIALS_FULL_URI.

    Raises:
        ValueError: It is malformed, or its host is not one that keys may be asked from.
    """
    endpoint = endpoints.parse(uri)
    if endpoint.scheme == "http" and not is_allowed_host(endpoint.host):
        raise ValueError("its host is not a loopback or container address")
    return endpoint
