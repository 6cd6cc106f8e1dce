"""Choose DynamoDB's endpoint, by the rules of every AWS SDK.

Portable: runs under MicroPython and CPython. Source of the rules: DynamoDB's endpoint rule set and
the list of partitions, as in botocore; the tests compare with botocore for every Region.
"""

from registry_model.text import DIGITS, first_not_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple

    class Endpoint(NamedTuple):
        """Where requests go.

        Attributes:
            scheme: `http` or `https`.
            host: A name, or an address without brackets.
            path: The prefix of every request's path; `/` if there is none.
        """

        scheme: str
        host: str
        port: int
        path: str

else:
    from collections import namedtuple

    Endpoint = namedtuple("Endpoint", ("scheme", "host", "port", "path"))

# The prefix of the Regions, the partition's DNS suffix, and the suffix of its dual-stack names.
_PARTITIONS = (
    ("cn-", "amazonaws.com.cn", "api.amazonwebservices.com.cn"),
    ("aws-cn-", "amazonaws.com.cn", "api.amazonwebservices.com.cn"),
    ("eusc-", "amazonaws.eu", "api.amazonwebservices.eu"),
    ("us-iso-", "c2s.ic.gov", "api.aws.ic.gov"),
    ("aws-iso-global", "c2s.ic.gov", "api.aws.ic.gov"),
    ("us-isob-", "sc2s.sgov.gov", "api.aws.scloud"),
    ("aws-iso-b-", "sc2s.sgov.gov", "api.aws.scloud"),
    ("eu-isoe-", "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk"),
    ("aws-iso-e-", "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk"),
    ("us-isof-", "csp.hci.ic.gov", "api.aws.hci.ic.gov"),
    ("aws-iso-f-", "csp.hci.ic.gov", "api.aws.hci.ic.gov"),
)
_COMMERCIAL = ("", "amazonaws.com", "api.aws")
_PORTS = {"http": 80, "https": 443}
_HIGHEST_PORT = 65_535
_HOST = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-._"
_IPV6 = "0123456789abcdefABCDEF:."
_PATH = _HOST + "~!$&'()*+,;=:@/%"


def regional(region: str, *, fips: bool, dual_stack: bool) -> Endpoint:
    """Return DynamoDB's own endpoint in *region*."""
    partition = _COMMERCIAL
    for each in _PARTITIONS:
        if region.startswith(each[0]):
            partition = each
    # In GovCloud, the IPv4 endpoint without "fips" in its name is the FIPS endpoint.
    plain_is_fips = region.startswith(("us-gov-", "aws-us-gov-")) and not dual_stack
    service = "dynamodb-fips" if fips and not plain_is_fips else "dynamodb"
    suffix = partition[2] if dual_stack else partition[1]
    return Endpoint("https", f"{service}.{region}.{suffix}", 443, "/")


def parse(url: str) -> Endpoint:
    """Parse the URL of a configured endpoint.

    Raises:
        ValueError: It is not an http or https URL that a request can be sent to.
    """
    scheme, mark, rest = url.partition("://")
    scheme = scheme.lower()
    if not mark or scheme not in _PORTS:
        raise ValueError("it should start with http:// or https://")
    authority, slash, path = rest.partition("/")
    if "?" in url or "#" in url or "@" in authority:
        raise ValueError("it should be only scheme, host and port")
    host, port = _host_and_port(authority)
    if first_not_in(path, _PATH):
        raise ValueError("its path is malformed")
    number = _number(port) if port else _PORTS[scheme]
    return Endpoint(scheme, host, number, slash + path if path else "/")


def _host_and_port(authority: str) -> "tuple[str, str]":
    if authority[:1] == "[":
        host, bracket, port = authority[1:].partition("]")
        is_valid = bracket and port[:1] in ("", ":") and not first_not_in(host, _IPV6)
        port = port[1:]
    else:
        host, _, port = authority.partition(":")
        is_valid = not first_not_in(host, _HOST)
    if not host:
        raise ValueError("it has no host")
    if not is_valid:
        raise ValueError("its host is malformed")
    return host, port


def _number(port: str) -> int:
    number = int(port) if len(port) < 6 and not first_not_in(port, DIGITS) else 0
    if not 0 < number <= _HIGHEST_PORT:
        raise ValueError(f"its port is not a number from 1 to {_HIGHEST_PORT}")
    return number


def host_header(endpoint: Endpoint) -> str:
    """Return the Host header; without the port if it is the scheme's default."""
    if endpoint.port == _PORTS[endpoint.scheme]:
        return _bracketed(endpoint.host)
    return with_port(endpoint)


def with_port(endpoint: Endpoint) -> str:
    """Return the endpoint as `host:port`, with brackets around an IPv6 address."""
    return f"{_bracketed(endpoint.host)}:{endpoint.port}"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
