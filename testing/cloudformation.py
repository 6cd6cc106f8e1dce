"""A fake of CloudFormation on a real socket.

It describes stacks, and receives the responses of custom resources.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from testing.stack import SimulatedStack


class CloudFormationEndpoint:
    """A running endpoint.

    Attributes:
        url: Its address.
        stacks: The stacks that it describes.
        is_denied: Whether the caller may not describe stacks.
        statuses: The HTTP statuses for the next custom resource responses; then 200.
        received: All accepted custom resource responses, by the request's id.
    """

    def __init__(self, url: str) -> None:
        """Start without stacks."""
        self.url = url
        self.stacks: list[SimulatedStack] = []
        self.is_denied = False
        self.statuses: list[int] = []
        self.received: dict[str, list[dict[str, Any]]] = {}

    def response_url(self, request_id: str) -> str:
        """Return the ResponseURL of a request."""
        return f"{self.url}/responses/{request_id}"

    def describe(self, form: dict[str, str]) -> tuple[int, str]:
        """Return the status and the body of the response to a call."""
        if self.is_denied:
            return 403, _error("AccessDenied", "not authorized to perform DescribeStacks")
        name = form["StackName"]
        found = [each for each in self.stacks if name in {each.name, each.stack_id}]
        if not found:
            return 400, _error("ValidationError", f"Stack with id {name} does not exist")
        stack = found[-1]
        if form["Action"] == "DescribeStacks":
            return 200, _result(
                "DescribeStacks",
                f"<Stacks><member><StackName>{stack.name}</StackName>"
                f"<StackId>{escape(stack.stack_id)}</StackId>"
                "<CreationTime>2026-11-26T08:00:00Z</CreationTime>"
                f"<StackStatus>{stack.status}</StackStatus></member></Stacks>",
            )
        return 200, _result(
            "DescribeStackResource",
            f"<StackResourceDetail><LogicalResourceId>{stack.logical_id}</LogicalResourceId>"
            f"<PhysicalResourceId>{escape(stack.present_id)}</PhysicalResourceId>"
            "<ResourceType>Custom::ServiceVersion</ResourceType>"
            "<LastUpdatedTimestamp>2026-11-26T08:00:00Z</LastUpdatedTimestamp>"
            "<ResourceStatus>CREATE_COMPLETE</ResourceStatus></StackResourceDetail>",
        )


def _result(action: str, content: str) -> str:
    result = f"<{action}Result>{content}</{action}Result>"
    return f"<{action}Response>{result}</{action}Response>"


def _error(code: str, message: str) -> str:
    error = (
        f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
    )
    return f"<ErrorResponse>{error}</ErrorResponse>"


@contextmanager
def cloudformation_endpoint() -> Iterator[CloudFormationEndpoint]:
    """Serve CloudFormation on a port of this machine."""

    class _CloudFormationRequest(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            form = {name: values[0] for name, values in parse_qs(self._body().decode()).items()}
            status, text = found.describe(form)
            self._respond(status, text.encode())

        def do_PUT(self) -> None:
            body = self._body()
            status = found.statuses.pop(0) if found.statuses else 200
            if status == 200:
                request_id = self.path.rpartition("/")[2]
                found.received.setdefault(request_id, []).append(json.loads(body))
            self._respond(status, b"")

        def _body(self) -> bytes:
            return self.rfile.read(int(self.headers["Content-Length"]))

        def _respond(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "text/xml")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Do not write to the tests' output."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), _CloudFormationRequest)
    server.daemon_threads = True
    found = CloudFormationEndpoint(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
