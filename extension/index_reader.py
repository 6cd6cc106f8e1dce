"""Reads the index table: all keys in one BatchGetItem, with retries until a deadline.

Portable: runs under MicroPython and CPython. Source: DynamoDB API Reference, "BatchGetItem" and
"Error handling".
"""

import gc
import hashlib

from extension import system, table_errors
from extension.credentials import CredentialsError, NoCredentialsError
from extension.http_client import BrokenError, HttpClient
from extension.product_version import VERSION
from extension.signing_clock import SigningClock
from extension.sigv4 import SignedRequest, SigningKeys
from extension.table_errors import LATER, NEVER, ONCE, TableError
from extension.waiting import DeadlineError
from registry_model import strict_json
from registry_model.index_layout import (
    SELECTOR,
    SERVICE,
    IndexItemError,
    answer_from_item,
    key_of,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from extension.credentials import CredentialsProvider
    from extension.http_response import ResponseParser
    from extension.sigv4 import Credentials
    from registry_model.index_layout import Answer

    Key = tuple[str, str]
    ChooseOthers = Callable[[list[Key], int], list[Key]]

MAX_KEYS = 100
# Collect garbage before and after parsing a response of this size, so that the heap grows less.
_LARGE = 65_536
_BACKOFF_S = 0.025
_MAX_BACKOFF_S = 1.0
_TARGET = "DynamoDB_20120810.BatchGetItem"
_USER_AGENT = "service-discovery-extension/" + VERSION


def pause_before(attempt: int, random_number: float) -> float:
    """Return the seconds to wait before a retry: exponential backoff with jitter.

    Args:
        attempt: How many attempts in a row returned nothing.
        random_number: From 0 up to 1.
    """
    longest: float = min(_MAX_BACKOFF_S, _BACKOFF_S * 2**attempt)
    return longest * random_number


class Reading:
    """The result of reading some keys.

    Attributes:
        answers: The answer of each key that was read; None if the index has no item.
        faults: The reasons why the other keys were not read.
    """

    __slots__ = ("answers", "faults")

    def __init__(self) -> None:
        """Make an empty result."""
        self.answers: "dict[Key, Answer | None]" = {}
        self.faults: "dict[Key, str]" = {}


class _Exchange:
    """A request and its last response.

    They are kept, so that an equal request is not built again, nor an equal response parsed again.
    """

    __slots__ = ("answers", "body", "credentials", "digest", "keys", "request")

    def __init__(
        self, keys: "list[Key]", credentials: "Credentials", body: bytes, request: SignedRequest
    ) -> None:
        self.keys = keys
        self.credentials = credentials
        self.body = body
        self.request = request
        self.digest = b""
        self.answers: "dict[Key, Answer | None]" = {}


class IndexReader:
    """Reads items of one index table."""

    def __init__(
        self,
        client: HttpClient,
        credentials: "CredentialsProvider",
        *,
        table: str,
        region: str,
        path: str,
        wall: "Callable[[], float]",
        random: "Callable[[], float]",
    ) -> None:
        """Set the client, the credentials, the table, the clock and the random numbers.

        Args:
            client: A client of DynamoDB's endpoint.
            credentials: The provider of the credentials.
            table: The table's name or ARN.
            region: The Region to sign for.
            path: The endpoint's path.
            wall: Returns the wall clock's time.
            random: Returns a number from 0 up to 1.
        """
        self._client = client
        self._credentials = credentials
        self._table = table
        self._region = region
        self._path = path
        self._clock = SigningClock(wall)
        self._random = random
        self._signing_keys = SigningKeys(region, "dynamodb")
        # Each key is the number of a request within a read.
        self._exchanges: "dict[int, _Exchange]" = {}

    def read(
        self,
        keys: "list[Key]",
        deadline: float,
        choose_others: "ChooseOthers | None" = None,
    ) -> Reading:
        """Read the items of *keys*: distinct pairs of partition key and selector.

        Faults of the network or the table are not raised; they are in the result's `faults`.

        Args:
            keys: The keys of the items.
            deadline: When to stop, on the monotonic clock.
            choose_others: Called after two or more refusals in a row, with the refused keys and the
                number of refusals; returns the keys to read instead.
        """
        reading = Reading()
        pending = list(keys)
        attempt = 0
        reason = ""
        has_tried_twice = False
        number = -1
        while pending:
            is_throttled = True
            number += 1
            try:
                left = self._read_batch(pending[:MAX_KEYS], reading, deadline, number)
            except DeadlineError:
                reason = reason or self._network_fault(DeadlineError())
                break
            except TableError as error:
                reason = str(error)
                if error.retry == NEVER or (error.retry == ONCE and has_tried_twice):
                    break
                has_tried_twice = has_tried_twice or error.retry == ONCE
                left = pending[:MAX_KEYS]
                is_throttled = error.is_throttled
            # Unprocessed keys go to the end, behind those that have not been requested yet.
            progress = len(left) < len(pending[:MAX_KEYS])
            attempt = 0 if progress else attempt + 1
            if choose_others is not None and is_throttled and attempt > 1:
                left = choose_others(left, attempt)
            pending = pending[MAX_KEYS:] + left
            if not left:
                continue
            if progress:
                reason = f"{self._message_start}: the table left it unprocessed"
            pause = pause_before(attempt, self._random())
            if system.monotonic() + pause >= deadline:
                break
            self._client.waiter.pause(pause)
        reading.faults.update({key: reason for key in pending if key not in reading.answers})
        return reading

    @property
    def _message_start(self) -> str:
        return f"table {self._table} in {self._region}: response of {self._client.address}"

    def _network_fault(self, error: "BrokenError | DeadlineError") -> str:
        fault = table_errors.describe_network_fault(self._client, error)
        return f"table {self._table} in {self._region}: {fault}"

    def _read_batch(
        self, keys: "list[Key]", reading: Reading, deadline: float, number: int = 0
    ) -> "list[Key]":
        """Read up to 100 keys; return the unprocessed ones."""
        if system.monotonic() >= deadline:
            raise DeadlineError
        credentials = self._get_credentials(deadline)
        exchange = self._exchanges.get(number)
        if exchange is None or exchange.keys != keys or exchange.credentials != credentials:
            exchange = self._new_exchange(keys, credentials)
        headers = exchange.request.header_lines(self._clock.timestamp())
        # A proxy may change this header, so it is not signed.
        headers.append("user-agent: " + _USER_AGENT)
        try:
            response = self._client.request("POST", self._path, headers, exchange.body, deadline)
        except BrokenError as error:
            raise TableError(self._network_fault(error), LATER if error.can_retry else NEVER)
        if response.status != 200:
            raise self._refusal(response, credentials)
        data = response.take_body()
        digest = hashlib.sha256(data).digest()
        if exchange.digest == digest:
            reading.answers.update(exchange.answers)
            return []
        is_large = len(data) > _LARGE
        if is_large:
            gc.collect()
        document = self._document(data)
        del data
        left = self._accept(document, keys, reading)
        if is_large:
            gc.collect()
        answers = {key: reading.answers[key] for key in keys if key in reading.answers}
        if len(answers) == len(keys):
            exchange.digest, exchange.answers = digest, answers
            self._exchanges[number] = exchange
        return left

    def _new_exchange(self, keys: "list[Key]", credentials: "Credentials") -> _Exchange:
        body = self._body(keys)
        request = SignedRequest(
            [
                ("content-type", "application/x-amz-json-1.0"),
                ("host", self._client.host),
                ("x-amz-target", _TARGET),
            ],
            method="POST",
            path=self._path,
            body=body,
            keys=self._signing_keys,
            credentials=credentials,
        )
        return _Exchange(keys, credentials, body, request)

    def _get_credentials(self, deadline: float) -> "Credentials":
        try:
            return self._credentials.get(deadline)
        except NoCredentialsError as error:
            raise TableError(f"table {self._table} in {self._region}: {error}", NEVER)
        except CredentialsError as error:
            fault = table_errors.with_advice(str(error), table_errors.CREDENTIALS_ADVICE)
            raise TableError(f"table {self._table} in {self._region}: {fault}", LATER)

    def _body(self, keys: "list[Key]") -> bytes:
        wanted = [
            f'{{"{SERVICE}":{{"S":{strict_json.dumps(service)}}},'
            f'"{SELECTOR}":{{"S":{strict_json.dumps(selector)}}}}}'
            for service, selector in keys
        ]
        table = strict_json.dumps(self._table)
        text = '{"RequestItems":{' + table + ':{"Keys":[' + ",".join(wanted) + "]}}}"
        return text.encode("utf-8")

    def _refusal(self, response: "ResponseParser", credentials: "Credentials") -> TableError:
        """Return the error for a response with an error status; correct a wrong clock."""
        try:
            document = strict_json.loads(response.body)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            document = {}
        code, message = table_errors.code_and_message(document, credentials)
        error = table_errors.refusal(self._message_start, response.status, code, message)
        if table_errors.may_be_clock_skew(code, message) and self._clock.correct(
            response.headers.get("date", "")
        ):
            error.retry = LATER
        return error

    def _document(self, data: bytes) -> "dict[str, object]":
        """Parse the document of a response with status 200."""
        try:
            document = strict_json.loads(data)
        except ValueError as error:
            raise self._malformed(str(error))
        if not isinstance(document, dict):
            raise self._malformed("it is not an object")
        return document

    def _malformed(self, reason: str) -> TableError:
        return TableError(f"{self._message_start}: the response is malformed: {reason}", LATER)

    def _accept(
        self, document: "dict[str, object]", keys: "list[Key]", reading: Reading
    ) -> "list[Key]":
        """Add a response's items to *reading*; return the unprocessed keys."""
        try:
            unprocessed = document.get("UnprocessedKeys") or {}
            left = self._table_entry(unprocessed) if unprocessed else {}
            left_keys = [key_of(key) for key in _field(left, "Keys")] if left else []
            found = _field(document, "Responses")
            # If no key was processed, there may be no entry for the table.
            items = [] if left_keys and not found else list(self._table_entry(found))
        except (AttributeError, KeyError, TypeError, IndexItemError):
            raise self._malformed("it has no list of items for the table")
        wanted = dict.fromkeys(keys, True)
        seen: "dict[Key, bool]" = {}
        # Drop the references, so that each item is freed as soon as it has been read.
        found = None
        document.clear()
        while items:
            item = items.pop()
            try:
                key = key_of(item)
            except (AttributeError, IndexItemError):
                raise self._malformed("an item has no key")
            if key not in wanted:
                continue
            seen[key] = True
            try:
                reading.answers[key] = answer_from_item(item)
            except IndexItemError as error:
                reading.faults[key] = f"{self._message_start}: {error}"
        left_over = dict.fromkeys(left_keys, True)
        again = [key for key in keys if key in left_over and key not in seen]
        for key in keys:
            if key not in seen and key not in left_over:
                reading.answers[key] = None
        return again

    def _table_entry(self, value: object):  # type: ignore[no-untyped-def]  # noqa: ANN202  # any JSON
        """Return the table's member of *value*: its key is the table's ARN or name."""
        name = self._table.split("/")[-1]
        return _field(value, self._table if self._table in value else name)  # type: ignore[operator]  # as in `_field`


def _field(value: object, name: str):  # type: ignore[no-untyped-def]  # noqa: ANN202  # any JSON
    return value[name]  # type: ignore[index]  # the caller catches a TypeError
