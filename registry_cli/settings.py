"""The options and environment variables that select the registry."""

from typing import NamedTuple

DEFAULT_STACK = "service-discovery"
URL_VARIABLE = "SERVICE_REGISTRY_URL"
STACK_VARIABLE = "SERVICE_REGISTRY_STACK"


class ConnectionOptions(NamedTuple):
    """The options of the command line; an option that is not given is None."""

    url: str | None = None
    stack: str | None = None
    profile: str | None = None
    region: str | None = None
    endpoint_url: str | None = None
