"""Settings and fixtures of several levels of tests."""

import os
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
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
# Their tests run emulators of their own.
_WITHOUT_THE_APP = {"test_demo.py", "test_recipes.py"}


def _needs_the_app(module: Path) -> bool:
    return _E2E in module.parents and module.name not in _WITHOUT_THE_APP


class _ByModule(LoadScopeScheduling):  # type: ignore[misc]  # pytest-xdist has no types here
    """Gives each module's tests to one process of pytest-xdist, and the deployed app's to one.

    A module's fixtures are then made once, and the app is built and deployed once.
    """

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.partition("::")[0]
        return "app" if _needs_the_app(ROOT / module) else module


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> _ByModule:
    """Distribute the tests in this way, with any value of `--dist`."""
    return _ByModule(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the deployed app's tests first, then the other emulators': the longest groups."""
    items.sort(key=lambda item: (not _needs_the_app(item.path), _E2E not in item.path.parents))


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
