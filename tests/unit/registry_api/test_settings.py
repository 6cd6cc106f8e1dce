"""The function's environment."""

import pytest

from registry_api.settings import ApiSettings

GOOD = {"VERSIONS_TABLE": "Versions", "INDEX_TABLE": "ServiceIndex"}


def test_tables_are_the_ones_that_the_template_names() -> None:
    """Read where the template writes them."""
    settings = ApiSettings.from_env(GOOD.get)

    assert (settings.versions_table, settings.index_table) == ("Versions", "ServiceIndex")


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("value", [None, ""])
def test_missing_table_fails_the_init(name: str, value: str | None) -> None:
    """A deployment without it must fail at once, and not at the first request."""
    with pytest.raises(LookupError, match=name):
        ApiSettings.from_env((GOOD | {name: value}).get)
