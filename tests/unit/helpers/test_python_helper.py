import asyncio
import fcntl
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import service_discovery
from service_discovery import (
    ServiceMissingError,
    ServiceUnavailableError,
    StaleServiceError,
    get_arn,
    get_service,
)
from service_discovery.testing import services

from tests.conftest import ROOT
from tests.unit.helpers import run_cases

_LONG_AGO = 1_700_000_000
_CASES = json.loads(run_cases.CASES.read_text(encoding="utf-8"))
_SCRIPT = Path(run_cases.__file__)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the path of this test's services file, which does not exist yet."""
    path = tmp_path / "services.json"
    monkeypatch.setenv("SERVICES_FILE", str(path))
    monkeypatch.delenv("NEEDED_SERVICES", raising=False)
    return path


def _document(version: str, padding: str = "") -> str:
    users = {"version": version, "arn": f"arn:users:{version}", "status": "active"}
    return json.dumps({"users": users, "other": {"status": "missing", "error": padding}})


def _replace(path: Path, text: str) -> None:
    staged = path.with_name("services.json.new")
    staged.write_text(text, encoding="utf-8")
    staged.replace(path)


@pytest.mark.parametrize("case", _CASES, ids=[case["what"] for case in _CASES])
def test_documented_case(
    case: dict[str, object], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEEDED_SERVICES", "")

    assert run_cases.faults_of(case, path.parent) == []


def _interpreter(minor: int) -> str:
    """Return the path of CPython 3.*minor*, or skip the test."""
    name = f"python3.{minor}"
    found = shutil.which(name)
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    installed = sorted(versions.glob(f"3.{minor}.*/bin/python"))
    if found is not None and subprocess.run([found, "-V"], check=False).returncode == 0:
        return found
    if not installed:
        pytest.skip(f"{name} is not installed here")
    return str(installed[-1])


@pytest.mark.parametrize("minor", [9, 10, 12, 13, 14])
def test_other_versions_of_python_agree(minor: int, tmp_path: Path) -> None:
    """Functions run on every Python version of Lambda, with the same layer."""
    ran = subprocess.run(
        [_interpreter(minor), "-W", "error", str(_SCRIPT), str(tmp_path)],
        env={"PYTHONPATH": str(ROOT / "helpers/python"), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.endswith(f"{len(_CASES)} cases, 0 faults\n")


def test_import_loads_nothing_that_the_runtime_has_not_loaded() -> None:
    """Every import adds to the cold start; `typing` takes 5 ms."""
    program = (
        "import sys, awslambdaric.bootstrap; before = set(sys.modules); import service_discovery;"
        "print(sorted(set(sys.modules) - before))"
    )
    environment = {"PYTHONPATH": str(ROOT / "helpers/python"), "PYTHONDONTWRITEBYTECODE": "1"}

    printed = subprocess.check_output([sys.executable, "-c", program], env=environment, text=True)

    assert printed == "['service_discovery']\n"


def test_replaced_file_is_read_at_the_next_call(path: Path) -> None:
    _replace(path, _document("1.0.0"))
    assert get_arn("users") == "arn:users:1.0.0"

    _replace(path, _document("1.1.0"))

    assert get_arn("users") == "arn:users:1.1.0"


def test_file_rewritten_in_place_within_a_clock_tick_is_read(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Lambda's kernels (before 6.13), a file's times change only every 10 ms."""

    def _coarse_fstat(fd: int) -> SimpleNamespace:
        info = os.stat(fd)
        names = ("st_ino", "st_dev", "st_mtime", "st_mtime_ns")
        tick = info.st_ctime_ns - info.st_ctime_ns % 10_000_000
        return SimpleNamespace(**{name: getattr(info, name) for name in names}, st_ctime_ns=tick)

    coarse_os = SimpleNamespace(**{**vars(os), "fstat": _coarse_fstat})
    monkeypatch.setattr(service_discovery, "os", coarse_os)
    for number in range(500):
        version = f"1.0.{number % 10}"
        path.write_text(_document(version), encoding="utf-8")
        os.utime(path, (_LONG_AGO, _LONG_AGO))

        assert get_arn("users") == f"arn:users:{version}"


def test_settled_file_rewritten_in_place_with_its_time_kept_is_read(path: Path) -> None:
    path.write_text(_document("1.0.0"), encoding="utf-8")
    os.utime(path, (_LONG_AGO, _LONG_AGO))
    time.sleep(0.15)
    assert [get_arn("users"), get_arn("users")] == ["arn:users:1.0.0"] * 2

    path.write_text(_document("1.0.1"), encoding="utf-8")
    os.utime(path, (_LONG_AGO, _LONG_AGO))

    assert get_arn("users") == "arn:users:1.0.1"


def test_held_reader_reads_the_new_document(path: Path) -> None:
    """The extension holds a reader with a lease while a check is due, and fills the held file."""
    path.write_text(_document("1.0.0"), encoding="utf-8")
    assert get_arn("users") == "arn:users:1.0.0"
    fd = os.open(path, os.O_RDWR)
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)
    found: list[str] = []
    reader = threading.Thread(target=lambda: found.append(get_arn("users")))
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        reader.start()
        reader.join(0.1)
        assert found == [], "the reader was not held"

        os.pwrite(fd, _document("1.0.1").encode(), 0)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        reader.join(5)
    finally:
        os.close(fd)
        signal.signal(signal.SIGIO, before)

    assert found == ["arn:users:1.0.1"]


def test_file_is_parsed_only_if_its_content_has_changed(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each check changes the modification time, even if no answer has changed."""
    parsed: list[bytes] = []
    loads = json.loads

    def _counting_loads(data: bytes) -> object:
        parsed.append(data)
        return loads(data)

    _replace(path, _document("1.0.0"))
    monkeypatch.setattr(json, "loads", _counting_loads)
    for checked_at in range(_LONG_AGO, _LONG_AGO + 5):
        os.utime(path, (checked_at, checked_at))
        get_service("users")
        get_service("users")

    assert len(parsed) == 1


def test_age_is_that_of_the_last_check_though_nothing_was_parsed(path: Path) -> None:
    _replace(path, _document("1.0.0"))
    os.utime(path, (time.time() - 500,) * 2)
    assert get_service("users").age >= 500

    os.utime(path, (time.time() - 100,) * 2)

    assert 100 <= get_service("users").age < 400


def test_deleted_file_is_an_error_and_one_that_is_back_is_read(path: Path) -> None:
    _replace(path, _document("1.0.0"))
    get_arn("users")
    path.unlink()
    with pytest.raises(ServiceUnavailableError):
        get_arn("users")

    _replace(path, _document("1.0.0"))

    assert get_arn("users") == "arn:users:1.0.0"


def test_folder_in_the_files_place_is_an_error_with_the_cause(path: Path) -> None:
    path.mkdir()

    with pytest.raises(ServiceUnavailableError, match="cannot be read: Is a directory") as caught:
        get_arn("users")

    assert isinstance(caught.value.__cause__, IsADirectoryError)


def test_callers_get_metadata_of_their_own(path: Path) -> None:
    member = {"version": "1.0.0", "arn": "arn:users", "status": "active"}
    _replace(path, json.dumps({"users": {**member, "metadata": {"team": "identity"}}}))

    get_service("users").metadata["team"] = "mine"

    assert get_service("users").metadata == {"team": "identity"}


def test_descriptors_are_closed(path: Path) -> None:
    """If the file stays open, the extension cannot lease it again."""
    _replace(path, _document("1.0.0"))
    before = set(Path("/proc/self/fd").iterdir())
    for text in (_document("1.0.1"), "{", _document("1.0.2")):
        _replace(path, text)
        try:
            get_arn("users")
        except ServiceUnavailableError:
            continue

    assert set(Path("/proc/self/fd").iterdir()) == before


def test_threads_never_see_a_part_of_a_document(path: Path) -> None:
    """Four readers run beside a writer that replaces the file."""
    padding = "x" * 50_000
    _replace(path, _document("0.0.0", padding))
    faults: list[object] = []
    seen: set[str] = set()
    is_done = threading.Event()

    def _read() -> None:
        while not is_done.is_set():
            try:
                service = get_service("users")
            except ServiceUnavailableError as error:
                faults.append(error)
                return
            seen.add(service.version)
            if service.arn != f"arn:users:{service.version}":
                faults.append(service)

    readers = [threading.Thread(target=_read) for _ in range(4)]
    for reader in readers:
        reader.start()
    for number in range(300):
        _replace(path, _document(f"1.0.{number}", padding))
    is_done.set()
    for reader in readers:
        reader.join(10)

    assert faults == []
    assert len(seen) > 1
    assert get_service("users").version == "1.0.299"


def test_async_code_calls_it_in_a_thread(path: Path) -> None:
    """The event loop continues while a read is held."""
    _replace(path, _document("1.0.0"))

    async def _arns() -> list[str]:
        calls = [asyncio.to_thread(get_arn, "users") for _ in range(8)]
        return await asyncio.gather(*calls)

    assert asyncio.run(_arns()) == ["arn:users:1.0.0"] * 8


@pytest.fixture
def two_services() -> Iterator[None]:
    """Replace the answers as a user's fixture does."""
    with services({"users": "arn:fake", "billing": {"status": "missing"}}):
        yield


@pytest.mark.usefixtures("two_services")
def test_services_replaces_the_answers() -> None:
    assert get_arn("users") == "arn:fake"
    assert get_service("users").status == "active"
    with pytest.raises(ServiceMissingError, match="no version matches"):
        get_arn("billing")


def test_max_age_that_is_not_a_number_is_never_kept() -> None:
    """Every comparison with NaN is false."""
    with services({"users": "arn:fake"}), pytest.raises(StaleServiceError, match="nan"):
        get_service("users", max_age=float("nan"))


def test_services_restores_the_former_file(path: Path) -> None:
    _replace(path, _document("1.0.0"))
    with services({"users": "arn:outer"}):
        with pytest.raises(ZeroDivisionError), services({"users": "arn:inner"}):
            assert [get_arn("users"), 1 / 0]
        assert get_arn("users") == "arn:outer"

    assert get_arn("users") == "arn:users:1.0.0"


def test_services_gives_back_a_variable_that_was_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SERVICES_FILE", raising=False)

    with services({"users": "arn:fake"}):
        assert "SERVICES_FILE" in os.environ

    assert "SERVICES_FILE" not in os.environ


def test_services_is_a_decorator_too() -> None:
    @services({"users": "arn:fake"})
    def _handler() -> str:
        return get_arn("users")

    assert [_handler(), _handler()] == ["arn:fake"] * 2


def test_services_sets_the_age_and_all_that_a_member_can_have() -> None:
    users = {"arn": "arn:fake", "version": "2.0.0", "status": "yanked", "resolved_at": "then"}

    with services({"users": users}, age=600):
        service = get_service("users")
        with pytest.raises(StaleServiceError):
            get_service("users", max_age=300)

    assert {name: getattr(service, name) for name in users} == users
    assert 600 <= service.age < 700


def test_services_can_look_as_if_never_checked() -> None:
    with (
        services({"users": {"status": "unavailable"}}, age=float("inf")),
        pytest.raises(ServiceUnavailableError, match="could not be reached"),
    ):
        get_arn("users")


@pytest.mark.parametrize(
    ("member", "message"),
    [({"status": "gone"}, "'users': status 'gone'"), ({"version": "1.0.0"}, 'needs an "arn"')],
)
def test_services_refuses_a_member_that_no_file_could_have(
    member: dict[str, str], message: str
) -> None:
    """A mistake in a test's answers is an error at once, not a missing service."""
    with pytest.raises(ValueError, match=message), services({"users": member}):
        pass


def test_errors_survive_a_process_boundary() -> None:
    """Test runners and multiprocessing pickle exceptions."""
    error = StaleServiceError("old", key="users")

    copy = pickle.loads(pickle.dumps(error))

    assert (type(copy), str(copy), copy.key) == (StaleServiceError, "old", "users")


@pytest.mark.slow
def test_package_installs_with_its_types(tmp_path: Path) -> None:
    """Users install it from a checkout with pip, for laptops and unit tests."""
    source = shutil.copytree(ROOT / "helpers/python", tmp_path / "source")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
    command += ["--no-build-isolation", "--target", str(tmp_path / "installed"), str(source)]

    subprocess.run(command, check=True, timeout=120)

    installed = {path.name for path in (tmp_path / "installed/service_discovery").iterdir()}
    assert {"__init__.py", "testing.py", "py.typed"} <= installed
