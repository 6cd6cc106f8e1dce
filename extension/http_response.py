"""Parses HTTP/1.1 responses in pieces of any size; without I/O.

Portable: runs under MicroPython and CPython. Source: RFC 9112; the tests compare with h11.
"""

from extension.sockets import HttpError
from registry_model.text import DIGITS, first_not_in

MAX_HEAD = 65_536
# BatchGetItem returns up to 16 MB, and JSON may escape one character with six.
MAX_BODY = 134_217_728
_NO_BODY = (204, 304)
_NAME = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def _whole_number(text: str, digits: str, base: int) -> int:
    if not text or len(text) > 16:
        raise HttpError("a length in the response is not a number")
    if first_not_in(text, digits):
        raise HttpError("a length in the response is not a number")
    return int(text, base)


def _latin1(line: bytes) -> str:
    """Return a line's text, decoded as ISO-8859-1; nearly every line is ASCII."""
    try:
        text = str(line, "utf-8")
        if len(text) == len(line):
            return text
    except UnicodeError:
        pass
    return "".join([chr(byte) for byte in line])


class ResponseParser:
    """Parses one response, piece by piece.

    Attributes:
        status: The status code; 0 until the head is complete.
        headers: By name in lower case; repeated ones joined by a comma.
        is_done: Whether the response is complete.
        keeps_alive: Whether the connection can be reused; valid once `is_done`.
        has_begun: Whether any byte has arrived.
    """

    def __init__(self, *, is_tunnel: bool = False) -> None:
        """Make a parser.

        Args:
            is_tunnel: Whether the request was a CONNECT: its successful response has no body
                (RFC 9112, section 6.3).
        """
        self._is_tunnel = is_tunnel
        self.status = 0
        self.headers: "dict[str, str]" = {}
        self.is_done = False
        self.keeps_alive = True
        self.has_begun = False
        self._buffer = b""
        self._body: "list[bytes]" = []
        self._size = 0
        self._left = 0
        self._state = self._head

    @property
    def body(self) -> bytes:
        """The part of the body that has arrived."""
        if len(self._body) > 1:
            self._body = [b"".join(self._body)]
        return self._body[0] if self._body else b""

    def take_body(self) -> bytes:
        """Return the body, and drop this parser's reference to it, since it may be large."""
        body = self.body
        self._body = []
        return body

    def feed(self, data: bytes) -> None:
        """Parse more bytes.

        Raises:
            HttpError: They are not HTTP, or the response is too large.
        """
        self.has_begun = True
        self._buffer = self._buffer + data if self._buffer else data
        while not self.is_done and self._state():
            pass
        if self.is_done and self._buffer:
            # Unsolicited data: do not reuse the connection.
            self.keeps_alive = False
            self._buffer = b""

    def end(self) -> None:
        """Parse the end of the stream.

        Raises:
            HttpError: The response is truncated.
        """
        if self.is_done:
            return
        if self._state != self._body_until_end:
            raise HttpError("the response is truncated")
        self.is_done = True

    def _line(self) -> "str | None":
        end = self._buffer.find(b"\n")
        if end < 0:
            if len(self._buffer) > MAX_HEAD:
                raise HttpError("a line of the response is too long")
            return None
        line = self._buffer[:end]
        self._buffer = self._buffer[end + 1 :]
        if line[-1:] == b"\r":
            line = line[:-1]
        return _latin1(line)

    def _head(self) -> bool:
        end = self._buffer.find(b"\n\r\n")
        bare = self._buffer.find(b"\n\n")
        if end < 0 and bare < 0:
            if len(self._buffer) > MAX_HEAD:
                raise HttpError("the response's head is too long")
            if len(self._buffer) > 4 and self._buffer[:5] != b"HTTP/":
                raise HttpError("the response is not HTTP")
            return False
        size = 3
        if end < 0 or 0 <= bare < end:
            end, size = bare, 2
        lines = [
            line[:-1] if line[-1:] == "\r" else line
            for line in _latin1(self._buffer[:end]).split("\n")
        ]
        self._buffer = self._buffer[end + size :]
        self._read_status(lines[0])
        self.headers = {}
        for line in lines[1:]:
            self._read_header(line)
        if 100 <= self.status < 200:
            if self.status == 101:
                raise HttpError("the response changes the protocol")
            return True
        self._choose_body()
        return True

    def _read_status(self, line: str) -> None:
        parts = line.split(" ", 2)
        if len(parts) < 2 or parts[0] not in ("HTTP/1.1", "HTTP/1.0"):
            raise HttpError("the response is not HTTP/1.1")
        self.status = _whole_number(parts[1], DIGITS, 10) if len(parts[1]) == 3 else 0
        if self.status < 100:
            raise HttpError("the response's status is malformed")
        self.keeps_alive = parts[0] == "HTTP/1.1"

    def _read_header(self, line: str) -> None:
        name, colon, value = line.partition(":")
        if not colon or not name:
            raise HttpError("a header of the response is malformed")
        if first_not_in(name, _NAME) or "\x00" in value or "\r" in value:
            raise HttpError("a header of the response is malformed")
        name = name.lower()
        value = value.strip(" \t")
        self.headers[name] = self.headers[name] + ", " + value if name in self.headers else value

    def _choose_body(self) -> None:
        for option in self.headers.get("connection", "").lower().split(","):
            if option.strip(" \t") == "close":
                self.keeps_alive = False
        coding = self.headers.get("transfer-encoding")
        length = self.headers.get("content-length")
        if self.status in _NO_BODY or (self._is_tunnel and 200 <= self.status < 300):
            self.is_done = True
        elif coding is not None:
            if coding.lower() != "chunked":
                raise HttpError("the response has an unknown transfer coding")
            self._state = self._chunk_size
        elif length is not None:
            self._left = self._agreed_length(length)
            self._state = self._body_of_length
            self.is_done = self._left == 0
        else:
            self.keeps_alive = False
            self._state = self._body_until_end

    def _agreed_length(self, value: str) -> int:
        lengths = [_whole_number(each.strip(" \t"), DIGITS, 10) for each in value.split(",")]
        for each in lengths:
            if each != lengths[0]:
                raise HttpError("the response has two lengths")
        if lengths[0] > MAX_BODY:
            raise HttpError("the response is too large")
        return lengths[0]

    def _add_to_body(self, size: int) -> bytes:
        piece = self._buffer[:size]
        self._buffer = self._buffer[size:]
        self._size += len(piece)
        if self._size > MAX_BODY:
            raise HttpError("the response is too large")
        self._body.append(piece)
        return piece

    def _body_of_length(self) -> bool:
        if self._buffer:
            self._left -= len(self._add_to_body(self._left))
        self.is_done = self._left == 0
        return False

    def _body_until_end(self) -> bool:
        if self._buffer:
            self._add_to_body(len(self._buffer))
        return False

    def _chunk_size(self) -> bool:
        line = self._line()
        if line is None:
            return False
        size = line.partition(";")[0].rstrip(" \t")
        self._left = _whole_number(size, "0123456789abcdefABCDEF", 16)
        self._state = self._chunk if self._left else self._trailer
        return True

    def _chunk(self) -> bool:
        if not self._buffer:
            return False
        self._left -= len(self._add_to_body(self._left))
        if self._left:
            return False
        self._state = self._chunk_end
        return True

    def _chunk_end(self) -> bool:
        if len(self._buffer) < 2 and self._buffer != b"\n":
            return False
        if self._line() != "":
            raise HttpError("a chunk of the response is longer than its length")
        self._state = self._chunk_size
        return True

    def _trailer(self) -> bool:
        line = self._line()
        if line is None:
            return False
        self.is_done = not line
        return True
