from collections.abc import Callable
from pathlib import Path

import pytest

from local import build_cache


class Checkout:
    """A checkout with one source file, which its build copies."""

    def __init__(self, folder: Path) -> None:
        self.source = folder / "checkout/registry_api/handler.py"
        self.source.parent.mkdir(parents=True)
        self.source.write_text("version 1")
        self.built = 0
        self._results = folder / "results"

    def build(self, layers: str = "x86_64", fails: BaseException | None = None) -> str:
        """Build, unless the cache has the result; return the build's content."""
        into = self._results / str(len(list(self._results.glob("*"))))

        def build() -> None:
            self.built += 1
            into.mkdir(parents=True)
            if fails:
                raise fails
            (into / "handler.py").write_text(self.source.read_text())

        build_cache.copy_or_build(into, layers, build, checkout=self.source.parents[1])
        return (into / "handler.py").read_text()


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    """Return a checkout beside an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Checkout(tmp_path)


def test_unchanged_checkout_is_built_once(checkout: Checkout) -> None:
    assert [checkout.build(), checkout.build()] == ["version 1", "version 1"]

    assert checkout.built == 1


def _edit(checkout: Checkout) -> None:
    checkout.source.write_text("version 2")


def _add(checkout: Checkout) -> None:
    checkout.source.with_name("routes.py").touch()


def _rename(checkout: Checkout) -> None:
    checkout.source.parent.rename(checkout.source.parents[1] / "publisher")
    checkout.source = checkout.source.parents[1] / "publisher/handler.py"


def _make_executable(checkout: Checkout) -> None:
    checkout.source.chmod(0o755)


@pytest.mark.parametrize("change", [_edit, _add, _rename, _make_executable])
def test_changed_checkout_is_built_again(
    checkout: Checkout, change: Callable[[Checkout], None]
) -> None:
    checkout.build()
    change(checkout)

    assert checkout.build() == checkout.source.read_text()

    assert checkout.built == 2


def test_build_with_all_layers_serves_one_architecture(checkout: Checkout) -> None:
    checkout.build(layers="")
    checkout.build(layers="x86_64")

    assert checkout.built == 1


def test_build_for_one_architecture_does_not_serve_all(checkout: Checkout) -> None:
    checkout.build(layers="x86_64")
    checkout.build(layers="")

    assert checkout.built == 2


def test_failed_build_is_not_kept(checkout: Checkout) -> None:
    with pytest.raises(KeyboardInterrupt):
        checkout.build(fails=KeyboardInterrupt())

    assert checkout.build() == "version 1"
