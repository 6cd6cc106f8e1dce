"""The publisher's settings, from its environment variables."""

from collections.abc import Callable
from dataclasses import dataclass

from registry_client.address import DeployedApi


@dataclass(frozen=True, slots=True, kw_only=True)
class PublisherSettings:
    """The registry and the ledger that the publisher uses.

    Attributes:
        registry_url: The address of the registry's API.
        region: The Region to sign for.
        ledger_table: The table of the ledger.
        allowed_names: A pattern with `*` and `?` for the services that may be changed.
    """

    registry_url: str
    region: str
    ledger_table: str
    allowed_names: str

    @classmethod
    def from_env(cls, getenv: Callable[[str], str | None]) -> "PublisherSettings":
        """Read the environment, which `infra/template.yaml` and Lambda set.

        Raises:
            LookupError: A variable is not set.
        """
        url = _required(getenv, "REGISTRY_URL")
        api, endpoint = DeployedApi.of(url), getenv("AWS_ENDPOINT_URL")
        return cls(
            # An emulator serves deployed APIs at its own address.
            registry_url=api.emulated_at(endpoint) if api and endpoint else url,
            region=_required(getenv, "AWS_REGION"),
            ledger_table=_required(getenv, "LEDGER_TABLE"),
            allowed_names=_required(getenv, "ALLOWED_SERVICES"),
        )


def _required(getenv: Callable[[str], str | None], name: str) -> str:
    value = getenv(name)
    if not value:
        message = f"{name} is not set; infra/template.yaml sets it"
        raise LookupError(message)
    return value
