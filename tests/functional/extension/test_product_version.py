"""The extension's version, where an operator looks for it."""

from testing.index_server import IndexServer
from testing.waiting import wait_for
from tests.conftest import product_version
from tests.functional.extension.conftest import Start


def test_version_is_in_the_log_and_in_the_user_agent(
    start: Start, index: IndexServer, interpreter: str
) -> None:
    """The layer has pyproject.toml's version; a checkout on CPython has its own text."""
    version = product_version() if interpreter == "micropython" else "checkout"
    index.put("users", "latest", {"version": {"S": "1.4.2"}, "arn": {"S": "arn:aws:sns:::t"}})

    extension = start("users", SERVICE_DISCOVERY_LOG_LEVEL="DEBUG")
    extension.wait_for_log(f"extension started version={version}")
    wait_for(lambda: bool(index.user_agents), "a request to the index")

    assert set(index.user_agents) == {f"service-discovery-extension/{version}"}
