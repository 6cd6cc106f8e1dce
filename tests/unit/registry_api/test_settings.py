"""The function's environment."""

import pytest

from registry_api.settings import Settings


def test_table_is_the_one_that_the_template_names() -> None:
    """Read where the template writes it."""
    assert Settings.from_env({"VERSIONS_TABLE": "Versions"}.get).versions_table == "Versions"


@pytest.mark.parametrize("environment", [{}, {"VERSIONS_TABLE": ""}])
def test_missing_table_fails_the_init(environment: dict[str, str]) -> None:
    """A deployment without it must fail at once, and not at the first publish."""
    with pytest.raises(LookupError, match="VERSIONS_TABLE"):
        Settings.from_env(environment.get)
