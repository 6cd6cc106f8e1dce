"""Creates the extension's parts, and catches every exception.

Portable: runs under MicroPython and CPython.
"""

import time

from extension import endpoints, extensions_api, system
from extension.config import Config, ConfigError, log_level, logs_json
from extension.extensions_api import ExtensionsApi, PlatformError
from extension.file_writer import ServicesFile
from extension.http_client import HttpClient
from extension.log import Log
from extension.product_version import VERSION
from extension.registration import Registration
from extension.resolver import Resolver
from extension.waiting import Ended, Waiter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from extension.credentials import CredentialsProvider
    from extension.http_client import Trust
    from extension.index_reader import ChooseOthers, IndexReader, Reading
    from extension.resolver import Key

_CONFIGURATION_ERROR = "Extension.ConfigurationError"
_END_AFTER_S = 0.01


def _credentials(config: Config, waiter: Waiter, trust: "Trust") -> "CredentialsProvider":
    from extension.credentials import ContainerCredentials, KeysFromEnvironment, NoCredentials
    from extension.sigv4 import Credentials

    if config.keys is not None:
        return KeysFromEnvironment(Credentials(*config.keys))
    if config.container is not None:
        return ContainerCredentials(config.container, config.container_token, waiter, trust)
    return NoCredentials()


def _index_reader(config: Config, waiter: Waiter) -> "IndexReader":
    from extension.index_reader import IndexReader
    from extension.trust import CertificateBundle, ShippedRoots

    trust = CertificateBundle(config.ca_bundle) if config.ca_bundle else ShippedRoots()
    client = HttpClient(
        config.endpoint,
        waiter,
        trust=trust,
        ipv4_only=config.is_ipv4_only,
        proxy=config.proxy,
    )
    return IndexReader(
        client,
        _credentials(config, waiter, trust),
        table=config.table,
        region=config.region,
        path=config.endpoint.path,
        wall=system.wall,
        random=system.random,
    )


class _IndexOnDemand:
    """The index table's reader, created at the first read.

    If early readers are held, the registration is sent before the modules are imported here, so the
    function starts without waiting for them.
    """

    def __init__(self, config: Config, waiter: Waiter) -> None:
        self._config = config
        self._waiter = waiter
        self._reader: "IndexReader | None" = None

    def read(
        self, keys: "list[Key]", deadline: float, choose_others: "ChooseOthers | None" = None
    ) -> "Reading":
        """Read the items of distinct keys."""
        if self._reader is None:
            self._reader = _index_reader(self._config, self._waiter)
        return self._reader.read(keys, deadline, choose_others)


def _fail_init(api: ExtensionsApi, log: Log, error_type: str, message: str) -> int:
    """Report an init error to the platform; return the process's exit status."""
    log.error("init failed", type=error_type, reason=message)
    if not api.is_registered:
        api.register([extensions_api.SHUTDOWN])
    api.report_init_error(error_type, message)
    # AWS's Runtime Interface Emulator panics if an extension ends right after its start.
    time.sleep(_END_AFTER_S)
    return 1


def _serve(api: ExtensionsApi, waiter: Waiter, log: Log) -> int:
    """Serve until SHUTDOWN; return the process's exit status."""
    try:
        config = Config.from_env(system.getenv)
    except ConfigError as error:
        return _fail_init(api, log, _CONFIGURATION_ERROR, str(error))
    file = ServicesFile(config.services_file, wall=system.wall, random=system.random)
    index = _IndexOnDemand(config, waiter)
    resolver = Resolver(config.needs, index, log, wall=system.wall, random=system.random)
    # Before the first lease: by default, the signal of a lease ends the process.
    lease_signals = system.watch_leases()
    registration = Registration(config, api, resolver, file, log)
    try:
        if config.needs:
            registration.begin()
        # Imported while the platform responds: the function starts after the registration.
        from extension.init_mark import InitMark
        from extension.lifecycle import InitFailedError, Lifecycle

        mark = InitMark(config.services_file)
        try:
            Lifecycle(
                config,
                api,
                registration,
                resolver,
                file,
                mark,
                waiter,
                log,
                wall=system.wall,
                lease_signals=lease_signals,
            ).run()
        except InitFailedError as error:
            return _fail_init(api, log, error.error_type, str(error))
    finally:
        file.release()
    return 0


def _only_wait_for_the_end(api: ExtensionsApi) -> int:
    """After a bug, only ask for events, so that the function keeps running."""
    if not api.is_registered:
        api.register([extensions_api.SHUTDOWN])
    while api.next().kind != extensions_api.SHUTDOWN:
        pass
    return 0


def run() -> int:
    """Run the extension; return the process's exit status."""
    signals = system.watch_signals()
    # New folders get the mode 0755.
    system.umask(0o022)
    log = Log(
        system.write_stderr,
        system.wall,
        level=log_level(system.getenv),
        as_json=logs_json(system.getenv),
    )
    log.debug("extension started", version=VERSION)
    try:
        address = system.getenv("AWS_LAMBDA_RUNTIME_API")
        if not address:
            log.error("not in a Lambda environment: AWS_LAMBDA_RUNTIME_API is not set")
            return 1
        api = ExtensionsApi(HttpClient(endpoints.parse("http://" + address), Waiter(signals)))
        try:
            return _serve(api, Waiter(signals), log)
        except PlatformError:
            raise
        except Exception as error:  # noqa: BLE001  # the one place that handles bugs
            log.error("extension stopped working", traceback=system.format_traceback(error))
            return _only_wait_for_the_end(api)
    except Ended:
        return 0
    except (PlatformError, ValueError) as error:
        log.error("extensions api failed", reason=str(error))
        return 1


def main() -> None:
    """Run the extension and end the process."""
    system.exit_now(run())
