"""DynamoDB through a proxy on a real socket; the Lambda API is called directly."""

from collections.abc import Iterator

import pytest

from testing.certificates import Certificates
from testing.index_server import IndexServer
from testing.lambda_api import LambdaApi
from testing.proxy_server import ProxyServer
from tests.functional.extension.conftest import Start

_CLOSED_PORT = "http://127.0.0.1:9"


@pytest.fixture
def proxy() -> Iterator[ProxyServer]:
    """Serve a proxy that requires no credentials."""
    server = ProxyServer()
    yield server
    server.close()


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy"])
def test_https_goes_through_a_tunnel(
    start: Start,
    lambda_api: LambdaApi,
    tls_index: IndexServer,
    certificates: Certificates,
    proxy: ProxyServer,
    name: str,
) -> None:
    """The proxy sees the host's name and TLS only; the connection is kept."""
    extension = start(
        "users",
        AWS_ENDPOINT_URL_DYNAMODB=tls_index.url,
        AWS_CA_BUNDLE=str(certificates.bundle),
        HTTP_PROXY=_CLOSED_PORT,
        **{name: proxy.address},
    )
    lambda_api.wait_until_ready()
    lambda_api.invoke()

    assert extension.document()["users"]["status"] == "active", extension.log()
    assert proxy.requested == [f"CONNECT {tls_index.url.removeprefix('https://')} HTTP/1.1"]
    assert len(tls_index.requests) == 2


def test_plain_http_is_sent_with_the_whole_url(
    start: Start, lambda_api: LambdaApi, index: IndexServer, proxy: ProxyServer
) -> None:
    index.publish("users", "1.4.2")

    extension = start("users", HTTP_PROXY=f"http://{proxy.address}")
    lambda_api.wait_until_ready()

    assert extension.document()["users"]["status"] == "active", extension.log()
    assert proxy.requested == [f"POST {index.url}/ HTTP/1.1"]


def test_containers_keys_are_asked_for_directly(
    start: Start,
    lambda_api: LambdaApi,
    index: IndexServer,
    keys: IndexServer,
    container: dict[str, str],
    proxy: ProxyServer,
) -> None:
    """The proxy is for DynamoDB alone, and must not see the container's token."""
    index.publish("users", "1.4.2")

    extension = start("users", HTTP_PROXY=f"http://{proxy.address}", **container)
    lambda_api.wait_until_ready()

    assert extension.document()["users"]["status"] == "active", extension.log()
    assert proxy.requested == [f"POST {index.url}/ HTTP/1.1"]
    assert len(keys.heads) == 1


def test_proxy_is_sent_user_and_password(
    start: Start,
    lambda_api: LambdaApi,
    tls_index: IndexServer,
    certificates: Certificates,
    proxy: ProxyServer,
) -> None:
    """They are percent-encoded in the URL, and in no log line."""
    proxy.credentials = "us:er:p@ss word"

    extension = start(
        "users",
        AWS_ENDPOINT_URL_DYNAMODB=tls_index.url,
        AWS_CA_BUNDLE=str(certificates.bundle),
        HTTPS_PROXY=f"http://us%3Aer:p%40ss%20word@{proxy.address}",
        SERVICE_DISCOVERY_LOG_LEVEL="DEBUG",
    )
    lambda_api.wait_until_ready()

    assert extension.document()["users"]["status"] == "active", extension.log()
    assert "p@ss" not in extension.log()


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_refusing_proxy_is_asked_once_and_named(
    start: Start,
    lambda_api: LambdaApi,
    index: IndexServer,
    tls_index: IndexServer,
    certificates: Certificates,
    proxy: ProxyServer,
    scheme: str,
) -> None:
    proxy.credentials = "user:right"
    url = f"http://user:s3cret@{proxy.address}"

    extension = start(
        "users",
        AWS_ENDPOINT_URL_DYNAMODB=tls_index.url if scheme == "https" else index.url,
        AWS_CA_BUNDLE=str(certificates.bundle),
        HTTP_PROXY=url,
        HTTPS_PROXY=url,
    )
    lambda_api.wait_until_ready()

    assert extension.document()["users"]["status"] == "unavailable"
    extension.wait_for_log("status 407")
    assert f"the proxy {proxy.address}" in extension.log()
    assert len(proxy.requested) == 1
    for secret in ("s3cret", "user:"):
        assert secret not in extension.log()


def test_unreachable_proxy_is_named(
    start: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    extension = start("users", HTTP_PROXY=_CLOSED_PORT)
    lambda_api.wait_until_ready()

    host = index.url.removeprefix("http://")
    expected = f"connection to {host} through the proxy 127.0.0.1:9: connection refused"
    extension.wait_for_log(expected)


@pytest.mark.parametrize(
    "excluded", ["localhost", "*", " example.com , LOCALHOST ", ".localhost", "localhost:{port}"]
)
def test_excluded_host_is_called_directly(
    start: Start,
    lambda_api: LambdaApi,
    tls_index: IndexServer,
    certificates: Certificates,
    excluded: str,
) -> None:
    """NO_PROXY names the host."""
    extension = start(
        "users",
        AWS_ENDPOINT_URL_DYNAMODB=tls_index.url,
        AWS_CA_BUNDLE=str(certificates.bundle),
        HTTPS_PROXY=_CLOSED_PORT,
        NO_PROXY=excluded.format(port=tls_index.url.rpartition(":")[2]),
    )
    lambda_api.wait_until_ready()

    assert extension.document()["users"]["status"] == "active", extension.log()


@pytest.mark.parametrize("url", ["socks5://127.0.0.1:9", "https://127.0.0.1:9", "http://:pass@"])
def test_unusable_proxy_is_only_logged(start: Start, lambda_api: LambdaApi, url: str) -> None:
    """The variable is meant for other programs, too: it must not keep a function from starting."""
    extension = start("users", HTTP_PROXY=url)
    lambda_api.wait_until_ready()

    assert extension.is_running()
    assert extension.document()["users"]["status"] == "unavailable"
    extension.wait_for_log("proxy: HTTP_PROXY ")
    assert "(check HTTPS_PROXY, HTTP_PROXY and NO_PROXY)" in extension.log()
    assert "pass" not in extension.log()
