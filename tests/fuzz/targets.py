"""What each parser must hold to for any input. Runs on MicroPython and CPython.

Usage: targets.py, with the packages on the path; a line `target hex` in, a verdict's line out.
"""

import binascii
import sys

from extension import credentials, endpoints, extensions_api, index_reader, system, table_errors
from extension.http_response import HttpError, ResponseParser
from extension.sigv4 import Credentials
from registry_model import services_file, strict_json
from registry_model.needs import NeedsError, parse_needs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

KEYS = [("users", "latest"), ("billing", "1.x")]
# Numbers beyond a machine's word, and all with a fraction, are each interpreter's own.
_LARGEST_ALIKE = 1 << 62


class FakeClient:
    """A client whose every answer is the same body with status 200 or 400."""

    host = "127.0.0.1"
    address = "127.0.0.1:80"

    def __init__(self, body: bytes) -> None:
        """Take the body; an odd length makes it an error's."""
        self._answer = ResponseParser()
        self._answer.status = 400 if len(body) % 2 else 200
        self._answer._body = [body]

    def request(self, *_said: object) -> ResponseParser:
        """Answer."""
        return self._answer

    def start(self, *_said: object) -> None:
        """Be asked."""

    def finish(self, _deadline: object) -> ResponseParser:
        """Answer."""
        return self._answer

    def close(self) -> None:
        """Have nothing to close."""


def spelled(value: "Any") -> str:
    """Spell a document alike under both interpreters, whatever order its members have."""
    if isinstance(value, dict):
        members = sorted([spelled(name) + ":" + spelled(value[name]) for name in value])
        return "{" + ",".join(members) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join([spelled(each) for each in value]) + "]"
    if isinstance(value, str):
        return "t" + str(binascii.hexlify(value.encode()), "ascii")
    if isinstance(value, bytes):
        return "b" + str(binascii.hexlify(value), "ascii")
    if isinstance(value, float) or (isinstance(value, int) and abs(value) > _LARGEST_ALIKE):
        return "number"
    return str(value)


def _answer(data: bytes, size: int) -> str:
    parser = ResponseParser()
    try:
        for start in range(0, len(data), size):
            parser.feed(data[start : start + size])
        parser.end()
    except HttpError:
        return "HttpError"
    kept = parser.keeps_alive
    return spelled([parser.status, parser.headers, parser.body, parser.is_done, kept])


def http(data: bytes) -> str:
    """However its bytes come, an answer says the same."""
    whole = _answer(data, max(1, len(data)))
    for size in (1, 7):
        pieces = _answer(data, size)
        assert pieces == whole, f"in pieces of {size}: {pieces}, not {whole}"
    return whole


def document(data: bytes) -> str:
    """A document is read, or refused with a ValueError."""
    try:
        return spelled(strict_json.loads(data))
    except ValueError:
        return "ValueError"


def needs(data: bytes) -> str:
    """Each fault stands in the text, where it says."""
    try:
        text = str(data, "utf-8")
    except UnicodeError:
        return "not UTF-8"
    try:
        return spelled([[need.key, need.service, str(need.selector)] for need in parse_needs(text)])
    except NeedsError as error:
        faults = error.faults
    assert faults, "refused without a fault"
    for fault in faults:
        end = fault.position + len(fault.text)
        assert fault.text, "a fault without a text"
        assert text[fault.position : end] == fault.text, "a fault elsewhere"
    return spelled([[fault.position, fault.reason] for fault in faults])


def leftover(data: bytes) -> str:
    """What an earlier run left says the same once it is written again."""
    try:
        members = services_file.parse(data)
    except ValueError:
        return "ValueError"
    # No other key is ever written.
    good = [(key, members[key]) for key in members if key and key.replace("-", "a").isalpha()]
    try:
        again = services_file.parse(services_file.render(good))
    except UnicodeError:
        return "a key that no need has"
    for key, member in good:
        assert spelled(again[key].to_json()) == spelled(member.to_json()), key
    return spelled({key: members[key].to_json() for key in members})


def batch(data: bytes) -> str:
    """Each key of a batch is answered, at fault, or to be asked again."""
    keys = Credentials("id", "secret", "token")
    reader = index_reader.IndexReader(
        FakeClient(data),  # type: ignore[arg-type]  # as much of a client as is asked
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
    return spelled(versions + again)


def keys(data: bytes) -> str:
    """The container's answer has keys, or there is a CredentialsError."""
    provider = credentials.ContainerCredentials(
        endpoints.parse("http://127.0.0.1/"),
        None,
        None,  # type: ignore[arg-type]  # no connection is made
        None,  # type: ignore[arg-type]  # likewise
    )
    provider._client = FakeClient(data)  # type: ignore[assignment]  # as above
    try:
        return spelled(list(provider.get(0.0)))
    except credentials.CredentialsError:
        return "CredentialsError"


def event(data: bytes) -> str:
    """An event is read, or there is a PlatformError."""
    api = extensions_api.ExtensionsApi(FakeClient(data))  # type: ignore[arg-type]  # as above
    try:
        seen = api.next()
    except extensions_api.PlatformError:
        return "PlatformError"
    return spelled([seen.kind, seen.deadline_ms])


TARGETS: "dict[str, Callable[[bytes], str]]" = {
    "http": http,
    "json": document,
    "needs": needs,
    "leftover": leftover,
    "batch": batch,
    "keys": keys,
    "event": event,
}


def main() -> None:
    """Answer each line with a verdict, or with what went wrong."""
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
