"""Responses to CloudFormation, on a real socket."""

import http.server
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from publisher.deadline import OutOfTimeError
from publisher.events import StackRequest, parse_event
from publisher.ledger import RequestResult
from publisher.responder import Responder, ResponseNotSentError, render_response

_PUBLISHED = RequestResult(
    is_success=True,
    physical_id="users@1.0.0",
    reason="",
    data={"Version": "1.0.0", "Arn": "arn:aws:lambda:::x", "Revision": "7"},
)


@dataclass
class ResponseSink:
    """An endpoint for responses, like S3 behind a presigned address."""

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    received: list[tuple[dict[str, str], bytes]] = field(default_factory=list)


@pytest.fixture
def sink() -> Iterator[ResponseSink]:
    """Serve an address that responds with the listed statuses, then with 200."""
    found = ResponseSink()

    class _ResponsePut(http.server.BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.received.append((dict(self.headers), body))
            status = found.statuses.pop(0) if found.statuses else 200
            if status == 0:
                self.close_connection = True
                return
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _ResponsePut) as server:
        found.url = f"http://127.0.0.1:{server.server_port}/response?X-Amz-Signature=abc"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield found
        server.shutdown()
        thread.join()


def _request(url: str = "https://example.com") -> StackRequest:
    request = parse_event(
        {
            "RequestType": "Create",
            "RequestId": "r-1",
            "ResponseURL": url,
            "StackId": "arn:aws:cloudformation:eu-west-1:123456789012:stack/users/1",
            "LogicalResourceId": "Published",
        }
    )
    assert isinstance(request, StackRequest)
    return request


def test_response_has_what_cloudformation_needs(sink: ResponseSink) -> None:
    """The URL is signed for an empty content type; S3 refuses any other."""
    Responder(_never).send(_request(sink.url), _PUBLISHED)

    ((headers, body),) = sink.received
    assert headers["Content-Type"] == ""
    assert json.loads(body) == {
        "Status": "SUCCESS",
        "Reason": "",
        "PhysicalResourceId": "users@1.0.0",
        "StackId": _request().resource.stack_id,
        "RequestId": "r-1",
        "LogicalResourceId": "Published",
        "Data": {"Version": "1.0.0", "Arn": "arn:aws:lambda:::x", "Revision": "7"},
    }


@pytest.mark.parametrize("status", [503, 403, 0])
def test_address_that_fails_at_first_gets_the_same_response_again(
    sink: ResponseSink, status: int
) -> None:
    sink.statuses = [status, status]
    pauses: list[float] = []

    Responder(pauses.append).send(_request(sink.url), _PUBLISHED)

    bodies = {body for _, body in sink.received}
    assert (len(sink.received), len(bodies)) == (3, 1)
    assert pauses == [0.2, 0.4]


def test_response_that_is_never_accepted_is_an_error(sink: ResponseSink) -> None:
    """Lambda then repeats the request, and the recorded result is sent again."""
    sink.statuses = [503] * 10

    with pytest.raises(ResponseNotSentError, match="status 503"):
        Responder(_never).send(_request(sink.url), _PUBLISHED)


def _never(_seconds: float) -> None:
    raise OutOfTimeError


@pytest.mark.parametrize("reason", ["x" * 9000, "\u00e4" * 9000, "\U0001f600" * 3000])
def test_long_reason_is_cut_to_what_cloudformation_takes(reason: str) -> None:
    """CloudFormation's limit is 4,096 bytes for the whole response."""
    result = RequestResult(is_success=False, physical_id="p", reason=reason, data={})

    body = render_response(_request(), result)

    assert len(body) <= 4096
    kept = json.loads(body)["Reason"]
    assert kept.endswith(" ...")
    assert reason.startswith(kept.removesuffix(" ..."))
    assert len(kept) > 200


def test_longest_arn_leaves_room_for_itself() -> None:
    data = {"Version": "1.0.0", "Arn": "a" * 2048, "Revision": "7"}
    result = RequestResult(is_success=True, physical_id="p", reason="n" * 4000, data=data)

    body = render_response(_request(), result)

    assert len(body) <= 4096
    assert json.loads(body)["Data"] == data
