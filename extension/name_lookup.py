"""Looks up host names without blocking; tolerates one refused or lost query.

Portable: runs under MicroPython and CPython. musl's getaddrinfo has three weaknesses. If it
asks for both address families and a name server refuses one, it fails. It repeats a lost query only
after 2.5 s. It stops at a search domain that fails. So each family has a query of its own. If
these queries fail or find no address in time, each family gets a second one. It is for the absolute
name (with a final dot) if the name has a dot.
"""

import errno
import socket

from extension import system
from extension.sockets import NoSuchNameError
from extension.waiting import DeadlineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from extension.waiting import Waiter

_SECOND_TRY_S = 0.25
# RFC 8305, section 3: the "Resolution Delay", for the other family's addresses.
_OTHER_FAMILY_S = 0.05


def look_up(
    host: str, waiter: "Waiter", *, ipv4_only: bool, deadline: "float | None"
) -> "list[str]":
    """Return the numeric addresses of *host*, those of IPv4 first.

    Raises:
        NoSuchNameError: There is no such name.
        OSError: It has no address, or the name server fails.
        DeadlineError: The name server did not respond in time.
        Ended: A signal asks the process to end.
    """
    families: "list[int]" = [socket.AF_INET] if ipv4_only else [socket.AF_INET, socket.AF_INET6]
    lookup = _NameLookup(host, families, waiter, deadline)
    try:
        return lookup.run()
    finally:
        lookup.close()


class _NameLookup:
    """The queries for one name that are under way, and their results."""

    def __init__(
        self, host: str, families: "list[int]", waiter: "Waiter", deadline: "float | None"
    ) -> None:
        self._host = host
        self._families = families
        self._waiter = waiter
        self._deadline = deadline
        self._found: "dict[int, list[str]]" = {}
        self._reason = ""
        # How many of the second queries had the result that there is no such name.
        self._unknown = 0
        # By descriptor: the family, and what has been read so far.
        self._queries: "dict[int, tuple[int, bytes]]" = {}
        self._second_name = host
        if "." in host and host[-1:] != ".":
            self._second_name = host + "."
        self._second_at = system.monotonic() + _SECOND_TRY_S
        if deadline is not None:
            left_s = deadline - system.monotonic()
            self._second_at = min(self._second_at, deadline - left_s * 0.75)
        self._is_second = False

    def run(self) -> "list[str]":
        self._start(self._host)
        while True:
            ready = self._waiter.wait_for_any(
                list(self._queries), to_write=False, deadline=self._wait_until()
            )
            for descriptor, _ in ready:
                self._read(descriptor)
            is_over = not ready or not self._queries
            if self._found and (is_over or len(self._found) == len(self._families)):
                return self._addresses()
            if not is_over:
                continue
            if self._is_second:
                if self._queries:
                    raise DeadlineError
                reason = f"{self._host} has no address: {self._reason}"
                if self._unknown == len(self._families):
                    raise NoSuchNameError(reason)
                raise OSError(errno.EHOSTUNREACH, reason)
            self._is_second = True
            self._start(self._second_name)

    def _wait_until(self) -> "float | None":
        """Return when to stop waiting for the queries that are under way."""
        if self._found:
            until: float = system.monotonic() + _OTHER_FAMILY_S
            return until if self._deadline is None else min(until, self._deadline)
        return self._deadline if self._is_second else self._second_at

    def close(self) -> None:
        """Stop reading from the queries that are under way."""
        for descriptor in self._queries:
            system.close(descriptor)
        self._queries = {}

    def _start(self, name: str) -> None:
        for family in self._families:
            self._queries[system.start_look_up(name, family)] = (family, b"")

    def _read(self, descriptor: int) -> None:
        family, text = self._queries[descriptor]
        piece = system.read(descriptor, 4096)
        if piece:
            self._queries[descriptor] = (family, text + piece)
            return
        del self._queries[descriptor]
        system.close(descriptor)
        if text[:1] in (b"!", b"?"):
            self._reason = str(text[1:], "utf-8")
            if self._is_second and text[:1] == b"?":
                self._unknown += 1
            return
        addresses: "list[str]" = []
        for address in str(text, "utf-8").split("\n"):
            if address and address not in addresses:
                addresses.append(address)
        if addresses:
            self._found[family] = addresses

    def _addresses(self) -> "list[str]":
        addresses: "list[str]" = []
        for family in self._families:
            addresses += self._found.get(family, [])
        return addresses
