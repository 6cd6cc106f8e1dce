"""Signed requests over real sockets: signatures, repetitions, and what goes wrong on the way."""

import socket

import pytest
from botocore.credentials import Credentials, RefreshableCredentials
from botocore.exceptions import TokenRetrievalError

from registry_client.errors import MissingCredentialsError, RegistryUnreachableError
from registry_client.signed_http import SignedHttp
from tests.functional.http_gateway import REGION, Canned, HttpGateway

THROTTLED = Canned(status=429, headers={"Retry-After": "2"})


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/services", None),
        ("/services", {"prefix": "a b/ü", "limit": "3"}),
        ("/services/users/resolve", {"selector": "==1.x"}),
        ("/consumers/111122223333:eu-west-1:orders", None),
        ("/services/not%20a%20name", None),
    ],
)
def test_signature_is_valid(
    http: SignedHttp, gateway: HttpGateway, path: str, query: dict[str, str] | None
) -> None:
    """API Gateway refuses a signature that is not over the request as it arrives."""
    response = http.send("GET", path, query=query)

    assert response.status != 403, response.document
    assert "content-type" in gateway.requests[0].headers["authorization"]


def test_wrong_key_is_refused(gateway: HttpGateway) -> None:
    """This gateway does verify signatures."""
    http = SignedHttp(
        gateway.url, credentials=Credentials("AKIAEXAMPLE", "other"), region=REGION, proxies={}
    )

    assert http.send("GET", "/services").status == 403


@pytest.mark.parametrize("status", [429, 503])
def test_throttled_request_is_sent_again_after_retry_after(
    http: SignedHttp, gateway: HttpGateway, pauses: list[float], status: int
) -> None:
    """A deploy must not fail because another one is running."""
    gateway.script.append(Canned(status=status, headers={"Retry-After": "2"}))

    response = http.send("GET", "/services")

    assert response.status == 200
    assert pauses == [2.0]


def test_registry_that_stays_throttled_is_given_up_after_four_attempts(
    http: SignedHttp, gateway: HttpGateway
) -> None:
    """A pipeline must not hang."""
    gateway.script.extend([THROTTLED] * 9)

    response = http.send("GET", "/services")

    assert response.status == 429
    assert len(gateway.requests) == 4


def test_publish_is_repeated_if_its_response_is_lost(
    http: SignedHttp, gateway: HttpGateway
) -> None:
    """The repetition is safe: the registry responds with 200 and changes nothing."""
    gateway.script.append(Canned(status=0, calls_handler_first=True))
    arn = "arn:aws:lambda:eu-west-1:123456789012:function:users:42"

    response = http.send("POST", "/services", {"name": "users", "version": "1.4.2", "arn": arn})

    assert response.status == 200


@pytest.mark.parametrize(("method", "headers"), [("DELETE", {}), ("PATCH", {"If-Match": '"1"'})])
@pytest.mark.parametrize("status", [0, 502, 504])
def test_request_with_an_unclear_outcome_is_not_repeated_if_that_misleads(
    http: SignedHttp, gateway: HttpGateway, method: str, headers: dict[str, str], status: int
) -> None:
    """After a success, a second DELETE would get a 404, and a second If-Match a 412."""
    gateway.script.append(Canned(status=status))
    path = "/services/users/versions/1.4.2"

    if status:
        assert http.send(method, path, headers=headers).status == status
    else:
        with pytest.raises(RegistryUnreachableError) as raised:
            http.send(method, path, headers=headers)
        assert raised.value.may_have_run

    assert len(gateway.requests) == 1


def test_address_that_refuses_connections_is_named(pauses: list[float]) -> None:
    """The message has the called address, and says that nothing was changed."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        http = SignedHttp(
            url,
            credentials=Credentials("id", "key"),
            region=REGION,
            proxies={},
            sleep=pauses.append,
        )

        with pytest.raises(RegistryUnreachableError) as raised:
            http.send("DELETE", "/services/users/versions/1.4.2")

    assert f"{url}/services/users/versions/1.4.2 did not respond: Connection refused" in str(
        raised.value
    )
    assert not raised.value.may_have_run
    assert len(pauses) == 3
    assert pauses == sorted(pauses)


def test_missing_credentials_are_an_error_before_anything_is_sent(gateway: HttpGateway) -> None:
    """An unsigned request would only be a 403."""
    http = SignedHttp(gateway.url, credentials=None, region=REGION, proxies={})

    with pytest.raises(MissingCredentialsError):
        http.send("GET", "/services")

    assert gateway.requests == []


def test_credentials_that_cannot_be_renewed_say_why(gateway: HttpGateway) -> None:
    """An expired SSO session is the most frequent reason."""

    def refresh() -> dict[str, str]:
        raise TokenRetrievalError(provider="sso", error_msg="Token has expired")

    expired = RefreshableCredentials.create_from_metadata(
        {
            "access_key": "id",
            "secret_key": "key",
            "token": "token",
            "expiry_time": "2020-01-01T00:00:00Z",
        },
        refresh_using=refresh,
        method="sso",
    )
    http = SignedHttp(gateway.url, credentials=expired, region=REGION, proxies={})

    with pytest.raises(MissingCredentialsError, match="Token has expired"):
        http.send("GET", "/services")
