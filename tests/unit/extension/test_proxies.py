"""The choice of the proxy, compared with botocore."""

import itertools

import pytest
from botocore.httpsession import ProxyConfiguration
from botocore.utils import get_environ_proxies

from extension import endpoints, proxies

URLS = [
    "https://dynamodb.eu-west-1.amazonaws.com",
    "http://localhost:8000",
    "https://vpce-1.dynamodb.eu-west-1.vpce.amazonaws.com:8443",
    "https://[2001:db8::1]:8443",
    "http://127.0.0.1:4566",
]
PROXIES = [
    "proxy.example:3128",
    "http://proxy.example:3128",
    "//proxy.example:3128",
    "http://user:pass@proxy.example:3128/",
    "http://us%3Aer:p%40ss@10.0.0.1:8080",
    "http://user@proxy.example",
    "http://[2001:db8::9]:3128",
]
EXCLUDED = [
    "",
    "*",
    "localhost",
    "amazonaws.com",
    ".amazonaws.com",
    "dynamodb.eu-west-1.amazonaws.com, localhost",
    "localhost:8000",
    "localhost:9000",
    "127.0.0.1",
    "aws.com",
    "EU-WEST-1.amazonaws.com,,",
    "*,localhost",
]


@pytest.mark.parametrize(("url", "excluded"), list(itertools.product(URLS, EXCLUDED)))
def test_same_proxy_as_botocore(url: str, excluded: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A function's SDK and its extension use the same proxy."""
    for proxy in PROXIES:
        environment = {"HTTPS_PROXY": proxy, "HTTP_PROXY": proxy, "NO_PROXY": excluded}
        for name, value in environment.items():
            monkeypatch.delenv(name.lower(), raising=False)
            monkeypatch.setenv(name, value)
        configuration = ProxyConfiguration(get_environ_proxies(url))
        expected = configuration.proxy_url_for(url)

        found = proxies.from_environment(endpoints.parse(url), environment.get)

        if expected is None:
            assert found is None, proxy
            continue
        assert found is not None, proxy
        assert found.fault == ""
        known = configuration.proxy_headers_for(expected).get("Proxy-Authorization")
        assert found.headers() == ([f"proxy-authorization: {known}"] if known else [])


def test_lower_case_variables_win() -> None:
    environment = {"https_proxy": "http://lower:1", "HTTPS_PROXY": "http://upper:1"}

    found = proxies.from_environment(endpoints.parse(URLS[0]), environment.get)

    assert found is not None
    assert found.endpoint.host == "lower"
