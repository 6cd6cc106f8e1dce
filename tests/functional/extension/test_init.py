"""The init: what is asked, and what the file then says."""

import time
from pathlib import Path

import pytest

from tests.functional.extension.conftest import ServicesFile, StartExtension
from tests.functional.extension.index_server import IndexServer, arn_of, held, unprocessed
from tests.functional.extension.lambda_server import LambdaServer


def test_init_answers_every_need_in_one_call_before_next(
    extension: StartExtension,
    platform: LambdaServer,
    index: IndexServer,
    services_file: ServicesFile,
) -> None:
    """The main job: the file is right before the first invocation can begin."""
    index.put("users", "latest", "1.4.2")
    index.put("billing", "1.x", "1.9.0", metadata={"team": "money"})
    started = int(time.time())

    extension(NEEDED_SERVICES="users,billing==1.x")
    first_next = platform.wait_for("/event/next")

    document = services_file.read()
    resolved_at = document["users"].pop("resolved_at")
    assert time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)) <= resolved_at
    assert document["users"] == {
        "requested": "latest",
        "version": "1.4.2",
        "arn": arn_of("users", "1.4.2"),
        "status": "active",
    }
    assert document["billing"]["metadata"] == {"team": "money"}
    assert document["billing"]["requested"] == "1.x"
    assert list(document) == ["users", "billing"]
    assert len(index.requests) == 1
    assert index.requests[0].at < first_next.at
    assert started <= services_file.mtime <= first_next.wall
    assert services_file.path.stat().st_mode & 0o7777 == 0o644


def test_the_runtime_boots_while_the_needs_are_resolved(
    extension: StartExtension, platform: LambdaServer, index: IndexServer
) -> None:
    """Registering must not wait for the network: that is on every cold start's critical path."""
    index.put("users", "latest", "1.4.2")
    index.fault = held

    extension(NEEDED_SERVICES="users")

    platform.wait_for("/register")
    assert platform.registered_events is not None
    assert sorted(platform.registered_events) == ["INVOKE", "SHUTDOWN"]
    index.wait_for_requests(1)
    assert platform.calls_to("/event/next") == []
    index.release()
    platform.wait_for_idle()


def test_250_needs_take_three_calls(
    extension: StartExtension,
    platform: LambdaServer,
    index: IndexServer,
    services_file: ServicesFile,
) -> None:
    """BatchGetItem takes 100 keys, and any number of needs is allowed."""
    for number in range(250):
        index.put(f"service-{number}", "latest", f"1.0.{number}")

    extension(NEEDED_SERVICES=",".join(f"service-{number}" for number in range(250)))
    platform.wait_for_idle()

    assert sorted(len(request.keys) for request in index.requests) == [50, 100, 100]
    document = services_file.read()
    assert len(document) == 250
    assert all(document[f"service-{n}"]["version"] == f"1.0.{n}" for n in range(250))
    assert index.accepted == 1


def test_needs_with_one_answer_are_asked_for_once(
    extension: StartExtension,
    platform: LambdaServer,
    index: IndexServer,
    services_file: ServicesFile,
) -> None:
    """DynamoDB refuses a key that is there twice; two aliases may well mean the same."""
    index.put("users", "1.x", "1.4.2")
    index.put("users", "latest", "2.0.1")

    extension(
        NEEDED_SERVICES="old:users==1.x, older:users==1.*, users, new:users@latest,min:users>=2.0"
    )
    platform.wait_for_idle()

    (request,) = index.requests
    assert sorted(request.keys) == [("users", "1.x"), ("users", "latest")]
    document = services_file.read()
    assert [document[key]["version"] for key in ("old", "older", "users", "new", "min")] == [
        "1.4.2",
        "1.4.2",
        "2.0.1",
        "2.0.1",
        "2.0.1",
    ]


@pytest.mark.parametrize(
    ("need", "items", "expected"),
    [
        ("users", {"latest": "1.4.2"}, ("latest", "1.4.2")),
        ("users==latest", {"latest": "1.4.2"}, ("latest", "1.4.2")),
        ("users@latest", {"latest": "1.4.2"}, ("latest", "1.4.2")),
        ("users==1.4.2", {"1.4.2": "1.4.2"}, ("1.4.2", "1.4.2")),
        ("users==2.0.0-rc.1", {"2.0.0-rc.1": "2.0.0-rc.1"}, ("2.0.0-rc.1", "2.0.0-rc.1")),
        ("users==1.x", {"1.x": "1.9.0"}, ("1.x", "1.9.0")),
        ("users==1.*", {"1.x": "1.9.0"}, ("1.x", "1.9.0")),
        ("users==1.4.*", {"1.4.x": "1.4.7"}, ("1.4.x", "1.4.7")),
        ("users~=1.4", {"1.x": "1.9.0"}, ("~=1.4", "1.9.0")),
        ("users~=1.4", {"1.x": "1.3.9"}, ("~=1.4", None)),
        ("users~=1.4.2", {"1.4.x": "1.4.2", "1.x": "1.9.0"}, ("~=1.4.2", "1.4.2")),
        ("users~=1.4.2", {"1.4.x": "1.4.1"}, ("~=1.4.2", None)),
        ("users>=1.4", {"latest": "1.10.0"}, (">=1.4", "1.10.0")),
        ("users>=2", {"latest": "1.10.0"}, (">=2", None)),
        ("users>=1.10.1", {"latest": "1.10.0"}, (">=1.10.1", None)),
        ("users@beta", {"@beta": "2.0.0-rc.1"}, ("@beta", "2.0.0-rc.1")),
        ("users@beta", {"latest": "1.0.0"}, ("@beta", None)),
        (" \tusers ~= 1.4 ", {"1.x": "1.9.0"}, ("~=1.4", "1.9.0")),
        (",, users == 1.x ,", {"1.x": "1.9.0"}, ("1.x", "1.9.0")),
    ],
)
def test_each_kind_of_need_gets_its_answer(
    extension: StartExtension,
    platform: LambdaServer,
    index: IndexServer,
    services_file: ServicesFile,
    need: str,
    items: dict[str, str],
    expected: tuple[str, str | None],
) -> None:
    """What the table in the documentation says is what a function gets."""
    for selector, version in items.items():
        index.put("users", selector, version)

    extension(NEEDED_SERVICES=need)
    platform.wait_for_idle()

    member = services_file.read()["users"]
    assert (member["requested"], member.get("version")) == expected
    assert member["status"] == ("active" if expected[1] else "missing")


def test_a_missing_service_says_so_and_is_an_answer(
    extension: StartExtension,
    platform: LambdaServer,
    index: IndexServer,
    services_file: ServicesFile,
) -> None:
    """A function that waits for its neighbour's first publish can tell that from an outage."""
    index.put("users", "latest", "1.4.2")

    process = extension(NEEDED_SERVICES="users,pay:billing==1.x")
    platform.wait_for_idle()

    document = services_file.read()
    assert set(document["pay"]) == {"requested", "service", "status", "error"}
    assert document["pay"]["status"] == "missing"
    assert "billing" in document["pay"]["error"]
    assert document["users"]["status"] == "active"
    assert services_file.mtime > 0
    (line,) = process.said("WARN")
    assert "billing" in line.text


def test_a_yanked_version_still_resolves_with_its_reason(
    extension: StartExtension,
    platform: LambdaServer,
    index: IndexServer,
    services_file: ServicesFile,
) -> None:
    """Who pinned a version is told that it was yanked, and goes on."""
    index.put("users", "1.4.2", "1.4.2", status="yanked", reason="loses every second order")

    process = extension(NEEDED_SERVICES="users==1.4.2")
    platform.wait_for_idle()

    member = services_file.read()["users"]
    assert (member["status"], member["reason"]) == ("yanked", "loses every second order")
    assert member["arn"] == arn_of("users", "1.4.2")
    assert "resolved_at" in member
    (line,) = process.said("WARN")
    assert "users" in line.text


def test_an_alias_is_the_key_and_the_service_is_named(
    extension: StartExtension,
    platform: LambdaServer,
    index: IndexServer,
    services_file: ServicesFile,
) -> None:
    """A function may need two versions of one service side by side."""
    index.put("users", "1.x", "1.4.2")
    index.put("users", "latest", "2.0.0")

    extension(NEEDED_SERVICES="old:users==1.x,users")
    platform.wait_for_idle()

    document = services_file.read()
    assert (document["old"]["service"], document["old"]["version"]) == ("users", "1.4.2")
    assert "service" not in document["users"]


def test_nothing_needed_asks_nothing(
    extension: StartExtension,
    platform: LambdaServer,
    index: IndexServer,
    services_file: ServicesFile,
) -> None:
    """A layer attached to every function costs nothing where it is not used."""
    before = time.time() - 0.01

    extension(NEEDED_SERVICES=" , ,", SERVICE_DISCOVERY_MAX_AGE="0")
    registered = platform.wait_for("/register")
    document = services_file.read()
    platform.invoke()

    assert document == {}
    assert index.accepted == 0
    assert before <= services_file.mtime <= registered.wall


@pytest.mark.parametrize("ascii_json", [True, False], ids=["escaped", "plain"])
def test_metadata_in_any_script_arrives_unharmed(
    extension: StartExtension,
    platform: LambdaServer,
    index: IndexServer,
    services_file: ServicesFile,
    ascii_json: bool,  # noqa: FBT001  # a parameter of the test
) -> None:
    """Metadata is the publisher's text, whatever the script; JSON spells it in two ways."""
    metadata = {
        "größe": "zwölf Äpfel",
        "表": "サービス",
        "emoji": "😀👩‍👩‍👧",
        "quotes": 'a "b" \\ c / \\u0041 \x7f',
        "lines": "one\ntwo\ttabbed\r\x01\x1f",
        "": "an empty key",
        "empty": "",
    }
    index.ascii_json = ascii_json
    index.put("users", "latest", "1.4.2", metadata=metadata)

    extension(NEEDED_SERVICES="users")
    platform.wait_for_idle()

    assert services_file.read()["users"]["metadata"] == metadata


def test_the_largest_honest_document_works(
    extension: StartExtension,
    platform: LambdaServer,
    index: IndexServer,
    services_file: ServicesFile,
) -> None:
    """A hundred needs with all the metadata that there may be are several megabytes."""
    metadata = {f"{number:0128d}": "ä" * 1024 for number in range(50)}
    for number in range(100):
        index.put(f"service-{number}", "latest", "1.0.0", metadata=metadata)

    extension(
        NEEDED_SERVICES=",".join(f"service-{number}" for number in range(100)),
        SERVICE_DISCOVERY_TIMEOUT_MS="30000",
    )
    platform.wait_for_idle()

    document = services_file.read()
    assert len(document) == 100
    assert all(member["metadata"] == metadata for member in document.values())
    assert services_file.path.stat().st_size > 10_000_000


def test_keys_that_were_left_unprocessed_are_asked_for_again(
    extension: StartExtension,
    platform: LambdaServer,
    index: IndexServer,
    services_file: ServicesFile,
) -> None:
    """DynamoDB answers in parts when an answer is large or a partition is busy."""
    names = [f"service-{number}" for number in range(5)]
    for name in names:
        index.put(name, "latest", "1.0.0")
    index.faults.extend([unprocessed(3), unprocessed(1)])

    extension(NEEDED_SERVICES=",".join(names))
    platform.wait_for_idle()

    assert {member["status"] for member in services_file.read().values()} == {"active"}
    assert [len(request.keys) for request in index.requests] == [5, 3, 1]


def test_missing_parent_folders_are_made(
    extension: StartExtension, platform: LambdaServer, index: IndexServer, tmp_path: Path
) -> None:
    """The path is the function's choice; /tmp is empty at each cold start."""
    index.put("users", "latest", "1.4.2")
    path = tmp_path / "a" / "b c" / "d" / "services.json"

    extension(NEEDED_SERVICES="users", SERVICES_FILE=str(path))
    platform.wait_for_idle()

    assert ServicesFile(path).read()["users"]["version"] == "1.4.2"
    assert [entry.name for entry in path.parent.iterdir()] == ["services.json"]


def test_the_table_may_be_an_arn_of_another_region(
    extension: StartExtension,
    platform: LambdaServer,
    index: IndexServer,
    services_file: ServicesFile,
) -> None:
    """A registry in another account is named by its table's ARN, and lives in its own Region."""
    arn = "arn:aws:dynamodb:us-west-2:210987654321:table/Shared.Index"
    index.table, index.region = arn, "us-west-2"
    index.put("users", "latest", "1.4.2")

    extension(NEEDED_SERVICES="users", SERVICE_DISCOVERY_TABLE=arn)
    platform.wait_for_idle()

    assert services_file.read()["users"]["version"] == "1.4.2"
    assert index.requests[0].region == "us-west-2"


def test_the_function_s_own_python_settings_do_not_reach_the_extension(
    extension: StartExtension,
    platform: LambdaServer,
    index: IndexServer,
    services_file: ServicesFile,
    tmp_path: Path,
) -> None:
    """A function may set MICROPYPATH, HOME or LD_LIBRARY_PATH for itself; those are not ours."""
    for name in ("json.py", "socket.py", "extension.py", "registry_model.py", "main.py"):
        (tmp_path / name).write_text("raise SystemExit(9)\n")
    folder = str(tmp_path)
    index.put("users", "latest", "1.4.2")

    extension(
        NEEDED_SERVICES="users",
        MICROPYPATH=folder,
        PYTHONPATH=folder,
        HOME=folder,
        LD_LIBRARY_PATH=folder,
        http_proxy="http://127.0.0.1:9",
        HTTP_PROXY="http://127.0.0.1:9",
        ALL_PROXY="http://127.0.0.1:9",
    )
    platform.wait_for_idle()

    assert services_file.read()["users"]["version"] == "1.4.2"
