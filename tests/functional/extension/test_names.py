"""Failing name look-ups, with a name server on a real socket and the C library's resolver."""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from testing import name_server
from testing.index_server import IndexServer
from testing.lambda_api import LambdaApi
from testing.name_server import NameServer
from testing.waiting import wait_for
from tests.functional.extension.conftest import Extension, Start

HOST = "dynamodb.registry.test"
_PORTS = itertools.count(2)
# A mounted resolv.conf hides the machine's own. nsswitch.conf is for CPython's glibc.
_ENTER = (
    'mount --bind "$0" /etc/resolv.conf && '
    '{ [ ! -e /etc/nsswitch.conf ] || mount --bind "$1" /etc/nsswitch.conf; } && '
    'shift && exec "$@"'
)


@pytest.fixture
def names() -> Iterator[NameServer]:
    """Serve names; the test sets the rule."""
    # Addresses of loopback that no other test process uses.
    address = f"127.{os.getpid() % 200 + 10}.{os.getpid() // 200 % 250}.{next(_PORTS)}"
    try:
        server = NameServer(address, lambda _name, _kind: name_server.NO_SUCH_NAME)
    except PermissionError:
        pytest.skip("a name server has to listen on port 53, which this user may not")
    server.address = address  # type: ignore[attr-defined]  # for the resolv.conf
    yield server
    server.close()


@pytest.fixture
def index() -> Iterator[IndexServer]:
    """Serve an index under the host's name."""
    server = IndexServer(name=HOST)
    server.publish("users", "1.4.2")
    yield server
    server.close()


@pytest.fixture
def entered_by(names: NameServer, tmp_path: Path) -> list[str]:
    """Return the command that starts the extension with the fake name server."""
    resolv, nsswitch = tmp_path / "resolv.conf", tmp_path / "nsswitch.conf"
    address: str = names.address  # type: ignore[attr-defined]  # set by the fixture
    resolv.write_text(f"nameserver {address}\nsearch corp.test\noptions ndots:5\n")
    nsswitch.write_text("hosts: files dns\n")
    shell = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", _ENTER]
    return [*shell, str(resolv), str(nsswitch)]


def _took_ms(extension: Extension) -> int:
    extension.wait_for_log("needs checked")
    line = next(each for each in extension.log().splitlines() if "needs checked" in each)
    return int(line.split("took_ms=")[1].split()[0])


def _assert_resolves_soon(start: Start, lambda_api: LambdaApi, entered_by: list[str]) -> None:
    """Check that an extension resolves `users` with the name server's rule, within a second."""
    extension = start("users", *entered_by, SERVICE_DISCOVERY_LOG_LEVEL="DEBUG")
    lambda_api.wait_until_ready()

    assert extension.document()["users"]["status"] == "active", extension.log()
    assert _took_ms(extension) < 1_000


@pytest.mark.parametrize(
    "refusal",
    [
        name_server.NO_SUCH_NAME,
        name_server.SERVER_FAILURE,
        name_server.REFUSED,
        name_server.NOT_IMPLEMENTED,
    ],
)
def test_refused_ipv6_address_is_no_fault(
    start: Start, lambda_api: LambdaApi, names: NameServer, entered_by: list[str], refusal: int
) -> None:
    """A name server may know only IPv4 addresses, and has several ways to say so."""

    def rule(name: str, kind: int) -> name_server.NameServerAnswer:
        if name != HOST:
            return name_server.NO_SUCH_NAME
        return "127.0.0.1" if kind == name_server.A else refusal

    names.rule = rule

    _assert_resolves_soon(start, lambda_api, entered_by)


@pytest.mark.parametrize("response", [name_server.SERVER_FAILURE, None])
def test_failing_or_silent_search_domain_is_no_fault(
    start: Start,
    lambda_api: LambdaApi,
    names: NameServer,
    entered_by: list[str],
    response: int | None,
) -> None:
    """The name with a search domain is queried first; if that fails, the plain name is queried."""

    def rule(name: str, kind: int) -> name_server.NameServerAnswer:
        if name.endswith("corp.test"):
            return response
        return "127.0.0.1" if kind == name_server.A else name_server.NO_ERROR

    names.rule = rule

    _assert_resolves_soon(start, lambda_api, entered_by)


def test_lost_first_query_does_not_fail_the_resolve(
    start: Start, lambda_api: LambdaApi, names: NameServer, entered_by: list[str]
) -> None:
    """The C library repeats a lost query after seconds; a second query gets the answer sooner."""
    lost: set[int] = set()

    def rule(name: str, kind: int) -> name_server.NameServerAnswer:
        if kind not in lost:
            lost.add(kind)
            return None
        if name != HOST:
            return name_server.NO_SUCH_NAME
        return "127.0.0.1" if kind == name_server.A else name_server.NO_ERROR

    names.rule = rule

    _assert_resolves_soon(start, lambda_api, entered_by)


@pytest.mark.parametrize("trouble", [None, name_server.SERVER_FAILURE, name_server.NO_SUCH_NAME])
def test_last_good_address_serves_while_names_fail(
    start: Start,
    lambda_api: LambdaApi,
    index: IndexServer,
    names: NameServer,
    entered_by: list[str],
    trouble: int | None,
) -> None:
    """The registry can be reached at its last address while the name server fails."""
    names.rule = lambda _, kind: "127.0.0.1" if kind == name_server.A else name_server.NO_ERROR
    extension = start("users", *entered_by)
    lambda_api.wait_until_ready()
    assert extension.document()["users"]["version"] == "1.4.2", extension.log()

    names.rule = lambda _name, _kind: trouble
    index.publish("users", "1.5.0", revision=2)
    index.drop()
    wait_for(
        lambda: _invoked(lambda_api, extension) == "1.5.0", f"version 1.5.0: {extension.log()}"
    )

    assert "WARN" not in extension.log()


def _invoked(lambda_api: LambdaApi, extension: Extension) -> str:
    lambda_api.invoke()
    version: str = extension.document()["users"]["version"]
    return version


@pytest.mark.parametrize(
    ("answer", "reason"), [(None, "no response in time"), (name_server.NO_SUCH_NAME, "no address")]
)
def test_failed_look_up_is_named(
    start: Start,
    lambda_api: LambdaApi,
    names: NameServer,
    entered_by: list[str],
    answer: int | None,
    reason: str,
) -> None:
    """The log has the stage, the host, the table and what to check."""
    names.rule = lambda _name, _kind: answer

    extension = start("users", *entered_by, SERVICE_DISCOVERY_TIMEOUT_MS="600")
    lambda_api.wait_until_ready()

    extension.wait_for_log("needs not resolved")
    (line,) = [each for each in extension.log().splitlines() if " WARN " in each]
    for part in (f"name look-up of {HOST}", reason, "table ServiceIndex in eu-west-1", "VPC"):
        assert part in line, line


def test_unknown_name_is_looked_up_twice(
    start: Start, lambda_api: LambdaApi, names: NameServer, entered_by: list[str]
) -> None:
    """A misspelt endpoint must not flood the name server in every cold start."""
    extension = start("users", *entered_by)
    lambda_api.wait_until_ready()
    extension.wait_for_log("needs not resolved")

    asked = [name for name, kind in names.questions if name == HOST and kind == name_server.A]
    assert len(asked) == 2
    assert f"name look-up of {HOST}: {HOST} has no address" in extension.log()


def test_lost_first_packet_of_a_connection_does_not_fail_the_resolve(
    start: Start, lambda_api: LambdaApi
) -> None:
    """The kernel repeats the packet after a second; a second attempt connects sooner."""
    registry = IndexServer()
    registry.publish("users", "1.4.2")
    registry.vanish()
    waiting = _silent_attempts(registry)

    extension = start(
        "users",
        AWS_ENDPOINT_URL_DYNAMODB=registry.url,
        SERVICE_DISCOVERY_TIMEOUT_MS="900",
    )
    wait_for(lambda: _silent_attempts(registry) > waiting, "a connection attempt")
    registry.appear()
    lambda_api.wait_until_ready()

    assert extension.document()["users"]["status"] == "active", extension.log()
    registry.close()


def _silent_attempts(registry: IndexServer) -> int:
    """Return how many sockets wait for an answer to their first packet (state 02, SYN_SENT)."""
    port = int(registry.url.rpartition(":")[2])
    lines = Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()
    return sum(f":{port:04X} 02 " in line for line in lines)
