import sys
from pathlib import Path

import pytest

from registry_api import build_check


def test_packages_of_this_python_pass() -> None:
    """The tests run on the Python that they were installed for."""
    build_check.require_matching_python()


def test_packages_of_another_python_are_refused_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The original import error has only the name of a file."""
    for name in [each for each in sys.modules if each.startswith("pydantic_core")]:
        monkeypatch.delitem(sys.modules, name)
    package = tmp_path / "pydantic_core"
    package.mkdir()
    (package / "__init__.py").write_text("from pydantic_core._pydantic_core import x\n")
    (package / "_pydantic_core.cpython-399-x86_64-linux-gnu.so").write_bytes(b"")
    monkeypatch.syspath_prepend(str(tmp_path))

    with pytest.raises(build_check.OtherPythonError, match=r"PythonRuntime=\.\.\."):
        build_check.require_matching_python()
