"""Endpoints, against botocore: every Region of every partition."""

import json
from pathlib import Path

import botocore
import pytest
from botocore.endpoint_provider import EndpointProvider
from botocore.loaders import Loader

from extension import endpoints

_PARTITIONS = json.loads((Path(botocore.__file__).parent / "data/partitions.json").read_text())
_REGIONS = [region for each in _PARTITIONS["partitions"] for region in each["regions"]]


@pytest.fixture(scope="module")
def oracle() -> EndpointProvider:
    """Return botocore's own rules for DynamoDB."""
    rules = Loader().load_service_model("dynamodb", "endpoint-rule-set-1")
    return EndpointProvider(rules, _PARTITIONS)


@pytest.mark.parametrize("region", [*_REGIONS, "xx-new-9"])
def test_regional_endpoint_is_the_one_that_every_sdk_calls(
    region: str, oracle: EndpointProvider
) -> None:
    """This includes FIPS and dual-stack endpoints."""
    for fips in (False, True):
        for dual_stack in (False, True):
            wanted = oracle.resolve_endpoint(
                Region=region, UseFIPS=fips, UseDualStack=dual_stack
            ).url

            found = endpoints.regional(region, fips=fips, dual_stack=dual_stack)

            assert f"{found.scheme}://{found.host}" == wanted


@pytest.mark.parametrize(
    ("url", "host", "port", "path", "header"),
    [
        ("http://localhost:8000", "localhost", 8000, "/", "localhost:8000"),
        ("https://db.example", "db.example", 443, "/", "db.example"),
        ("HTTP://[::1]:81/a/b", "::1", 81, "/a/b", "[::1]:81"),
        ("https://h:443/", "h", 443, "/", "h"),
    ],
)
def test_configured_endpoint_is_parsed(
    url: str, host: str, port: int, path: str, header: str
) -> None:
    """Scheme, host, port and path are as in every AWS SDK."""
    found = endpoints.parse(url)

    assert (found.host, found.port, found.path) == (host, port, path)
    assert endpoints.host_header(found) == header


@pytest.mark.parametrize(
    "url",
    ["", "localhost", "ftp://x", "http://", "http://:80", "http://h:0", "http://h:65536",
     "http://h:x", "http://u:p@h", "http://h?x", "http://h/a b", "http://[::1", "http://h\r\nX: y"],
)  # fmt: skip
def test_malformed_endpoint_is_refused(url: str) -> None:
    """A malformed URL is a ValueError."""
    with pytest.raises(ValueError, match="it"):
        endpoints.parse(url)
