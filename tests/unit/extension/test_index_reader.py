"""Unusual responses of the table."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from extension.credentials import KeysFromEnvironment
from extension.http_response import ResponseParser
from extension.index_reader import IndexReader, Reading, pause_before
from extension.sigv4 import Credentials
from extension.system import monotonic
from testing.index_server import item
from tests.fuzz.targets import KEYS, FakeClient, batch


@pytest.mark.parametrize("items", [b"0 ", b"1.5", b"true", b'"x"', b"[0]", b"[[]]"])
def test_items_that_are_no_list_of_items_are_a_malformed_response(items: bytes) -> None:
    """Another exception would be logged as a bug, and the request would not be tried again."""
    data = b'{"Responses": {"index": ' + items + b"}}"

    verdict = batch(data + b" " * (len(data) % 2))

    assert verdict == "again"


def test_pauses_double_up_to_a_second_and_are_spread() -> None:
    """Clients that were refused at the same time must not retry at the same time."""
    for random_number in (0.0, 0.25, 0.75):
        pauses = [pause_before(attempt, random_number) for attempt in range(1, 9)]

        longest = [0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0]
        assert pauses == pytest.approx([random_number * each for each in longest])


class _ChangingClient(FakeClient):
    """A client whose response is made for each request."""

    def __init__(self, make: Callable[[], bytes]) -> None:
        super().__init__(b"")
        self._make = make

    def request(self, *_ignored: object) -> ResponseParser:
        response = ResponseParser()
        response.status = 200
        response._body = [self._make()]
        return response


def _document(version: str) -> bytes:
    items: list[dict[str, Any]] = [
        {"service": {"S": service}, "selector": {"S": selector}, **item(version, "arn")}
        for service, selector in KEYS
    ]
    return json.dumps({"Responses": {"index": items}}).encode()


def _reader(client: FakeClient, *, random: Callable[[], float]) -> IndexReader:
    return IndexReader(
        client,  # type: ignore[arg-type]  # has the methods that are called
        KeysFromEnvironment(Credentials("id", "secret", "")),
        table="index",
        region="eu-west-1",
        path="/",
        wall=lambda: 1.0,
        random=random,
    )


def _read(reader: IndexReader) -> Reading:
    return reader.read(KEYS, monotonic() + 60)


def test_response_of_the_same_bytes_is_not_parsed_again() -> None:
    """A check with an unchanged response parses nothing: the answers are the same objects."""
    versions = ["1.0.0", "1.0.0", "1.1.0", "1.1.0"]
    documents = iter([_document(version) for version in versions])
    reader = _reader(_ChangingClient(lambda: next(documents)), random=lambda: 0.0)

    first, second, third, fourth = (_read(reader) for _ in range(4))

    for key in KEYS:
        assert second.answers[key] is first.answers[key]
        assert fourth.answers[key] is third.answers[key]
        assert third.answers[key] is not first.answers[key]
        found = third.answers[key]
        assert found is not None
        assert found.version == "1.1.0"


class _RecoveringClient(FakeClient):
    """A client that responds with status 500 to the first requests; its waiter records pauses."""

    def __init__(self, failures: int) -> None:
        super().__init__(_document("1.0.0"))
        self._failures = failures
        self.waiter = self
        self.pauses_s: list[float] = []

    def request(self, *_ignored: object) -> ResponseParser:
        response = ResponseParser()
        response.status = 500 if self._failures > 0 else 200
        self._failures -= 1
        response._body = [_document("1.0.0")]
        return response

    def pause(self, seconds: float) -> None:
        self.pauses_s.append(seconds)


def test_failed_request_is_repeated_after_the_pause_of_its_attempt() -> None:
    """Each attempt in a row waits longer, with a new random number."""
    client = _RecoveringClient(failures=4)
    numbers = [0.9, 0.2, 0.7, 0.4]
    left = iter(numbers)

    reading = _read(_reader(client, random=lambda: next(left)))

    assert set(reading.answers) == set(KEYS)
    expected = [pause_before(attempt, number) for attempt, number in enumerate(numbers, start=1)]
    assert client.pauses_s == expected
