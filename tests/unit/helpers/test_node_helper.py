import shutil
import subprocess
from pathlib import Path

import pytest

_FOLDER = Path(__file__).parent


def test_node_helper() -> None:
    """The tests of the Node.js helper are in Node's own test runner."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed here")
    files = sorted(str(path) for path in _FOLDER.glob("*.test.mjs"))

    ran = subprocess.run(
        [node, "--test", *files], capture_output=True, text=True, check=False, timeout=120
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert len(files) == 2
