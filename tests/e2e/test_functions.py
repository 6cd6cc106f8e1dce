"""Functions with the layer, under AWS's Runtime Interface Emulator."""

import stat
from pathlib import Path

import pytest

from local import processes
from tests.e2e.conftest import App, Run, arn

_ONE_VERSION = {"latest": "1.0.0", "1.x": "1.0.0", "1.0.x": "1.0.0", "1.0.0": "1.0.0"}
_TWO_VERSIONS = {"latest": "1.1.0", "1.x": "1.1.0", "1.0.x": "1.0.0", "1.0.0": "1.0.0"} | {
    "1.1.x": "1.1.0",
    "1.1.0": "1.1.0",
}


@pytest.mark.parametrize("runtime", ["python", "shell"])
def test_new_version_reaches_a_running_function(
    app: App, run: Run, tmp_path: Path, runtime: str
) -> None:
    """A running function gets a new ARN; its processes stay the same."""
    service = f"fresh-{runtime}"
    app.publish(service, "1.0.0")
    app.wait_for_index(service, _ONE_VERSION)
    function = run(runtime, f"{service},old:{service}==1.0.x")
    first = function.invoke()
    before = function.processes()

    app.publish(service, "1.1.0")
    app.wait_for_index(service, _TWO_VERSIONS)
    # A check on INVOKE runs beside the function: only the next invocation is sure to read its
    # result.
    function.invoke()
    last = function.invoke()

    assert (first.status, last.status) == (200, 200)
    assert first.payload["at_start"][service]["arn"] == arn(service, "1.0.0")
    assert last.payload["at_start"] == first.payload["at_start"]
    assert last.payload["now"][service]["arn"] == arn(service, "1.1.0")
    assert last.payload["now"]["old"] == {
        "service": service,
        "requested": "1.0.x",
        "version": "1.0.0",
        "arn": arn(service, "1.0.0"),
        "status": "active",
        "resolved_at": first.payload["now"]["old"]["resolved_at"],
    }
    assert function.processes() == before
    assert last.payload["pid"] == first.payload["pid"]
    assert stat.S_IMODE((tmp_path / "consumer/services.json").stat().st_mode) == 0o644


@pytest.mark.parametrize("runtime", ["python", "shell"])
def test_unpublished_service_is_missing(app: App, run: Run, runtime: str) -> None:
    """The function starts, can read the reason, and has its other services."""
    app.publish("known", "1.0.0")
    app.wait_for_index("known", _ONE_VERSION)
    function = run(runtime, "known,nobody==1.x")

    response = function.invoke()

    assert response.status == 200
    assert response.payload["at_start"]["nobody"] == {
        "requested": "1.x",
        "status": "missing",
        "error": "no version of 'nobody' matches '==1.x'",
    }
    assert response.payload["at_start"]["known"]["status"] == "active"


def test_missing_service_is_found_once_it_is_published(app: App, run: Run) -> None:
    """Consumers may be deployed before their providers."""
    function = run("shell", "latecomer")
    assert function.invoke().payload["now"]["latecomer"]["status"] == "missing"

    app.publish("latecomer", "1.0.0")
    app.wait_for_index("latecomer", _ONE_VERSION)
    function.invoke()

    found = function.invoke().payload["now"]["latecomer"]
    assert (found["status"], found["arn"]) == ("active", arn("latecomer", "1.0.0"))


def test_function_that_needs_nothing_gets_an_empty_file(run: Run) -> None:
    """The layer may be attached before any service is needed."""
    assert run("python", "").invoke().payload["now"] == {}


def test_malformed_needs_fail_the_init_with_every_fault(run: Run) -> None:
    """The error of the deployment has every fault at once."""
    function = run("shell", "users=1.2, users<2")

    responses = [function.invoke(), function.invoke()]

    assert [response.status for response in responses] == [502, 502]
    # The emulator's log shows only the type of the reported error. The function may end first,
    # since it finds no file: then the emulator logs that the report came second.
    processes.wait_until(
        lambda: "Extension.InitError" in function.log.read_text("utf-8"),
        within_s=20,
        what="the emulator logs the extension's report",
    )
    log = function.log.read_text(encoding="utf-8")
    assert "type=Extension.ConfigurationError" in log
    assert "at 0: 'users=1.2'" in log
    assert "at 11: 'users<2'" in log


def test_strict_function_does_not_start_without_its_services(run: Run) -> None:
    """With STRICT a function that needs an answer does not start without it."""
    function = run("shell", "nobody", SERVICE_DISCOVERY_STRICT="true")

    responses = [function.invoke(), function.invoke()]

    assert [response.status for response in responses] == [502, 502]
    log = function.log.read_text(encoding="utf-8")
    assert "type=Extension.ResolveError" in log
    assert "'nobody'" in log


def test_registry_out_of_reach_fails_no_invocation(app: App, run: Run) -> None:
    """An outage of the registry is not an outage of the function, and the file says why."""
    (nobody_there,) = processes.free_ports(1)
    function = run(
        "python",
        "users",
        AWS_ENDPOINT_URL_DYNAMODB=f"http://127.0.0.1:{nobody_there}",
        SERVICE_DISCOVERY_TIMEOUT_MS="200",
    )

    response = function.invoke()

    assert response.status == 200
    member = response.payload["at_start"]["users"]
    assert (member["requested"], member["status"]) == ("latest", "unavailable")
    assert member["error"]
    assert app.emulator.url.rpartition(":")[2] != str(nobody_there)


def test_shutdown_is_clean(app: App, run: Run) -> None:
    """Lambda counts any other exit status as a crash."""
    app.publish("ending", "1.0.0")
    function = run("shell", "ending", AWS_LAMBDA_LOG_LEVEL="DEBUG")
    function.invoke()
    tree = function.processes()

    function.shut_down()

    log = function.log.read_text(encoding="utf-8")
    assert "ShutdownFailed" not in log
    assert "Crash" not in log
    for pid, started in (tree.extension, tree.runtime):
        assert not processes.is_same_process(pid, started)
