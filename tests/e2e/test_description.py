"""The deployed API behaves as in its description."""

import os
import subprocess
import sys
from pathlib import Path

from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.conftest import ROOT
from tests.e2e.conftest import App

_CONFIG = ROOT / "tests/e2e/api_description/schemathesis.toml"
_EXAMPLES = 10
_SEED = 20_261_125


def test_description_is_openapi(app: App) -> None:
    """Clients are generated from it."""
    response = app.registry.send("GET", "/openapi.json")

    assert response.status == 200
    assert response.headers["content-type"] == "application/json"
    assert response.document["openapi"].startswith("3.1.")
    OpenAPIV31SpecValidator(response.document).validate()


def test_responses_are_as_the_description_says(app: App, tmp_path: Path) -> None:
    """The requests are examples, edge cases, random ones, and sequences of them."""
    url = app.deployment.registry_url
    # Run as a module: a console script may not be on the path.
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(_CONFIG)),
        *("run", f"{url}/openapi.json", "--url", url),
        *("--checks", "all", "--max-examples", str(_EXAMPLES), "--seed", str(_SEED)),
    ]

    tested = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert tested.returncode == 0, tested.stdout + tested.stderr
    # All operations except the one that returns the description.
    paths = app.registry.send("GET", "/openapi.json").document["paths"]
    tried = sum(map(len, paths.values())) - 1
    assert f"{tried} selected / {tried} total" in tested.stdout
    for phase in ("Examples", "Coverage", "Fuzzing", "Stateful"):
        assert f"✅  {phase}" in tested.stdout
