"""Parses addresses of deployed APIs."""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

# An endpoint of the API, or the DNS name of one of its VPC endpoints.
_API_HOST = re.compile(r"([a-z0-9]+)(?:-vpce-[a-z0-9]+)?\.execute-api(?:-fips)?\.([a-z0-9-]+)\.")
# The path at which LocalStack and MiniStack serve a deployed API.
_EMULATED = re.compile(r"/restapis/([a-z0-9]+)/([^/]+)/_user_request_")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployedApi:
    """A stage of an API.

    Attributes:
        api: The API's id.
        region: Its Region; None if the address does not have it (an emulator).
    """

    api: str
    stage: str
    region: str | None

    @classmethod
    def of(cls, url: str) -> "DeployedApi | None":
        """Return the API of an address; None if the address does not have it (a custom domain)."""
        parts = urlsplit(url)
        emulated = _EMULATED.match(parts.path)
        if emulated:
            return cls(api=emulated.group(1), stage=emulated.group(2), region=None)
        found = _API_HOST.match(parts.hostname or "")
        if not found:
            return None
        stage = parts.path.strip("/").partition("/")[0]
        return cls(api=found.group(1), stage=stage, region=found.group(2))

    def emulated_at(self, endpoint: str) -> str:
        """Return the API's address in an emulator."""
        return f"{endpoint.rstrip('/')}/restapis/{self.api}/{self.stage}/_user_request_"
