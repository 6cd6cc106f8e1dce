"""Lambda's Extensions API, 2020-01-01.

Portable: runs under MicroPython and CPython. Source: AWS Lambda Developer Guide, "Using the Lambda
Extensions API". What to do about its events is `lifecycle.py`'s business.
"""

from extension.http_client import BrokenError, HttpClient
from registry_model import strict_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from extension.http_response import ResponseParser

NAME = "service-discovery"
INVOKE = "INVOKE"
SHUTDOWN = "SHUTDOWN"
_BASE = "/2020-01-01/extension"


class PlatformError(Exception):
    """The Extensions API is gone or refuses; the process has nothing left to do."""


class EventsRefusedError(PlatformError):
    """The platform does not send these events (Managed Instances send no INVOKE)."""


class Event:
    """What the platform tells.

    Attributes:
        kind: `INVOKE` or `SHUTDOWN`.
        deadline_ms: When the invocation or the process will be ended: milliseconds since 1970.
    """

    __slots__ = ("deadline_ms", "kind")

    def __init__(self, kind: str, deadline_ms: int) -> None:
        """Take the parts as they are."""
        self.kind = kind
        self.deadline_ms = deadline_ms


class ExtensionsApi:
    """This extension's dealings with the platform."""

    def __init__(self, client: HttpClient) -> None:
        """Take a client of the address in AWS_LAMBDA_RUNTIME_API."""
        self._client = client
        self._identifier = ""
        self._is_asking = False

    @property
    def is_registered(self) -> bool:
        """Whether the platform knows this extension."""
        return bool(self._identifier)

    def register(self, events: "list[str]") -> None:
        """Make this extension known and say which events it wants.

        Raises:
            EventsRefusedError: The platform does not send these events.
            PlatformError: The platform refuses, or is gone.
        """
        body = '{"events": [' + ", ".join([f'"{event}"' for event in events]) + "]}"
        answer = self._call(
            "POST", "/register", [("lambda-extension-name", NAME)], body.encode("utf-8")
        )
        if answer.status == 403 and INVOKE in events:
            raise EventsRefusedError(_told(answer))
        if answer.status != 200:
            raise PlatformError(f"register: {_told(answer)}")
        self._identifier = answer.headers.get("lambda-extension-identifier", "")
        if not self._identifier:
            raise PlatformError("register: the answer has no identifier")

    def next(self, deadline: "float | None" = None) -> Event:
        """Wait for the next event, frozen or not.

        Args:
            deadline: When to stop waiting, on the monotonic clock; None for never. The question
                stays open, and the next call goes on waiting for its answer.

        Raises:
            waiting.DeadlineError: Nothing has come by then.
            PlatformError: The platform refuses, or is gone.
        """
        try:
            if not self._is_asking:
                self._client.start("GET", _BASE + "/event/next", self._headers(), b"", None)
                self._is_asking = True
            answer = self._client.finish(deadline)
        except BrokenError as error:
            raise PlatformError(f"next: {error}")
        self._is_asking = False
        if answer.status != 200:
            raise PlatformError(f"next: {_told(answer)}")
        return _event(answer)

    def let_events_interrupt(self) -> None:
        """Let the answer to an open `next` interrupt whatever else is waited for."""
        self._client.waiter.interrupted_by = self._client.fileno() if self._is_asking else None

    def let_nothing_interrupt(self) -> None:
        """Wait undisturbed again."""
        self._client.waiter.interrupted_by = None

    def report_init_error(self, error_type: str, message: str) -> None:
        """Say that this extension can't start; the process should end then.

        Raises:
            PlatformError: The platform refuses, or is gone.
        """
        body = (
            '{"errorMessage": '
            + strict_json.dumps(message)
            + ', "errorType": '
            + strict_json.dumps(error_type)
            + ', "stackTrace": []}'
        )
        headers = [("lambda-extension-function-error-type", error_type)]
        answer = self._call("POST", "/init/error", headers, body.encode("utf-8"))
        if answer.status != 202:
            raise PlatformError(f"init/error: {_told(answer)}")

    def _headers(self) -> "list[tuple[str, str]]":
        headers = [("host", self._client.host)]
        if self._identifier:
            headers.append(("lambda-extension-identifier", self._identifier))
        return headers

    def _call(
        self, method: str, path: str, headers: "list[tuple[str, str]]", body: bytes
    ) -> "ResponseParser":
        headers = self._headers() + [("content-type", "application/json")] + headers
        try:
            return self._client.request(method, _BASE + path, headers, body, None)
        except BrokenError as error:
            raise PlatformError(f"{path[1:]}: {error}")


def _told(answer: "ResponseParser") -> str:
    text = "".join([chr(byte) if 32 <= byte < 127 else " " for byte in answer.body[:300]])
    return f"status {answer.status}: {text}"


def _event(answer: "ResponseParser") -> Event:
    """Read an event, whatever Content-Type it came as."""
    try:
        document = strict_json.loads(answer.body)
    except ValueError as error:
        raise PlatformError(f"next: the event is malformed: {error}")
    if not isinstance(document, dict):
        raise PlatformError("next: the event is not an object")
    kind = document.get("eventType")
    deadline_ms = document.get("deadlineMs")
    return Event(
        kind if isinstance(kind, str) else "", deadline_ms if isinstance(deadline_ms, int) else 0
    )
