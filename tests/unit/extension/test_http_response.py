"""HTTP responses, compared with h11, in pieces of any size."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extension.http_response import ResponseParser
from extension.sockets import HttpError
from tests.fuzz.__main__ import h11_response

_GOOD = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\nX: y\r\n\r\n",
    b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nab",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nab",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1;x=y\r\n!\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nTrailer: x\r\n\r\n",
    b"HTTP/1.1 503 Slow Down\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nab",
    b"HTTP/1.1 200 OK\r\nA: 1\r\na: 2\r\nContent-Length: 1\r\n\r\nx",
    b"HTTP/1.1 200 OK\r\n\r\nuntil the end",
    b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx",
]


@pytest.mark.parametrize("data", _GOOD)
def test_response_is_parsed_as_h11_does_byte_by_byte(data: bytes) -> None:
    """A response may arrive in pieces of any size."""
    for size in (1, 2, 3, 7, len(data)):
        parser = ResponseParser()
        for at in range(0, len(data), size):
            parser.feed(data[at : at + size])
        parser.end()

        assert parser.is_done
        assert (parser.status, parser.body) == h11_response(data)


@pytest.mark.parametrize("data", [each for each in _GOOD if b"until" not in each])
def test_response_that_is_cut_anywhere_is_an_error(data: bytes) -> None:
    """A truncated response is an error, not a shorter response."""
    for at in range(len(data)):
        parser = ResponseParser()
        parser.feed(data[:at])
        if not parser.is_done:
            with pytest.raises(HttpError, match="truncated"):
                parser.end()


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n: empty\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
        b"HTTP/1.1 101 Switching\r\n\r\n",
        b"X" * 70_000,
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000,
    ],
)
def test_other_protocol_is_an_error(data: bytes) -> None:
    """Another protocol on the port is an error."""
    with pytest.raises(HttpError):
        ResponseParser().feed(data)


@given(st.binary(max_size=300), st.sampled_from(_GOOD))
def test_any_bytes_are_a_response_or_an_error(garbage: bytes, good: bytes) -> None:
    """Any bytes are a response or an HttpError."""
    for data in (garbage, good[:20] + garbage, b"HTTP/1.1 200 OK\r\n" + garbage):
        parser = ResponseParser()
        try:
            parser.feed(data)
            parser.end()
        except HttpError:
            continue
        assert parser.is_done


def test_bytes_after_a_response_end_the_connection() -> None:
    """Unsolicited data: the connection is not reused."""
    parser = ResponseParser()

    parser.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxHTTP/1.1 200 OK")

    assert parser.is_done
    assert not parser.keeps_alive


@pytest.mark.parametrize("name", ["Content-Length: 2", "Connection: close"])
def test_only_blanks_and_tabs_are_stripped_from_a_value(name: str) -> None:
    """The two interpreters strip other characters; RFC 9110 has only blanks and tabs."""
    head = f"HTTP/1.1 200 OK\r\n{name}\x1f\r\nContent-Length: 2\r\n\r\nab"
    parser = ResponseParser()

    try:
        parser.feed(head.encode())
    except HttpError:
        assert name.startswith("Content-Length")
    else:
        assert parser.keeps_alive
        assert name.startswith("Connection")
