"""A short run of `make fuzz`."""

import pytest

from tests.conftest import BuiltLayer
from tests.fuzz.__main__ import run_block
from tests.fuzz.targets import TARGETS


@pytest.mark.parametrize("target", TARGETS)
def test_no_bent_input_breaks_a_parser(target: str, layer: BuiltLayer) -> None:
    """An answer that nobody foresaw must never end the extension, and with it the function."""
    assert run_block(target, 1, 3_000, layer.micropython) is None
