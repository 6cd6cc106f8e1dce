"""The client's methods against the registry's own handler."""

import pytest

from registry_client import client as requests
from registry_client.client import RegistryClient, WriteOptions
from registry_client.errors import RefusalError, UnexpectedResponseError
from testing.arns import ARN
from tests.functional.http_gateway import Canned, HttpGateway


def _publish(gateway_client: RegistryClient, *versions: str) -> None:
    for version in versions:
        document = {"name": "users", "version": version, "arn": ARN}
        assert gateway_client._http.send("POST", "/services", document).status == 201


def test_lists_are_read_to_their_last_page(client: RegistryClient) -> None:
    """Callers do not see the API's cursors."""
    wanted = [f"1.{minor}.0" for minor in range(7)]
    _publish(client, *wanted)

    assert [each["version"] for each in client.versions("users")] == wanted[::-1]
    assert [each["revision"] for each in client.history("users")] == list(range(7, 0, -1))
    assert [each["name"] for each in client.services("us")] == ["users"]
    assert list(client.services("x")) == []


def test_changes_are_made_and_read_back(client: RegistryClient) -> None:
    """Each request is what the registry's route expects."""
    _publish(client, "1.0.0", "1.1.0")

    client.change(requests.set_channel_request("users", "beta", "1.0.0"))
    assert client.service("users")["channels"] == {"beta": "1.0.0"}
    client.change(requests.delete_channel_request("users", "beta"))
    assert client.service("users")["channels"] == {}
    client.change(requests.yank_request("users", "1.1.0", "loses writes"))
    assert client.version("users", "1.1.0").get("reason") == "loses writes"
    client.change(requests.activate_request("users", "1.1.0"))
    assert client.version("users", "1.1.0")["status"] == "active"
    assert client.change(requests.delete_request("users", "1.1.0")) is None
    assert [each["version"] for each in client.versions("users")] == ["1.0.0"]


def test_refusal_carries_the_whole_problem_document(client: RegistryClient) -> None:
    """A caller also gets the status and the request, not only the message."""
    _publish(client, "1.0.0")

    with pytest.raises(RefusalError) as raised:
        client.change(requests.set_channel_request("users", "beta", "9.9.9"))

    assert raised.value.status == 409
    assert raised.value.is_conflict
    assert "9.9.9" in str(raised.value)
    assert (raised.value.method, raised.value.path) == ("PUT", "/services/users/channels/beta")


def test_faults_of_a_request_are_listed(client: RegistryClient) -> None:
    """Each fault has a JSON pointer to its place."""
    with pytest.raises(RefusalError) as raised:
        client.resolve("users=1.2")

    assert [fault["pointer"] for fault in raised.value.faults] == ["/needed"]
    assert not raised.value.is_conflict


def test_etag_is_none_if_there_is_no_service(client: RegistryClient) -> None:
    """A first publish has no ETag to match."""
    assert client.etag("/services/nobody") is None
    assert not client.has_service("nobody")


def test_options_become_parameters_and_headers(
    client: RegistryClient, gateway: HttpGateway
) -> None:
    """`force` and `If-Match` are sent as given."""
    gateway.script.append(Canned(status=204))

    client.change(
        requests.delete_request("users", "1.0.0"), WriteOptions(force=True, if_match='"7"')
    )

    assert gateway.calls() == [("DELETE", "/services/users/versions/1.0.0?force=true")]
    assert gateway.requests[0].headers["if-match"] == '"7"'


def test_dry_run_asks_for_no_change(client: RegistryClient, gateway: HttpGateway) -> None:
    """Without the parameter the registry would make the change."""
    gateway.script.append(Canned(status=200, body=b'{"changes": [], "consumers": []}'))

    found = client.dry_run(requests.publish_request("users", "1.0.0", ARN, channel="beta"))

    assert found == {"changes": [], "consumers": []}
    assert gateway.calls() == [("PUT", "/services/users/versions/1.0.0?dry_run=true")]
    assert gateway.requests[0].document == {"arn": ARN, "channel": "beta"}


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"services": 1}'])
def test_response_of_another_server_is_an_error(
    client: RegistryClient, gateway: HttpGateway, body: bytes
) -> None:
    """A wrong address often returns a page with status 200."""
    gateway.script.append(Canned(status=200, body=body))

    with pytest.raises(UnexpectedResponseError, match="not a registry's response"):
        list(client.services())


@pytest.mark.parametrize("name", ["a/b", "..", "a b", "a?b", "a%2Fb"])
def test_malformed_name_cannot_change_the_route(
    client: RegistryClient, gateway: HttpGateway, name: str
) -> None:
    """A malformed name must not call another route."""
    with pytest.raises(RefusalError) as raised:
        client.service(name)

    assert raised.value.status == 404
    assert gateway.requests[0].target.count("/") == 2
