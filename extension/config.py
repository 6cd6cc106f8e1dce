"""The extension's configuration, from the function's environment.

Portable: runs under MicroPython and CPython. All variables are read before an error is raised, so
that one deployment shows every fault.
"""

from extension import endpoints, log
from registry_model.needs import NeedsError, parse_needs
from registry_model.text import DIGITS, first_not_in, quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from extension.endpoints import Endpoint
    from extension.proxies import Proxy
    from registry_model.needs import Need

    Getenv = Callable[[str], "str | None"]

_MAX_AGE_S = (30, 0, 86_400)
_TIMEOUT_MS = (1_500, 1, 30_000)
_HOLD_MS = (250, 0, 5_000)
# With these, Lambda runs the init before an invocation needs it, so the init waits for the first
# resolve.
_WAITING_INITIALIZATIONS = ("provisioned-concurrency", "snap-start")
_DEFAULT_FILE = "/tmp/services.json"  # noqa: S108  # documented; an environment serves one function
_TABLE = DIGITS + "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-._"
_REGION = DIGITS + "abcdefghijklmnopqrstuvwxyz-"
_LAMBDA_LEVELS = {"TRACE": log.DEBUG, "FATAL": log.ERROR}


class ConfigError(ValueError):
    """The environment is malformed; `faults` has every fault."""

    def __init__(self, faults: "list[str]") -> None:
        """Set the faults, and a message with all of them."""
        super().__init__("; ".join(faults))
        self.faults = faults


class Config:
    """The extension's configuration.

    Attributes:
        needs: The needs, in the order of the file.
        services_file: The file's absolute path.
        table: The index table's name or ARN.
        region: The Region that is called and signed for.
        max_age_s: The age in seconds from which a check is due.
        timeout_ms: How long a resolve or check may take, retries included.
        hold_ms: How long a reader may be held while a check is due.
        is_strict: Whether the init fails if a need is not resolved.
        endpoint: DynamoDB's endpoint.
        is_ipv4_only: Whether the endpoint's name has only IPv4 addresses.
        proxy: The proxy that DynamoDB is called through, or None.
        ca_bundle: A file with certificates that replace the layer's, or None.
        keys: The credentials in the environment (access key id, secret, session token), or None.
        container: The endpoint of container credentials, or None.
        container_token: The token for that endpoint, or None.
        waits_at_init: Whether the init waits for the first resolve, even if readers can be held.
        is_managed: Whether the function runs on Managed Instances.
    """

    __slots__ = (
        "ca_bundle",
        "container",
        "container_token",
        "endpoint",
        "hold_ms",
        "is_ipv4_only",
        "is_managed",
        "is_strict",
        "keys",
        "max_age_s",
        "needs",
        "proxy",
        "region",
        "services_file",
        "table",
        "timeout_ms",
        "waits_at_init",
    )

    def __init__(
        self,
        *,
        needs: "list[Need]",
        services_file: str,
        table: str,
        region: str,
        max_age_s: int,
        timeout_ms: int,
        hold_ms: int,
        is_strict: bool,
        endpoint: "Endpoint",
        is_ipv4_only: bool,
        proxy: "Proxy | None",
        ca_bundle: "str | None",
        keys: "tuple[str, str, str] | None",
        container: "Endpoint | None",
        container_token: "str | None",
        waits_at_init: bool,
        is_managed: bool,
    ) -> None:
        """Set the parts; `from_env` reads them."""
        self.needs = needs
        self.services_file = services_file
        self.table = table
        self.region = region
        self.max_age_s = max_age_s
        self.timeout_ms = timeout_ms
        self.hold_ms = hold_ms
        self.is_strict = is_strict
        self.endpoint = endpoint
        self.is_ipv4_only = is_ipv4_only
        self.proxy = proxy
        self.ca_bundle = ca_bundle
        self.keys = keys
        self.container = container
        self.container_token = container_token
        self.waits_at_init = waits_at_init
        self.is_managed = is_managed

    @classmethod
    def from_env(cls, getenv: "Getenv") -> "Config":
        """Read the environment.

        Args:
            getenv: Returns a variable's text, None if it is not set or empty; raises ValueError if
                it is not UTF-8.

        Raises:
            ConfigError: At least one variable is malformed.
        """
        faults: "list[str]" = []
        read = _Reader(getenv, faults)
        needs = _needs(read, faults)
        table = read.text("SERVICE_DISCOVERY_TABLE") or "ServiceIndex"
        region = _region(read, table, needs, faults)
        endpoint, is_ipv4_only = _endpoint(read, region, faults)
        key_id = read.text("AWS_ACCESS_KEY_ID")
        secret = read.text("AWS_SECRET_ACCESS_KEY")
        keys = None
        if key_id and secret:
            keys = (key_id, secret, read.text("AWS_SESSION_TOKEN") or "")
        initialization = read.text("AWS_LAMBDA_INITIALIZATION_TYPE")
        is_strict = _flag(read, "SERVICE_DISCOVERY_STRICT", faults)
        config = cls(
            needs=needs,
            services_file=_path(read, "SERVICES_FILE", _DEFAULT_FILE, faults),
            table=table,
            region=region,
            max_age_s=read.number("SERVICE_DISCOVERY_MAX_AGE", _MAX_AGE_S),
            timeout_ms=read.number("SERVICE_DISCOVERY_TIMEOUT_MS", _TIMEOUT_MS),
            hold_ms=read.number("SERVICE_DISCOVERY_HOLD_MS", _HOLD_MS),
            is_strict=is_strict,
            endpoint=endpoint,
            is_ipv4_only=is_ipv4_only,
            proxy=_proxy(read, endpoint),
            ca_bundle=read.text("AWS_CA_BUNDLE"),
            keys=keys,
            container=None if keys else _container(read, faults),
            container_token=read.text("AWS_CONTAINER_AUTHORIZATION_TOKEN"),
            waits_at_init=is_strict or initialization in _WAITING_INITIALIZATIONS,
            is_managed=initialization == "lambda-managed-instances",
        )
        own_level = read.text("SERVICE_DISCOVERY_LOG_LEVEL")
        if own_level and own_level.upper() not in log.LEVELS:
            levels = "DEBUG, INFO, WARN or ERROR"
            faults.append(f"SERVICE_DISCOVERY_LOG_LEVEL: {quote(own_level)} should be {levels}")
        if faults:
            raise ConfigError(faults)
        return config


def log_level(getenv: "Getenv") -> int:
    """Return the log's level: the extension's own, otherwise the function's, otherwise WARN.

    A malformed level is no error here; `Config.from_env` reports SERVICE_DISCOVERY_LOG_LEVEL.
    """
    try:
        own = (getenv("SERVICE_DISCOVERY_LOG_LEVEL") or "").upper()
        if own in log.LEVELS:
            return log.LEVELS[own]
        platform = (getenv("AWS_LAMBDA_LOG_LEVEL") or "").upper()
    except ValueError:
        return log.WARN
    return log.LEVELS.get(platform, _LAMBDA_LEVELS.get(platform, log.WARN))


def logs_json(getenv: "Getenv") -> bool:
    """Return whether the function's log is JSON."""
    try:
        return (getenv("AWS_LAMBDA_LOG_FORMAT") or "").upper() == "JSON"
    except ValueError:
        return False


class _Reader:
    """Reads variables, and collects their faults."""

    def __init__(self, getenv: "Getenv", faults: "list[str]") -> None:
        self._getenv = getenv
        self._faults = faults

    def text(self, name: str) -> "str | None":
        try:
            return self._getenv(name)
        except ValueError as error:
            self._faults.append(f"{name}: {error}")
            return None

    def is_true(self, name: str) -> bool:
        text = self.text(name)
        return text is not None and text.strip().lower() == "true"

    def number(self, name: str, bounds: "tuple[int, int, int]") -> int:
        default, least, most = bounds
        text = self.text(name)
        if text is None:
            return default
        number = -1
        digits = text.strip()
        if digits and len(digits) < 10 and not first_not_in(digits, DIGITS):
            number = int(digits)
        if not least <= number <= most:
            self._faults.append(
                f"{name}: {quote(text)} should be a whole number from {least} to {most}"
            )
        return number


def _needs(read: _Reader, faults: "list[str]") -> "list[Need]":
    try:
        return parse_needs(read.text("NEEDED_SERVICES") or "")
    except NeedsError as error:
        for fault in error.faults:
            faults.append(f"NEEDED_SERVICES {fault}")
        return []


def _path(read: _Reader, name: str, default: str, faults: "list[str]") -> str:
    path = read.text(name) or default
    if path[0] != "/" or path[-1] == "/":
        faults.append(f"{name}: {quote(path)} should be the absolute path of a file")
    return path


def _flag(read: _Reader, name: str, faults: "list[str]") -> bool:
    text = read.text(name)
    if text is None:
        return False
    text = text.strip().lower()
    if text not in ("true", "false"):
        faults.append(f"{name}: {quote(text)} should be true or false")
    return text == "true"


def _region(read: _Reader, table: str, needs: "list[Need]", faults: "list[str]") -> str:
    """Return the Region: from the table's ARN if *table* is one, otherwise from AWS_REGION."""
    if table.startswith("arn:"):
        parts = table.split(":", 5)
        resource = parts[5] if len(parts) == 6 else ""
        name = resource[6:] if resource.startswith("table/") else ""
        if len(parts) != 6 or parts[2] != "dynamodb" or not parts[3] or not _is_table_name(name):
            faults.append(
                f"SERVICE_DISCOVERY_TABLE: {quote(table)} should be a table's name or "
                "arn:partition:dynamodb:region:account:table/name"
            )
            return "us-east-1"
        region, source = parts[3], "SERVICE_DISCOVERY_TABLE"
    else:
        if not _is_table_name(table):
            faults.append(
                f"SERVICE_DISCOVERY_TABLE: {quote(table)} is not a table's name; "
                "it should have 3 to 255 letters, digits, '_', '-' and '.'"
            )
        region = read.text("AWS_REGION") or read.text("AWS_DEFAULT_REGION") or ""
        source = "AWS_REGION"
        if not region:
            # Lambda always sets AWS_REGION. Without needs it is not used.
            if needs:
                faults.append("AWS_REGION is not set")
            return "us-east-1"
    if first_not_in(region, _REGION) or not 0 < len(region) < 64:
        faults.append(f"{source}: {quote(region)} is not a Region")
        return "us-east-1"
    return region


def _is_table_name(name: str) -> bool:
    return 3 <= len(name) <= 255 and not first_not_in(name, _TABLE)


def _endpoint(read: _Reader, region: str, faults: "list[str]") -> "tuple[Endpoint, bool]":
    """Return DynamoDB's endpoint, and whether its name has IPv4 addresses only."""
    fips = read.is_true("AWS_USE_FIPS_ENDPOINT")
    dual_stack = read.is_true("AWS_USE_DUALSTACK_ENDPOINT")
    if not read.is_true("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"):
        for name in ("AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL"):
            url = read.text(name)
            if not url:
                continue
            try:
                return endpoints.parse(url), False
            except ValueError as error:
                # The part before an @ may have a password.
                faults.append(f"{name}: {quote(url.split('@')[-1])} is not an endpoint: {error}")
                break
    return endpoints.regional(region, fips=fips, dual_stack=dual_stack), not dual_stack


def _proxy(read: _Reader, endpoint: "Endpoint") -> "Proxy | None":
    """Return the proxy for *endpoint*; `proxies` is imported only if a variable names one."""
    name = endpoint.scheme + "_proxy"
    if not (read.text(name) or read.text(name.upper())):
        return None
    from extension import proxies

    return proxies.from_environment(endpoint, read.text)


def _container(read: _Reader, faults: "list[str]") -> "Endpoint | None":
    uri = read.text("AWS_CONTAINER_CREDENTIALS_FULL_URI")
    if not uri:
        return None
    from extension import credentials

    try:
        return credentials.endpoint_of(uri)
    except ValueError as error:
        faults.append(f"AWS_CONTAINER_CREDENTIALS_FULL_URI: {quote(uri)}: {error}")
        return None
