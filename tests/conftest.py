"""Settings and fixtures of several levels of tests."""

import gc
import os
import subprocess
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from botocore.loaders import Loader
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

from local.execution_environment import own_arch

# On a busy machine an example may take long.
settings.register_profile(
    "busy-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("busy-machine")

# With `user = true` in its configuration, pip refuses to install into a folder or an environment.
os.environ["PIP_USER"] = "0"

ROOT = Path(__file__).resolve().parent.parent
_E2E = ROOT / "tests/e2e"
_EXTENSION = ROOT / "tests/functional/extension"
# Their tests run emulators of their own.
_WITHOUT_THE_APP = {"test_demo.py", "test_recipes.py"}


def _needs_the_app(module: Path) -> bool:
    return _E2E in module.parents and module.name not in _WITHOUT_THE_APP


class _ByModule(LoadScopeScheduling):  # type: ignore[misc]  # pytest-xdist has no types here
    """Gives each module's tests to one process of pytest-xdist, and the deployed app's to one.

    A module's fixtures are then made once, and the app is built and deployed once. The extension's
    tests mostly wait: each module has two groups, one for each interpreter.
    """

    def _split_scope(self, nodeid: str) -> str:
        module, _, test = nodeid.partition("::")
        if _needs_the_app(ROOT / module):
            return "app"
        if _EXTENSION in (ROOT / module).parents:
            return f"{module} {'cpython' in test}"
        return module


@pytest.fixture(scope="session", autouse=True)
def _one_cache_of_botocores_files() -> Iterator[None]:
    """Let botocore read its descriptions of services once, not once for each session.

    The command line makes a session for each command, and reading takes longer than most tests.
    """
    caches: defaultdict[tuple[str, ...], dict[Any, Any]] = defaultdict(dict)
    init = Loader.__init__

    def _init(self: Any, *args: Any, **more: Any) -> None:
        init(self, *args, **more)
        self._cache = caches[tuple(self.search_paths)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Loader, "__init__", _init)
        yield


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> _ByModule:
    """Distribute the tests in this way, with any value of `--dist`."""
    return _ByModule(config, log)


def pytest_collection() -> None:
    """Collect no garbage while the tests are imported: there is none."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Let the garbage collector pass over the imported modules and the collected tests."""
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the deployed app's tests first, then the other emulators': the longest groups."""
    items.sort(key=lambda item: _rank(item.path))


@cache
def _rank(module: Path) -> tuple[bool, bool]:
    return not _needs_the_app(module), _E2E not in module.parents


def product_version() -> str:
    """Return the version in pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    version: str = project["version"]
    return version


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltLayer:
    """The layer for this machine, and its binary as a plain interpreter."""

    folder: Path
    micropython: Path

    @property
    def program(self) -> Path:
        """The extension."""
        return self.folder / "extensions/service-discovery"


@pytest.fixture(scope="session")
def layer(tmp_path_factory: pytest.TempPathFactory) -> BuiltLayer:
    """Build the layer of this machine's architecture; from the cache if nothing has changed."""
    folder = tmp_path_factory.mktemp("layer")
    built = BuiltLayer(folder=folder / "opt", micropython=folder / "micropython")
    subprocess.run(
        [
            *(sys.executable, str(ROOT / "layer/build.py"), "--arch", own_arch()),
            *("--output", str(built.folder), "--interpreter", str(built.micropython)),
        ],
        check=True,
    )
    return built
