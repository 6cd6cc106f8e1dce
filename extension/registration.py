"""The registration, and the steps before it: read an earlier run's answers, and hold the file.

Portable: runs under MicroPython and CPython. Lambda starts the function once the extension has
registered, so this module imports only what the registration needs. The rest is imported during the
wait for the response.
"""

from extension import extensions_api, system
from extension.extensions_api import EventsRefusedError
from registry_model import services_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from extension.config import Config
    from extension.extensions_api import ExtensionsApi
    from extension.file_writer import ServicesFile
    from extension.log import Log
    from extension.resolver import Resolver


class Registration:
    """Holds early readers if that is possible, and registers the extension.

    Attributes:
        on_timer: Whether a timer has to begin the checks, since the platform sends no INVOKE.
        is_held: Whether the file is in place, and its readers are held.
        is_known: Whether an earlier run left an answer to every need.
        mtime_ns: The modification time of that run's file, otherwise 0.
        write_fault: The reason why the file was not written; empty if it was.
    """

    def __init__(
        self,
        config: "Config",
        api: "ExtensionsApi",
        resolver: "Resolver",
        file: "ServicesFile",
        log: "Log",
    ) -> None:
        """Set its parts; nothing is sent or written yet."""
        self._api = api
        self._resolver = resolver
        self._file = file
        self._log = log
        self.on_timer = config.is_managed
        self.is_held = self.is_known = False
        self.mtime_ns = 0
        self.write_fault = ""

    def begin(self) -> None:
        """Hold the file's readers; if that is possible, send the registration.

        Raises:
            extensions_api.PlatformError: The Extensions API is unreachable.
        """
        self.is_known = self._adopt_leftover()
        self.is_held = not self.on_timer and self._hold()
        if self.is_held:
            # The runtime starts while the needs are resolved; early readers are held.
            self._api.start_registering([extensions_api.INVOKE, extensions_api.SHUTDOWN])

    def complete(self) -> None:
        """Register; if the registration was sent already, wait for the response.

        Raises:
            extensions_api.PlatformError: The Extensions API is unreachable or refuses.
        """
        if not self.on_timer:
            try:
                self._api.register([extensions_api.INVOKE, extensions_api.SHUTDOWN])
                return
            except EventsRefusedError:
                self.on_timer = True
        self._api.register([extensions_api.SHUTDOWN])

    def _adopt_leftover(self) -> bool:
        """Adopt an earlier run's answers; return whether they answer every need."""
        leftover = self._file.leftover()
        if leftover is None:
            return False
        try:
            members = services_file.parse(leftover.document)
        except ValueError as error:
            self._log.warn("earlier file ignored", path=self._file.path, reason=str(error))
            return False
        is_complete = self._resolver.adopt(members)
        if is_complete:
            self.mtime_ns = leftover.mtime_ns
        return is_complete

    def _hold(self) -> bool:
        try:
            return self._file.hold(self._resolver.document(), self.mtime_ns)
        except OSError as error:
            self.log_write_failure(error)
            return False

    def log_write_failure(self, error: OSError) -> None:
        """Log that the file can't be written, once for each reason."""
        reason = system.describe_error(error)
        if reason != self.write_fault:
            self.write_fault = reason
            self._log.error("services file not written", path=self._file.path, reason=reason)
