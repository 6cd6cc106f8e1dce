"""Functions with the layer under AWS's Runtime Interface Emulator, and a failing registry."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from local.execution_environment import ExecutionEnvironment, Function, execution_environment
from testing import index_server
from testing.arns import ARN
from testing.index_server import IndexServer, item
from testing.shell_runtime import write_bootstrap
from tests.conftest import BuiltLayer

_INIT = re.compile(r"INIT REPORT\(durationMs: ([0-9.]+)\)")
_INVOCATIONS = 200

Run = Callable[..., ExecutionEnvironment]


@pytest.fixture
def index() -> Iterator[IndexServer]:
    """Serve an index."""
    server = IndexServer()
    server.put("users", "latest", item("1.0.0", ARN))
    yield server
    server.close()


@pytest.fixture
def run(layer: BuiltLayer, index: IndexServer, tmp_path: Path) -> Iterator[Run]:
    """Run the function: `run(AWS_LAMBDA_FUNCTION_TIMEOUT="1")`."""
    bootstrap = write_bootstrap(tmp_path)
    with ExitStack() as stack:

        def _run(**variables: str) -> ExecutionEnvironment:
            environment = {
                "AWS_ENDPOINT_URL_DYNAMODB": index.url,
                "AWS_REGION": "eu-west-1",
                "AWS_ACCESS_KEY_ID": "AKID",
                "AWS_SECRET_ACCESS_KEY": "SECRET",
                "AWS_SESSION_TOKEN": "TOKEN",
                "NEEDED_SERVICES": "users",
                "SERVICES_FILE": str(tmp_path / "services.json"),
                **variables,
            }
            function = Function(
                name="consumer", command=[str(bootstrap), "handler"], variables=environment
            )
            return stack.enter_context(
                execution_environment(function, layer.folder, tmp_path / "environment")
            )

        yield _run


def _init_ms(environment: ExecutionEnvironment) -> float:
    (found,) = _INIT.findall(environment.log.read_text(encoding="utf-8"))
    return float(found)


def test_handler_that_reads_first_thing_gets_the_newest_answer(
    run: Run, index: IndexServer
) -> None:
    """There are many invocations, with a MAX_AGE of 0 and a new answer before each."""
    environment = run(SERVICE_DISCOVERY_MAX_AGE="0", SERVICE_DISCOVERY_HOLD_MS="5000")
    read = []
    published = []

    for minor in range(_INVOCATIONS):
        index.put("users", "latest", item(f"1.{minor}.0", ARN, revision=minor + 1))
        published.append(f"1.{minor}.0")
        read.append(environment.invoke().payload["now"]["users"]["version"])

    assert read == published


@pytest.mark.parametrize("reads_at_start", ["", "yes"])
def test_init_waits_for_a_silent_registry_only_if_it_reads_the_file(
    run: Run, index: IndexServer, reads_at_start: str
) -> None:
    """The resolve continues during the function's init and its first invocation."""
    index.fault = index_server.silence
    environment = run(SERVICE_DISCOVERY_TIMEOUT_MS="1500", READS_AT_START=reads_at_start)

    payload = environment.invoke().payload

    assert payload["now"]["users"]["status"] == "unavailable"
    if reads_at_start:
        assert payload["at_start"] == payload["now"]
    assert (_init_ms(environment) >= 1_400) == bool(reads_at_start)


@pytest.mark.parametrize("is_strict", ["false", "true"])
def test_slow_registry_holds_an_init_only_under_strict(
    run: Run, index: IndexServer, is_strict: str
) -> None:
    """The answer takes 300 ms, and then as much again."""
    index.delay_s = 0.6
    environment = run(SERVICE_DISCOVERY_STRICT=is_strict)

    payload = environment.invoke().payload

    assert payload["now"]["users"]["version"] == "1.0.0"
    assert (_init_ms(environment) >= 590) == (is_strict == "true")


@pytest.mark.parametrize(("timeout_s", "timeout_ms"), [("1", "1500"), ("3", "5000")])
@pytest.mark.parametrize("reads_at_start", ["", "yes"])
def test_repeated_init_beside_a_silent_registry_fails_no_invocation(
    run: Run, index: IndexServer, timeout_s: str, timeout_ms: str, reads_at_start: str
) -> None:
    """Lambda repeats an init under the function's own timeout; the file has good answers."""
    environment = run(
        AWS_LAMBDA_FUNCTION_TIMEOUT=timeout_s,
        SERVICE_DISCOVERY_TIMEOUT_MS=timeout_ms,
        READS_AT_START=reads_at_start,
    )
    assert environment.invoke().payload["now"]["users"]["version"] == "1.0.0"
    before = environment.processes()
    environment.invoke({"then": "exit"})
    index.fault = index_server.silence

    answers = [environment.invoke() for _ in range(3)]

    assert environment.processes().extension != before.extension

    assert [answer.status for answer in answers] == [200] * 3
    versions = [answer.payload["now"]["users"]["version"] for answer in answers]
    assert versions == ["1.0.0"] * 3


def test_first_init_that_is_ended_by_its_timeout_is_not_ended_twice(
    run: Run, index: IndexServer
) -> None:
    """The emulator ends a first init after the function's timeout; Lambda, after ten seconds."""
    index.fault = index_server.silence
    environment = run(
        AWS_LAMBDA_FUNCTION_TIMEOUT="2", SERVICE_DISCOVERY_TIMEOUT_MS="3000", READS_AT_START="yes"
    )
    first = environment.invoke()

    answers = [environment.invoke() for _ in range(2)]

    assert "Task timed out" in str(first.payload)
    assert [answer.status for answer in answers] == [200] * 2
    statuses = [answer.payload["now"]["users"]["status"] for answer in answers]
    assert statuses == ["unavailable"] * 2


def test_repeated_strict_init_says_why_it_fails_and_starts_with_the_registry(
    run: Run, index: IndexServer
) -> None:
    """STRICT requires an answer in this init, within its own time limit."""
    environment = run(
        AWS_LAMBDA_FUNCTION_TIMEOUT="3",
        SERVICE_DISCOVERY_TIMEOUT_MS="600",
        SERVICE_DISCOVERY_STRICT="true",
    )
    environment.invoke()
    environment.invoke({"then": "exit"})
    index.fault = index_server.silence

    failed = environment.invoke()
    index.fault = None
    answer = environment.invoke()

    assert failed.status == 502
    assert "type=Extension.ResolveError" in environment.log.read_text(encoding="utf-8")
    assert answer.payload["now"]["users"]["version"] == "1.0.0"


@pytest.mark.parametrize(("timeout_s", "timeout_ms"), [("1", "1500"), ("2", "5000")])
def test_repeated_strict_init_that_the_timeout_ends_says_why_and_starts_with_the_registry(
    run: Run, index: IndexServer, timeout_s: str, timeout_ms: str
) -> None:
    """The emulator ends a process two seconds after the function's timeout.

    The first resolve of 1.5 seconds ends before that. The one of 5 seconds is killed, so the next
    one takes a quarter of the time.
    """
    environment = run(
        AWS_LAMBDA_FUNCTION_TIMEOUT=timeout_s,
        SERVICE_DISCOVERY_TIMEOUT_MS=timeout_ms,
        SERVICE_DISCOVERY_STRICT="true",
    )
    environment.invoke()
    environment.invoke({"then": "exit"})
    index.fault = index_server.silence

    failed = [environment.invoke() for _ in range(2)]
    log = environment.log.read_text(encoding="utf-8")
    index.fault = None
    answer = environment.invoke()

    assert "Task timed out" in str(failed[0].payload)
    assert "type=Extension.ResolveError" in log
    if timeout_ms == "5000":
        assert failed[1].status == 502
    assert answer.payload["now"]["users"]["version"] == "1.0.0"
