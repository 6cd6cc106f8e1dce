"""The publisher's role grants exactly the rights that its requests and calls need."""

import fnmatch
from urllib.parse import urlsplit

from testing.rights import granted_rights, recorded_rights
from testing.template import as_list, statements_of
from tests.functional.publisher.conftest import LEDGER, DeployedPublisher

_ARN = "arn:aws:lambda:eu-west-1:123456789012:function:users"


def _properties(version: str, **members: str) -> dict[str, str]:
    return {"Name": "users", "Version": version, "Arn": f"{_ARN}:1", **members}


def test_publisher_has_exactly_the_rights_that_it_uses(publisher: DeployedPublisher) -> None:
    """The stacks are created, updated, rolled back and deleted in each way."""
    with recorded_rights({LEDGER: "PublisherLedger"}) as rights:
        stack = publisher.stack()
        stack.create(_properties("1.0.0", Channel="latest"))
        stack.update(_properties("1.1.0", Channel="latest"), then_fails=True)
        stack.update(_properties("1.2.0", Channel="beta", OnDelete="Delete"))
        stack.delete()
        failing = publisher.stack()
        failing.create(_properties("2.0.0", Channel="latest"), then_fails=True)
        yanking = publisher.stack()
        yanking.create(_properties("3.0.0", OnDelete="Yank"))
        yanking.delete()

    calls, *others = statements_of("PublisherFunction")
    assert rights == granted_rights(others)
    patterns = {
        each["Fn::Sub"].partition("/v1/")[2].replace("${PublisherServices}", "*")
        for each in as_list(calls["Resource"])
    }
    used: dict[str, set[str]] = {pattern: set() for pattern in patterns}
    for method, target in publisher.gateway.calls():
        request = f"{method}{urlsplit(target).path.removeprefix('/v1')}"
        matching = {each for each in patterns if fnmatch.fnmatchcase(request, each)}
        assert matching, request
        for pattern in matching:
            used[pattern].add(method)
    assert all(used.values()), used
