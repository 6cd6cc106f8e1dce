"""The options and variables that choose the registry."""

from typing import NamedTuple

DEFAULT_STACK = "service-discovery"
URL_VARIABLE = "SERVICE_REGISTRY_URL"
STACK_VARIABLE = "SERVICE_REGISTRY_STACK"


class ConnectionOptions(NamedTuple):
    """The options of the command line; None if one is not given."""

    url: str | None = None
    stack: str | None = None
    profile: str | None = None
    region: str | None = None
    endpoint_url: str | None = None
