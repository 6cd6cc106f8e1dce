"""The function's environment."""

import pytest

from registry_api.settings import ApiSettings

GOOD = {
    "VERSIONS_TABLE": "Versions",
    "INDEX_TABLE": "ServiceIndex",
    "CONSUMERS_TABLE": "Consumers",
}


def test_tables_are_the_ones_that_the_template_names() -> None:
    """The names are those of the template's variables."""
    settings = ApiSettings.from_env(GOOD.get)

    assert settings.versions_table == "Versions"
    assert settings.index_table == "ServiceIndex"
    assert settings.consumers_table == "Consumers"


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("value", [None, ""])
def test_missing_table_fails_the_init(name: str, value: str | None) -> None:
    """The deployment fails at once, and not at the first request."""
    with pytest.raises(LookupError, match=name):
        ApiSettings.from_env((GOOD | {name: value}).get)
