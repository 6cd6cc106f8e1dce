"""Choose the HTTP proxy for an endpoint from the environment, by botocore's rules.

Portable: runs under MicroPython and CPython. Source of the rules: botocore's `get_environ_proxies`,
which uses Python's `urllib.request`; the tests compare with both.
"""

import binascii

from extension import endpoints

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from extension.endpoints import Endpoint

_HEX = "0123456789abcdefABCDEF"


class Proxy:
    """A proxy that requests go through.

    Attributes:
        endpoint: The proxy's address.
        fault: The reason why it cannot be used; empty if it can.
    """

    __slots__ = ("_credentials", "endpoint", "fault")

    def __init__(self, endpoint: "Endpoint", credentials: "str | None", fault: str = "") -> None:
        """Set the proxy's address, and the user and password as `user:password`."""
        self.endpoint = endpoint
        self._credentials = credentials
        self.fault = fault

    def headers(self) -> "list[str]":
        """Return the header lines with the proxy's credentials (RFC 7617)."""
        if self._credentials is None:
            return []
        # MicroPython appends a line feed.
        encoded = binascii.b2a_base64(self._credentials.encode("utf-8")).strip()
        return ["proxy-authorization: Basic " + str(encoded, "ascii")]


def from_environment(endpoint: "Endpoint", read: "Callable[[str], str | None]") -> "Proxy | None":
    """Return the proxy for *endpoint*; None if there is none, or NO_PROXY names the host.

    Args:
        endpoint: The endpoint that is called.
        read: Returns a variable's text, None if it is not set or empty.
    """
    name = endpoint.scheme + "_proxy"
    url = read(name)
    if not url:
        name = name.upper()
        url = read(name)
    if not url:
        return None
    excluded = read("no_proxy") or read("NO_PROXY")
    if excluded and _is_excluded(endpoint, excluded):
        return None
    return _parse(name, url)


def _is_excluded(endpoint: "Endpoint", excluded: str) -> bool:
    """Return whether NO_PROXY names the endpoint, as `urllib.request.proxy_bypass` does."""
    if excluded == "*":
        return True
    host_and_port = endpoints.host_header(endpoint).lower()
    host = host_and_port
    if endpoint.port != (443 if endpoint.scheme == "https" else 80):
        host = host_and_port[: host_and_port.rfind(":")]
    for each in excluded.split(","):
        name = each.strip().lstrip(".").lower()
        if not name:
            continue
        if name in (host, host_and_port):
            return True
        if host.endswith("." + name) or host_and_port.endswith("." + name):
            return True
    return False


def _parse(name: str, url: str) -> Proxy:
    """Parse a proxy's URL; no message quotes it, since it may have a password."""
    # As in botocore, a URL without a scheme is an http URL.
    if url.startswith("//"):
        url = "http:" + url
    elif "://" not in url:
        url = "http://" + url
    scheme, _, rest = url.partition("://")
    authority = rest.split("/", 1)[0]
    credentials = None
    if "@" in authority:
        at = authority.rfind("@")
        user, _, password = authority[:at].partition(":")
        if user and password:
            credentials = _unquoted(user) + ":" + _unquoted(password)
        authority = authority[at + 1 :]
    try:
        endpoint = endpoints.parse(scheme + "://" + authority)
    except ValueError as error:
        nowhere = endpoints.Endpoint("http", "proxy", 80, "/")
        return Proxy(nowhere, None, f"{name} is not the URL of a proxy: {error}")
    if endpoint.scheme != "http":
        fault = f"{name} is an https:// proxy, which is not supported"
        return Proxy(endpoint, None, fault + "; use an http:// proxy")
    return Proxy(endpoint, credentials)


def _unquoted(text: str) -> str:
    """Return *text* with its percent-encoded bytes decoded."""
    if "%" not in text:
        return text
    parts = text.split("%")
    decoded = parts[0].encode("utf-8")
    for part in parts[1:]:
        code = part[:2]
        if len(code) == 2 and not code.strip(_HEX):
            decoded += bytes([int(code, 16)]) + part[2:].encode("utf-8")
        else:
            decoded += b"%" + part.encode("utf-8")
    try:
        return str(decoded, "utf-8")
    except UnicodeError:
        return text
