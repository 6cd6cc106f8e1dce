"""The init, up to the first `next`: the file, and when it can be read."""

import json
import os
import shutil
import subprocess
import threading
import time
from pathlib import Path

import pytest

from testing.arns import ARN
from testing.held_readers import is_held
from testing.index_server import IndexServer, item
from testing.lambda_api import LambdaApi
from testing.waiting import wait_for
from tests.functional.extension.conftest import Start


def test_init_resolves_every_need_in_one_call(
    start: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    """One request resolves needs of every form."""
    index.publish("users", "1.4.2", metadata={"M": {"team": {"S": "süß 😀"}}})
    index.put("billing", "1.x", item("1.9.0", "arn:aws:sqs:eu-west-1:123456789012:b"))
    index.publish("users", "2.0.0", selector="2.0.0", status={"S": "yanked"}, reason={"S": "leak"})
    index.publish("users", "2.1.0-rc.1", selector="@beta")

    extension = start(
        "users, billing ~= 1.4,old:users==2.0.0,b:users@beta,high:users>=1.5,gone==1.*,same:users"
    )
    lambda_api.wait_until_ready()

    (request,) = index.requests
    assert set(request["RequestItems"]["ServiceIndex"]) == {"Keys"}, "an eventually consistent read"
    document = extension.document()
    assert document["users"] | {"resolved_at": ""} == {
        "requested": "latest",
        "version": "1.4.2",
        "arn": ARN,
        "status": "active",
        "metadata": {"team": "süß 😀"},
        "resolved_at": "",
    }
    assert document["billing"]["version"] == "1.9.0"
    assert document["billing"]["requested"] == "~=1.4"
    assert document["old"]["status"] == "yanked"
    assert document["old"]["reason"] == "leak"
    assert document["old"]["service"] == "users"
    assert document["b"]["requested"] == "@beta"
    assert document["high"] == {
        "requested": ">=1.5",
        "service": "users",
        "status": "missing",
        "error": "no version of 'users' matches '>=1.5'",
    }
    assert document["gone"] == {
        "requested": "1.x",
        "status": "missing",
        "error": "no version of 'gone' matches '==1.x'",
    }
    assert list(document) == ["users", "billing", "old", "b", "high", "gone", "same"]
    assert abs(extension.services_file.stat().st_mtime - time.time()) < 30
    assert extension.services_file.stat().st_mode & 0o7777 == 0o644
    assert lambda_api.posted("register") == [{"events": ["INVOKE", "SHUTDOWN"]}]


def test_variable_that_is_empty_counts_as_not_set(
    start: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    """A template may set it from a parameter whose default is empty."""
    index.publish("users", "1.0.0")
    names = ["TABLE", "MAX_AGE", "TIMEOUT_MS", "HOLD_MS", "STRICT", "LOG_LEVEL"]
    others = ["AWS_ENDPOINT_URL", "AWS_CA_BUNDLE", "AWS_USE_FIPS_ENDPOINT", "HTTP_PROXY"]

    extension = start(
        "users",
        **{f"SERVICE_DISCOVERY_{name}": "" for name in names},
        **dict.fromkeys(others, ""),
    )
    lambda_api.wait_until_ready()
    lambda_api.invoke()

    assert extension.document()["users"]["version"] == "1.0.0"
    assert index.tables == ["ServiceIndex"]
    assert extension.log() == ""


def test_early_readers_wait_and_then_read_the_whole_document(
    start: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    """Module code in any language may read the file during the first resolve."""
    index.publish("users", "1.4.2", metadata={"M": {"k": {"S": "x" * 300_000}}})
    index.delay_s = 3
    extension = start("users", SERVICE_DISCOVERY_TIMEOUT_MS="5000")
    wait_for(lambda: bool(lambda_api.posted("register")), "the registration")
    path = str(extension.services_file)
    readers = [
        subprocess.Popen(command, stdout=subprocess.PIPE)
        for command in (
            ["sh", "-c", f"cat {path}"],
            ["python3", "-c", f"print(open({path!r}).read(), end='')"],
            ["node", "-e", f"process.stdout.write(require('fs').readFileSync({path!r}))"],
        )
        if shutil.which(command[0])
    ]
    wait_for(lambda: any(is_held(reader.pid) for reader in readers), "a held reader")

    texts = [reader.communicate()[0] for reader in readers]

    assert len(texts) >= 2
    for text in texts:
        assert json.loads(text)["users"]["version"] == "1.4.2"


def test_file_is_never_absent_or_partial_once_registered(
    start: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    """This holds from the first moment that function code can run."""
    index.publish("users", "1.0.0")
    extension = start("users")
    wait_for(lambda: bool(lambda_api.posted("register")), "the registration")
    stop = threading.Event()
    seen: list[str] = []

    def read() -> None:
        while not stop.is_set():
            seen.append(extension.document()["users"]["version"])

    reader = threading.Thread(target=read)
    reader.start()
    lambda_api.wait_until_ready()
    for minor in range(30):
        index.publish("users", f"1.{minor}.0", revision=minor + 1)
        lambda_api.invoke()
    stop.set()
    reader.join()

    assert len(set(seen)) > 1
    assert extension.document()["users"]["version"] == "1.29.0"


def test_init_without_needs_sends_no_request(
    start: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    """The layer costs a function without needs almost nothing."""
    extension = start(" , ", AWS_REGION="(unset)")
    lambda_api.wait_until_ready()
    lambda_api.invoke()

    assert extension.document() == {}
    assert index.requests == []
    assert abs(extension.services_file.stat().st_mtime - time.time()) < 30


def test_more_than_a_hundred_needs_take_a_call_for_each_hundred(
    start: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    """BatchGetItem takes 100 keys; the number of needs is not limited."""
    for number in range(250):
        index.publish(f"s{number}", f"1.0.{number}")

    extension = start(",".join(f"s{number}" for number in range(250)))
    lambda_api.wait_until_ready()

    assert len(index.requests) == 3
    assert extension.document()["s249"]["version"] == "1.0.249"


def test_unreachable_registry_leaves_unavailable_members(
    start: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    """The function starts nevertheless, and can read why it has no ARN."""
    index.close()

    extension = start("users,b:billing==1.x", SERVICE_DISCOVERY_TIMEOUT_MS="300")
    lambda_api.wait_until_ready()

    document = extension.document()
    assert document["users"]["status"] == "unavailable"
    assert "refused" in document["users"]["error"]
    assert set(document["b"]) == {"requested", "service", "status", "error"}
    assert extension.services_file.stat().st_mtime == 0
    assert extension.log().count("needs not resolved") == 1


def test_silent_name_server_does_not_delay_the_init(start: Start, lambda_api: LambdaApi) -> None:
    """The look-up runs in a thread, and the resolve has a deadline."""
    extension = start(
        "users",
        AWS_ENDPOINT_URL_DYNAMODB="http://registry.invalid",
        SERVICE_DISCOVERY_TIMEOUT_MS="300",
    )
    lambda_api.wait_until_ready()

    assert extension.document()["users"]["status"] == "unavailable"
    lambda_api.shut_down()
    assert extension.wait_for_exit() == 0


def test_leftover_file_is_the_last_good_answer(
    start: Start, lambda_api: LambdaApi, index: IndexServer, tmp_path: Path
) -> None:
    """/tmp survives a reset, and an old answer is better than none."""
    known = {
        "requested": "latest",
        "version": "1.0.0",
        "arn": ARN,
        "status": "active",
        "resolved_at": "2026-01-01T00:00:00Z",
    }
    path = tmp_path / "run/services.json"
    path.parent.mkdir()
    left = {"users": known, "billing": known, "away": {**known, "requested": "1.x"}}
    path.write_text(json.dumps(left))
    os.utime(path, (1_700_000_000, 1_700_000_000))
    index.close()

    extension = start("users,billing==2.x,away==1.x", SERVICE_DISCOVERY_TIMEOUT_MS="200")
    lambda_api.wait_until_ready()

    document = extension.document()
    assert document["users"] == known
    assert document["away"]["version"] == "1.0.0"
    assert document["billing"]["status"] == "unavailable", "another version was asked for then"
    assert path.stat().st_mtime == 0, "not every need was answered by the earlier run"


def test_leftover_file_that_answers_everything_keeps_its_age(
    start: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    """The file's age is the age of its answers."""
    index.publish("users", "1.0.0")
    first = start("users")
    lambda_api.wait_until_ready()
    lambda_api.shut_down()
    assert first.wait_for_exit() == 0
    os.utime(first.services_file, (1_700_000_000, 1_700_000_000))
    index.close()

    second = start("users", SERVICE_DISCOVERY_TIMEOUT_MS="200")
    lambda_api.wait_until_ready(2)

    assert second.document()["users"]["version"] == "1.0.0"
    assert second.services_file.stat().st_mtime == 1_700_000_000


@pytest.mark.parametrize("text", ['{"users": {"requested": "latest"', "", "[]", "{{}}", "\x00\xff"])
def test_leftover_that_is_no_whole_document_is_ignored(
    start_resolved: Start, tmp_path: Path, text: str
) -> None:
    """MicroPython's parser would accept a truncated document."""
    path = tmp_path / "run/services.json"
    path.parent.mkdir()
    path.write_text(text, encoding="latin-1")
    extension = start_resolved("users")

    assert extension.document()["users"]["version"] == "1.0.0"


def test_strict_init_fails_naming_each_need(
    start: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    index.publish("users", "1.0.0")

    extension = start("users,billing==1.x,orders", SERVICE_DISCOVERY_STRICT="true")

    assert extension.wait_for_exit() == 1
    (error,) = lambda_api.posted("init/error")
    assert error["errorType"] == "Extension.ResolveError"
    assert "billing" in error["errorMessage"]
    assert "orders" in error["errorMessage"]
    assert "users" not in error["errorMessage"]


def test_strict_init_goes_on_when_everything_is_resolved(
    start: Start, lambda_api: LambdaApi, index: IndexServer
) -> None:
    """A yanked version is an answer, too."""
    index.publish("users", "1.0.0", selector="1.0.0", status={"S": "yanked"})

    extension = start("users==1.0.0", SERVICE_DISCOVERY_STRICT="TRUE")
    lambda_api.wait_until_ready()

    assert extension.document()["users"]["status"] == "yanked"
    assert "version yanked" in extension.log()


def test_malformed_configuration_fails_the_init_with_every_fault(
    start: Start, lambda_api: LambdaApi
) -> None:
    """One deployment shows every fault."""
    extension = start(
        "users=1.2,billing==v1,users<2",
        SERVICE_DISCOVERY_MAX_AGE="soon",
        SERVICE_DISCOVERY_TIMEOUT_MS="0",
        SERVICE_DISCOVERY_STRICT="maybe",
        SERVICES_FILE="services.json",
        SERVICE_DISCOVERY_TABLE="arn:aws:sqs:eu-west-1:1:x",
        SERVICE_DISCOVERY_LOG_LEVEL="LOUD",
        AWS_ENDPOINT_URL_DYNAMODB="ftp://x",
    )

    assert extension.wait_for_exit() == 1
    (error,) = lambda_api.posted("init/error")
    assert error["errorType"] == "Extension.ConfigurationError"
    (headers,) = [headers for path, headers, _ in lambda_api.calls if path == "init/error"]
    assert headers["lambda-extension-function-error-type"] == "Extension.ConfigurationError"
    for part in (
        "at 0: 'users=1.2'",
        "at 10: 'billing==v1'",
        "at 22: 'users<2'",
        "SERVICE_DISCOVERY_MAX_AGE",
        "SERVICE_DISCOVERY_TIMEOUT_MS",
        "SERVICE_DISCOVERY_STRICT",
        "SERVICES_FILE",
        "SERVICE_DISCOVERY_TABLE",
        "SERVICE_DISCOVERY_LOG_LEVEL",
        "AWS_ENDPOINT_URL_DYNAMODB",
    ):
        assert part in error["errorMessage"]


def test_table_named_by_its_arn_is_asked_in_its_own_region(
    start_resolved: Start, index: IndexServer
) -> None:
    """The registry may be in another account or Region."""
    arn = "arn:aws:dynamodb:ap-south-1:123456789012:table/ServiceIndex"
    extension = start_resolved("users", SERVICE_DISCOVERY_TABLE=arn)

    assert index.tables == [arn]
    assert index.regions == ["ap-south-1"]
    assert extension.document()["users"]["version"] == "1.0.0"


def test_read_only_folder_is_only_logged(start_resolved: Start, lambda_api: LambdaApi) -> None:
    """The function runs without its file."""
    extension = start_resolved("users", SERVICES_FILE="/proc/nowhere/services.json")
    lambda_api.invoke()

    assert extension.is_running()
    assert extension.log().count("services file not written") == 1
    assert "ERROR" in extension.log()


def test_folder_in_the_files_place_stays_where_it_is(
    start_resolved: Start, lambda_api: LambdaApi, tmp_path: Path
) -> None:
    """The folder's content belongs to the function."""
    folder = tmp_path / "run/services.json"
    folder.mkdir(parents=True)
    (folder / "kept").touch()
    extension = start_resolved("users")
    lambda_api.invoke()

    assert (folder / "kept").exists()
    extension.wait_until_only_its_file_is_left()
    assert extension.log().count("services file not written") == 1


def test_link_in_the_files_place_is_replaced_and_not_followed(
    start_resolved: Start, tmp_path: Path
) -> None:
    """A rename replaces the link itself; its target stays."""
    target = tmp_path / "elsewhere.json"
    target.write_text('{"not": "ours"}', encoding="utf-8")
    path = tmp_path / "run/services.json"
    path.parent.mkdir()
    path.symlink_to(target)
    extension = start_resolved("users")

    assert not path.is_symlink()
    assert extension.document()["users"]["version"] == "1.0.0"
    assert target.read_text(encoding="utf-8") == '{"not": "ours"}'
    extension.wait_until_only_its_file_is_left()


def test_files_of_a_killed_run_are_no_obstacle(start_resolved: Start, tmp_path: Path) -> None:
    """A reset may kill a run between any two steps, and `/tmp` keeps its files."""
    path = tmp_path / "run/services.json"
    path.parent.mkdir()
    path.with_name("services.json.new").write_text("half of a docu", encoding="utf-8")
    extension = start_resolved("users")

    assert extension.document()["users"]["version"] == "1.0.0"
    extension.wait_until_only_its_file_is_left()


def test_extension_registers_with_a_platform_that_listens_a_moment_later(
    start: Start, index: IndexServer
) -> None:
    """AWS's Runtime Interface Emulator may start an extension before it listens."""
    index.publish("users", "1.4.2")
    late_api = LambdaApi()
    server = late_api.bind()
    extension = start(
        "users",
        AWS_LAMBDA_RUNTIME_API=late_api.address,
        SERVICE_DISCOVERY_LOG_LEVEL="DEBUG",
    )
    extension.wait_for_log("extension started")
    time.sleep(0.2)

    server.serve()
    late_api.wait_until_ready()

    extension.wait_until_resolved()
    assert extension.document()["users"]["version"] == "1.4.2"
    server.shutdown()
    server.server_close()


def test_platform_that_never_listens_ends_the_extension(start: Start) -> None:
    """The exit status is 1, and the log has the reason."""
    api = LambdaApi()
    server = api.bind()

    extension = start("users", AWS_LAMBDA_RUNTIME_API=api.address)

    assert extension.wait_for_exit() == 1
    assert "extensions api failed" in extension.log()
    assert "register: connection refused" in extension.log()
    server.server_close()
