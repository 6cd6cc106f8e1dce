"""`publish`, with its options and refusals."""

import pytest

from tests.functional.http_gateway import Canned, HttpGateway
from tests.functional.registry_cli.conftest import ARN, OTHER_ARN, Publish, Run

_FIRST = b'{"name": "users", "version": "1.0.0", "arn": "arn", "revision": 1}'


def test_version_is_published_by_path(run: Run, gateway: HttpGateway) -> None:
    """IAM can grant the path, and so one service to one pipeline."""
    ended = run("publish", "users", "1.4.2", "--arn", ARN)

    assert ended.status == 0
    assert ended.out == f"published users 1.4.2 = {ARN}, revision 1\n"
    assert ended.err == ""
    calls = [(method, target.partition("_user_request_")[2]) for method, target in gateway.calls()]
    assert ("PUT", "/services/users/versions/1.4.2") in calls


def test_json_has_the_record_and_the_outcome(run: Run) -> None:
    """A pipeline reads the revision, and whether the version is new."""
    first = run("publish", "users", "1.4.2", "--arn", ARN, "--json").document
    again = run("publish", "users", "1.4.2", "--arn", ARN, "--json").document

    assert (first["version"], first["revision"], first["outcome"]) == ("1.4.2", 1, "published")
    assert (again["revision"], again["outcome"]) == (1, "unchanged")


def test_repeated_publish_succeeds_and_changes_nothing(run: Run) -> None:
    """A pipeline may publish the same again."""
    run("publish", "users", "1.4.2", "--arn", ARN)

    ended = run("publish", "users", "1.4.2", "--arn", ARN)

    assert ended.status == 0
    assert "nothing changed" in ended.out


def test_other_arn_for_a_published_version_is_refused_with_status_4(run: Run) -> None:
    """The message has the published ARN, and both ways out."""
    run("publish", "users", "1.4.2", "--arn", ARN)

    ended = run("publish", "users", "1.4.2", "--arn", OTHER_ARN)

    assert (ended.status, ended.out) == (4, "")
    assert ARN in ended.err
    assert "service-registry delete users 1.4.2" in ended.err


def test_metadata_and_channel_go_with_the_publish(run: Run) -> None:
    """Values may contain an equals sign; the channel is set in the same change."""
    ended = run(
        *("publish", "users", "1.4.2", "--arn", ARN, "--channel", "beta", "--json"),
        *("--metadata", "commit=4f2a9c1", "--metadata", "query=a=b"),
    )

    assert ended.document["metadata"] == {"commit": "4f2a9c1", "query": "a=b"}
    service = run("show", "users", "--json").document
    assert (service["channels"], service["revision"]) == ({"beta": "1.4.2"}, 1)


@pytest.mark.parametrize(("prefix", "version"), [("1", "1.42.0"), ("1.4", "1.4.42")])
def test_version_prefix_is_completed_with_the_qualifier_of_the_arn(
    run: Run, prefix: str, version: str
) -> None:
    """A team without SemVer uses the numbers of function versions."""
    ended = run("publish", "users", "--version-prefix", prefix, "--arn", ARN, "--json")

    assert ended.document["version"] == version


@pytest.mark.parametrize(
    "arguments",
    [
        ("users", "--arn", ARN),
        ("users", "1.4.2"),
        ("users", "1.4.2", "--version-prefix", "1", "--arn", ARN),
        ("users", "v1.4.2", "--arn", ARN),
        ("users", "1.4", "--arn", ARN),
        ("users", "1.4.2+build", "--arn", ARN),
        ("no name", "1.4.2", "--arn", ARN),
        ("users", "1.4.2", "--arn", ARN, "--metadata", "commit"),
        ("users", "1.4.2", "--arn", ARN, "--metadata", "=x"),
        ("users", "1.4.2", "--arn", ARN, "--metadata", "a=1", "--metadata", "a=2"),
        ("users", "1.4.2", "--arn", ARN, "--channel", "no name"),
        ("users", "1.4.2", "--arn", "arn:aws"),
        ("users", "--version-prefix", "1.2.3", "--arn", ARN),
        ("users", "--version-prefix", "v1", "--arn", ARN),
        ("users", "--version-prefix", "1", "--arn", ARN.removesuffix(":42")),
        ("users", "--version-prefix", "1", "--arn", ARN.replace(":42", ":live")),
        ("users", "1.4.2", "--arn", ARN, "--chanel", "beta"),
    ],
)
def test_mistake_is_a_usage_error_that_publishes_nothing(
    run: Run, arguments: tuple[str, ...]
) -> None:
    """The exit status shows a pipeline that a repetition will not help."""
    ended = run("publish", *arguments)

    assert (ended.status, ended.out) == (2, "")
    assert ended.err
    assert run("list", "--json").document == {"services": []}


def test_new_service_with_a_similar_name_is_a_warning(run: Run, publish: Publish) -> None:
    """A typo creates a new service: the publish succeeds, and no consumer finds the version."""
    publish("1.0.0", name="orders")

    misspelt = run("publish", "order", "1.1.0", "--arn", ARN, "--json")
    other = run("publish", "billing", "1.0.0", "--arn", ARN)
    known = run("publish", "order", "1.2.0", "--arn", ARN)

    assert misspelt.status == 0
    assert misspelt.document["version"] == "1.1.0"
    assert "'order' is a new service; did you mean 'orders'?" in misspelt.err
    assert "`service-registry delete order 1.1.0 --force`" in misspelt.err
    assert (other.err, known.err) == ("", "")


def test_pipeline_without_the_right_to_list_services_gets_no_warning(
    run: Run, gateway: HttpGateway
) -> None:
    forbidden = Canned(status=403, body=b'{"detail": "not authorized"}')
    gateway.script.extend([Canned(status=201, body=_FIRST), forbidden])

    ended = run("publish", "users", "1.0.0", "--arn", ARN)

    assert (ended.status, ended.err) == (0, "")
    assert len(gateway.script) == 0
