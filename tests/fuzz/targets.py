"""The rules of each parser for any input. Runs on MicroPython and CPython.

Usage: targets.py, with the packages on the path; reads lines of `target hex`, writes verdicts.
"""

import binascii
import sys

from extension import (
    certificates,
    credentials,
    endpoints,
    extensions_api,
    index_reader,
    proxies,
    system,
    table_errors,
)
from extension.http_response import ResponseParser
from extension.signing_clock import parse_http_date
from extension.sigv4 import Credentials
from extension.sockets import HttpError
from registry_model import services_file, strict_json
from registry_model.needs import NeedsError, parse_needs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

KEYS = [("users", "latest"), ("billing", "1.x")]
# The interpreters format fractions, and numbers above a machine's word, differently.
_LARGEST_ALIKE = 1 << 62


class FakeClient:
    """A client that always returns the same body, with status 200 or 400."""

    host = "127.0.0.1"
    address = "127.0.0.1:80"

    def __init__(self, body: bytes) -> None:
        """Set the body; one of odd length gets status 400."""
        self._response = ResponseParser()
        self._response.status = 400 if len(body) % 2 else 200
        self._response._body = [body]

    def request(self, *_ignored: object) -> ResponseParser:
        """Return the response."""
        return self._response

    def start(self, *_ignored: object) -> None:
        """Do nothing."""

    def finish(self, _deadline: object) -> ResponseParser:
        """Return the response."""
        return self._response

    def close(self) -> None:
        """Do nothing."""


def canonical(value: "Any") -> str:
    """Return a document as a text that does not depend on the interpreter or the members' order."""
    if isinstance(value, dict):
        members = sorted([canonical(name) + ":" + canonical(value[name]) for name in value])
        return "{" + ",".join(members) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join([canonical(each) for each in value]) + "]"
    if isinstance(value, str):
        return "t" + str(binascii.hexlify(value.encode()), "ascii")
    if isinstance(value, bytes):
        return "b" + str(binascii.hexlify(value), "ascii")
    if isinstance(value, float) or (isinstance(value, int) and abs(value) > _LARGEST_ALIKE):
        return "number"
    return str(value)


def _parsed(data: bytes, size: int) -> str:
    parser = ResponseParser()
    try:
        for start in range(0, len(data), size):
            parser.feed(data[start : start + size])
        parser.end()
    except HttpError:
        return "HttpError"
    kept = parser.keeps_alive
    return canonical([parser.status, parser.headers, parser.body, parser.is_done, kept])


def http(data: bytes) -> str:
    """A response is the same in pieces of any size."""
    whole = _parsed(data, max(1, len(data)))
    for size in (1, 7):
        pieces = _parsed(data, size)
        assert pieces == whole, f"in pieces of {size}: {pieces}, not {whole}"
    return whole


def document(data: bytes) -> str:
    """A document is parsed, or refused with a ValueError."""
    try:
        return canonical(strict_json.loads(data))
    except ValueError:
        return "ValueError"


def needs(data: bytes) -> str:
    """Each fault has its text and position in the input."""
    try:
        text = str(data, "utf-8")
    except UnicodeError:
        return "not UTF-8"
    try:
        return canonical(
            [[need.key, need.service, str(need.selector)] for need in parse_needs(text)]
        )
    except NeedsError as error:
        faults = error.faults
    assert faults, "refused without a fault"
    for fault in faults:
        end = fault.position + len(fault.text)
        assert fault.text, "a fault without a text"
        assert text[fault.position : end] == fault.text, "a fault elsewhere"
    return canonical([[fault.position, fault.reason] for fault in faults])


def leftover(data: bytes) -> str:
    """A services file is parsed to the same members after it was written again."""
    try:
        members = services_file.parse(data)
    except ValueError:
        return "ValueError"
    # The extension writes no other key.
    good = [(key, members[key]) for key in members if key and key.replace("-", "a").isalpha()]
    try:
        again = services_file.parse(services_file.render(good))
    except UnicodeError:
        return "a key that no need has"
    for key, member in good:
        assert canonical(again[key].to_json()) == canonical(member.to_json()), key
    return canonical({key: members[key].to_json() for key in members})


def batch(data: bytes) -> str:
    """Each key of a batch is answered, has a fault, or is asked again."""
    keys = Credentials("id", "secret", "token")
    reader = index_reader.IndexReader(
        FakeClient(data),  # type: ignore[arg-type]  # has the methods that are called
        credentials.KeysFromEnvironment(keys),
        table="index",
        region="eu-west-1",
        path="/",
        wall=lambda: 1.0,
        random=lambda: 0.0,
    )
    reading = index_reader.Reading()
    try:
        again = reader._read_batch(KEYS, reading, system.monotonic() + 60)
    except table_errors.TableError as error:
        return "refused" if error.retry == table_errors.NEVER else "again"
    for key in KEYS:
        assert key in again or key in reading.answers or key in reading.faults, key
    versions = []
    for key in KEYS:
        answer = reading.answers.get(key)
        versions.append(answer.version if answer else str(key in reading.faults))
    return canonical(versions + again)


def keys(data: bytes) -> str:
    """The container's response has keys, or there is a CredentialsError."""
    provider = credentials.ContainerCredentials(
        endpoints.parse("http://127.0.0.1/"),
        None,
        None,  # type: ignore[arg-type]  # no connection is made
        None,  # type: ignore[arg-type]  # likewise
    )
    provider._client = FakeClient(data)  # type: ignore[assignment]  # as above
    try:
        return canonical(list(provider.get(0.0)))
    except credentials.CredentialsError:
        return "CredentialsError"


def event(data: bytes) -> str:
    """An event is parsed, or there is a PlatformError."""
    api = extensions_api.ExtensionsApi(FakeClient(data))  # type: ignore[arg-type]  # as above
    try:
        seen = api.next()
    except extensions_api.PlatformError:
        return "PlatformError"
    return canonical([seen.kind, seen.deadline_ms])


def certificate(data: bytes) -> str:
    """A bundle is split, and a certificate is described; neither ever fails."""
    found = certificates.split(data)
    if data[:2] != certificates.DER_BEGIN:
        # The interpreters decode invalid base64 differently.
        return str(len(found))
    return canonical([len(found), certificates.describe_refusal(data)])


def proxy(data: bytes) -> str:
    """A proxy's URL is parsed, or its fault is known; a fault never repeats the URL."""
    try:
        text = str(data, "utf-8")
    except UnicodeError:
        return "not UTF-8"
    endpoint = endpoints.parse("https://dynamodb.eu-west-1.amazonaws.com")
    found = proxies.from_environment(endpoint, {"https_proxy": text}.get)
    if found is None:
        return "none"
    assert "s3cret" not in found.fault, found.fault
    return canonical([found.endpoint.host, found.endpoint.port, found.fault, found.headers()])


def date(data: bytes) -> str:
    """A date is parsed, or None is returned."""
    try:
        return str(parse_http_date(str(data, "utf-8")))
    except UnicodeError:
        return "not UTF-8"


TARGETS: "dict[str, Callable[[bytes], str]]" = {
    "http": http,
    "json": document,
    "needs": needs,
    "leftover": leftover,
    "batch": batch,
    "keys": keys,
    "event": event,
    "certificate": certificate,
    "proxy": proxy,
    "date": date,
}


def main() -> None:
    """Write a verdict, or the error, for each line."""
    while True:
        line = sys.stdin.readline()
        if not line:
            return
        target, _, spelling = line.strip().partition(" ")
        try:
            print(TARGETS[target](binascii.unhexlify(spelling)))
        except Exception as error:  # noqa: BLE001  # any is a find
            print("FIND", repr(error))


if __name__ == "__main__":
    main()
