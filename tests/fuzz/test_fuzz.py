"""A short run of `make fuzz`."""

import pytest

from tests.conftest import BuiltLayer
from tests.fuzz.__main__ import run_block
from tests.fuzz.targets import TARGETS


@pytest.mark.parametrize("target", TARGETS)
def test_no_changed_input_breaks_a_parser(target: str, layer: BuiltLayer) -> None:
    """An exception in a parser would end the extension, and fail the function's invocation."""
    assert run_block(target, 1, 3_000, layer.micropython) is None
