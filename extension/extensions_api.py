"""Lambda's Extensions API, 2020-01-01.

Portable: runs under MicroPython and CPython. Source: AWS Lambda Developer Guide, "Using the Lambda
Extensions API". `lifecycle.py` decides what to do about its events.
"""

from extension import system
from extension.http_client import CONNECTION, BrokenError, HttpClient
from extension.waiting import DeadlineError
from registry_model import strict_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from extension.http_response import ResponseParser

NAME = "service-discovery"
INVOKE = "INVOKE"
SHUTDOWN = "SHUTDOWN"
_BASE = "/2020-01-01/extension"
# The platform is on this machine: the rest of a response arrives within this time.
_RESPONSE_WITHIN_S = 0.05
# AWS's Runtime Interface Emulator may start an extension before it accepts connections: try again
# for this time, with this pause.
_CONNECT_WITHIN_S = 1.0
_CONNECT_PAUSE_S = 0.002


class PlatformError(Exception):
    """The Extensions API is unreachable or refuses a request; the process should end."""


class EventsRefusedError(PlatformError):
    """The platform does not send these events (Managed Instances send no INVOKE)."""


class Event:
    """An event of the platform.

    Attributes:
        kind: `INVOKE` or `SHUTDOWN`.
        deadline_ms: When Lambda ends the invocation or the process, in milliseconds since 1970.
    """

    __slots__ = ("deadline_ms", "kind")

    def __init__(self, kind: str, deadline_ms: int) -> None:
        """Set the parts."""
        self.kind = kind
        self.deadline_ms = deadline_ms


class ExtensionsApi:
    """A client of the Extensions API for this extension."""

    def __init__(self, client: HttpClient) -> None:
        """Set the HTTP client, whose endpoint is the address in AWS_LAMBDA_RUNTIME_API."""
        self._client = client
        self._identifier = ""
        self._is_registering = False
        self._is_asking = False

    @property
    def is_registered(self) -> bool:
        """Whether the extension has been registered."""
        return bool(self._identifier)

    def start_registering(self, events: "list[str]") -> None:
        """Send the registration for *events*; `register` waits for the response.

        Raises:
            PlatformError: The platform is unreachable.
        """
        body = '{"events": ["' + '", "'.join(events) + '"]}'
        connects_by = system.monotonic() + _CONNECT_WITHIN_S
        self._start("/register", "lambda-extension-name: " + NAME, body, connects_by=connects_by)
        self._is_registering = True

    def register(self, events: "list[str]") -> None:
        """Register this extension for *events*; if that was sent already, wait for the response.

        Raises:
            EventsRefusedError: The platform does not send these events.
            PlatformError: The platform refuses, or is unreachable.
        """
        if not self._is_registering:
            self.start_registering(events)
        self._is_registering = False
        response = self._finish("register")
        if response.status == 403:
            raise EventsRefusedError(f"register: {_describe(response)}")
        if response.status != 200:
            raise PlatformError(f"register: {_describe(response)}")
        self._identifier = response.headers.get("lambda-extension-identifier", "")
        if not self._identifier:
            raise PlatformError("register: the response has no identifier")

    def ask(self) -> None:
        """Ask for the next event, without waiting for it.

        Raises:
            PlatformError: The platform is unreachable.
        """
        try:
            self._client.start("GET", _BASE + "/event/next", self._headers(), b"", None)
        except BrokenError as error:
            raise PlatformError(f"next: {error}")
        self._is_asking = True

    def descriptor(self) -> "int | None":
        """Return the descriptor that an event makes readable; None if no event is awaited."""
        return self._client.fileno() if self._is_asking else None

    def receive(self) -> "Event | None":
        """Return the event that was asked for; None if it has not arrived completely.

        Raises:
            PlatformError: The platform refuses, or is unreachable.
        """
        return self._receive(system.monotonic() + _RESPONSE_WITHIN_S)

    def next(self) -> Event:
        """Ask for the next event and wait for it; the environment may freeze meanwhile.

        Raises:
            PlatformError: The platform refuses, or is unreachable.
        """
        if not self._is_asking:
            self.ask()
        event = None
        while event is None:
            event = self._receive(None)
        return event

    def _receive(self, deadline: "float | None") -> "Event | None":
        try:
            response = self._client.finish(deadline)
        except DeadlineError:
            return None
        except BrokenError as error:
            raise PlatformError(f"next: {error}")
        self._is_asking = False
        if response.status != 200:
            raise PlatformError(f"next: {_describe(response)}")
        return _event(response)

    def report_init_error(self, error_type: str, message: str) -> None:
        """Report that this extension cannot start; the process should end afterwards.

        Raises:
            PlatformError: The platform refuses, or is unreachable.
        """
        body = (
            '{"errorMessage": '
            + strict_json.dumps(message)
            + ', "errorType": '
            + strict_json.dumps(error_type)
            + ', "stackTrace": []}'
        )
        header = "lambda-extension-function-error-type: " + error_type
        self._start("/init/error", header, body, connects_by=0)
        response = self._finish("init/error")
        if response.status != 202:
            raise PlatformError(f"init/error: {_describe(response)}")

    def _headers(self) -> "list[str]":
        headers = ["host: " + self._client.host]
        if self._identifier:
            headers.append("lambda-extension-identifier: " + self._identifier)
        return headers

    def _start(self, path: str, header: str, body: str, *, connects_by: float) -> None:
        """Send a request; if no connection is made, try again until *connects_by*."""
        headers = self._headers() + ["content-type: application/json", header]
        while True:
            try:
                self._client.start("POST", _BASE + path, headers, body.encode("utf-8"), None)
                return
            except BrokenError as error:
                if self._client.stage != CONNECTION or system.monotonic() >= connects_by:
                    raise PlatformError(f"{path[1:]}: {error}")
            self._client.waiter.pause(_CONNECT_PAUSE_S)

    def _finish(self, name: str) -> "ResponseParser":
        try:
            return self._client.finish(None)
        except BrokenError as error:
            raise PlatformError(f"{name}: {error}")


def _describe(response: "ResponseParser") -> str:
    text = "".join([chr(byte) if 32 <= byte < 127 else " " for byte in response.body[:300]])
    return f"status {response.status}: {text}"


def _event(response: "ResponseParser") -> Event:
    """Parse an event; the response's Content-Type is ignored."""
    try:
        document = strict_json.loads(response.body)
    except ValueError as error:
        raise PlatformError(f"next: the event is malformed: {error}")
    if not isinstance(document, dict):
        raise PlatformError("next: the event is not an object")
    kind = document.get("eventType")
    deadline_ms = document.get("deadlineMs")
    return Event(
        kind if isinstance(kind, str) else "", deadline_ms if isinstance(deadline_ms, int) else 0
    )
