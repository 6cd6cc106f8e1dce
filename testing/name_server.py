"""A fake name server on a real UDP socket, which can refuse, fail or not respond."""

import contextlib
import ipaddress
import socket
import struct
import threading
from collections.abc import Callable

A = 1
AAAA = 28
NO_ERROR = 0
SERVER_FAILURE = 2
NO_SUCH_NAME = 3
NOT_IMPLEMENTED = 4
REFUSED = 5

# The answer to a question (a name in lower case and a type): a response code, an address, or None
# for no response.
NameServerAnswer = int | str | None


class NameServer:
    """Answers questions by a rule of the test.

    Attributes:
        rule: Returns the answer to a name and a type.
        questions: The questions so far.
    """

    def __init__(self, address: str, rule: Callable[[str, int], NameServerAnswer]) -> None:
        """Serve on port 53 of *address*.

        Raises:
            PermissionError: This user may not use the port.
        """
        self.rule = rule
        self.questions: list[tuple[str, int]] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._socket.bind((address, 53))
        except OSError:
            self._socket.close()
            raise
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """Stop."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                data, client = self._socket.recvfrom(4096)
                if not data:
                    return
                response = self._respond(data)
                if response:
                    self._socket.sendto(response, client)

    def _respond(self, data: bytes) -> bytes | None:
        labels, at = [], 12
        while data[at]:
            labels.append(data[at + 1 : at + 1 + data[at]].decode().lower())
            at += 1 + data[at]
        (kind,) = struct.unpack(">H", data[at + 1 : at + 3])
        question = data[12 : at + 5]
        name = ".".join(labels)
        self.questions.append((name, kind))
        answer = self.rule(name, kind)
        if answer is None:
            return None
        code, records = (answer, b"") if isinstance(answer, int) else (NO_ERROR, b"")
        if isinstance(answer, str):
            address = ipaddress.ip_address(answer).packed
            records = b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 60, len(address)) + address
        head = struct.pack(">HHHHHH", *struct.unpack(">H", data[:2]), 0x8180 | code, 1, 0, 0, 0)
        if records:
            head = head[:6] + struct.pack(">H", 1) + head[8:]
        return head + question + records
