"""Reads the index table: all the wanted keys in one BatchGetItem, with retries inside a deadline.

Portable: runs under MicroPython and CPython. Source: DynamoDB API Reference, "BatchGetItem" and
"Error handling".
"""

import time

from extension import system
from extension.credentials import CredentialsError, NoCredentialsError
from extension.http_client import BrokenError, HttpClient
from extension.product_version import VERSION
from extension.sigv4 import sign
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
    Elsewhere = Callable[[list[Key], int], list[Key]]

MAX_KEYS = 100
_LONGEST_SAID = 400
_BACKOFF_S = 0.025
_MAX_BACKOFF_S = 1.0
_USER_AGENT = "service-discovery-extension/" + VERSION
_TARGET = "DynamoDB_20120810.BatchGetItem"
_THROTTLED = (
    "ProvisionedThroughputExceededException",
    "ThrottlingException",
    "RequestLimitExceeded",
)
_RETRIABLE = (
    "LimitExceededException",
    "TransactionInProgressException",
    "InternalServerError",
    "InternalServerErrorException",
    "ServiceUnavailable",
    "ServiceUnavailableException",
)


def pause_before(attempt: int, dice: float) -> float:
    """Tell how many seconds to wait before asking again, after *attempt* tries without progress.

    Args:
        dice: A number from 0 up to 1: those that were refused together come back apart.
    """
    longest: float = min(_MAX_BACKOFF_S, _BACKOFF_S * 2**attempt)
    return longest * dice


class Reading:
    """What came of asking for some keys.

    Attributes:
        answers: The answer to each key that was answered, None where the index has no item.
        faults: Why each other key was not.
    """

    __slots__ = ("answers", "faults")

    def __init__(self) -> None:
        """Begin with nothing."""
        self.answers: "dict[Key, Answer | None]" = {}
        self.faults: "dict[Key, str]" = {}


class _RefusedError(Exception):
    """The table can't be read, and asking again would not help."""


class _TryAgainError(Exception):
    """The table could not be read this time."""


class _ThrottledError(_TryAgainError):
    """The table is asked for more than it gives right now."""


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
        """Take a client of DynamoDB's endpoint, the keys, the table, the clock and the dice.

        Args:
            path: The endpoint's own path.
            random: Tells numbers from 0 up to 1.
        """
        self._client = client
        self._credentials = credentials
        self._table = table
        self._region = region
        self._path = path
        self._wall = wall
        self._random = random

    def read(
        self, keys: "list[Key]", deadline: float, elsewhere: "Elsewhere | None" = None
    ) -> Reading:
        """Ask for *keys*, which are distinct: (partition key, selector).

        Never raises for what the network or the table does: what was answered counts, though others
        were not.

        Args:
            elsewhere: Names the keys to ask for instead of those that the table would not give
                right now, told how many times in a row; called from the second time on.
        """
        reading = Reading()
        pending = list(keys)
        attempt = 0
        why = f"table {self._table} in {self._region}: no answer in time"
        while pending:
            is_throttled = True
            try:
                left = self._read_batch(pending[:MAX_KEYS], reading, deadline)
            except DeadlineError:
                break
            except _RefusedError as error:
                why = str(error)
                break
            except _TryAgainError as error:
                why = str(error)
                left = pending[:MAX_KEYS]
                is_throttled = isinstance(error, _ThrottledError)
            # Keys that DynamoDB left unprocessed go behind those that have not been asked yet.
            progress = len(left) < len(pending[:MAX_KEYS])
            attempt = 0 if progress else attempt + 1
            if elsewhere is not None and is_throttled and attempt > 1:
                left = elsewhere(left, attempt)
            pending = pending[MAX_KEYS:] + left
            if not left:
                continue
            if progress:
                why = "the table left it unprocessed"
            pause = pause_before(attempt, self._random())
            if system.monotonic() + pause >= deadline:
                break
            self._client.waiter.pause(pause)
        reading.faults.update({key: why for key in pending if key not in reading.answers})
        return reading

    def _read_batch(self, keys: "list[Key]", reading: Reading, deadline: float) -> "list[Key]":
        """Ask for up to 100 keys; tell those that were left unprocessed."""
        if system.monotonic() >= deadline:
            raise DeadlineError
        credentials = self._keys(deadline)
        body = self._body(keys)
        seconds = time.gmtime(int(self._wall()))
        date = f"{seconds[0]:04d}{seconds[1]:02d}{seconds[2]:02d}"
        headers = sign(
            [
                ("content-type", "application/x-amz-json-1.0"),
                ("host", self._client.host),
                ("x-amz-target", _TARGET),
            ],
            method="POST",
            path=self._path,
            body=body,
            region=self._region,
            service="dynamodb",
            credentials=credentials,
            timestamp=f"{date}T{seconds[3]:02d}{seconds[4]:02d}{seconds[5]:02d}Z",
        )
        # A proxy may change this header, so it is not signed.
        headers.append(("user-agent", _USER_AGENT))
        try:
            answer = self._client.request("POST", self._path, headers, body, deadline)
        except BrokenError as error:
            raise _TryAgainError(f"the registry's table can't be reached: {error}")
        document = self._document(answer, credentials)
        return self._take(document, keys, reading)

    def _keys(self, deadline: float) -> "Credentials":
        try:
            return self._credentials.get(deadline)
        except NoCredentialsError as error:
            raise _RefusedError(str(error))
        except CredentialsError as error:
            raise _TryAgainError(str(error))
        except DeadlineError:
            raise _RefusedError("the container's credentials: no answer in time")

    def _body(self, keys: "list[Key]") -> bytes:
        wanted = [
            f'{{"{SERVICE}":{{"S":{strict_json.dumps(service)}}},'
            f'"{SELECTOR}":{{"S":{strict_json.dumps(selector)}}}}}'
            for service, selector in keys
        ]
        table = strict_json.dumps(self._table)
        text = '{"RequestItems":{' + table + ':{"Keys":[' + ",".join(wanted) + "]}}}"
        return text.encode("utf-8")

    def _document(
        self, answer: "ResponseParser", credentials: "Credentials"
    ) -> "dict[str, object]":
        """Read an answer's document, or say what its error means."""
        is_passing = answer.status >= 500 or answer.status == 429
        try:
            document = strict_json.loads(answer.body)
        except ValueError as error:
            if answer.status == 200 or is_passing:
                raise _TryAgainError(
                    f"status {answer.status}, and its answer is malformed: {error}"
                )
            raise _RefusedError(f"the table refuses: status {answer.status}")
        if not isinstance(document, dict):
            raise _TryAgainError("the table's answer is not an object")
        if answer.status == 200:
            return document
        kind = _first_text(document, ("__type",)).split("#")[-1].split(":")[0]
        said = _without_secrets(_first_text(document, ("message", "Message")), credentials)
        text = f"table {self._table} in {self._region}: status {answer.status}"
        if kind:
            text += f", {kind}"
        if said:
            text += f": {said}"
        if answer.status == 429 or kind in _THROTTLED:
            raise _ThrottledError(text)
        if is_passing or kind in _RETRIABLE:
            raise _TryAgainError(text)
        raise _RefusedError(text)

    def _take(
        self, document: "dict[str, object]", keys: "list[Key]", reading: Reading
    ) -> "list[Key]":
        """Take the items of an answer; tell the keys that were left unprocessed."""
        try:
            unprocessed = document.get("UnprocessedKeys") or {}
            left = self._of_the_table(unprocessed) if unprocessed else {}
            left_keys = [key_of(key) for key in _field(left, "Keys")] if left else []
            found = _field(document, "Responses")
            # Where nothing was processed, there may be no entry for the table.
            items = [] if left_keys and not found else list(self._of_the_table(found))
        except (AttributeError, KeyError, TypeError, IndexItemError):
            raise _TryAgainError("the table's answer is malformed")
        wanted = dict.fromkeys(keys, True)
        seen: "dict[Key, bool]" = {}
        for item in items:
            try:
                key = key_of(item)
            except (AttributeError, IndexItemError):
                raise _TryAgainError("the table's answer is malformed")
            if key not in wanted:
                continue
            seen[key] = True
            try:
                reading.answers[key] = answer_from_item(item)
            except IndexItemError as error:
                reading.faults[key] = str(error)
        left_over = dict.fromkeys(left_keys, True)
        again = [key for key in keys if key in left_over and key not in seen]
        for key in keys:
            if key not in seen and key not in left_over:
                reading.answers[key] = None
        return again

    def _of_the_table(self, value: object):  # type: ignore[no-untyped-def]  # noqa: ANN202  # any JSON
        """Take the table's part: it goes by the name that we said, or by its plain one."""
        name = self._table.split("/")[-1]
        return _field(value, self._table if self._table in value else name)  # type: ignore[operator]  # as in `_field`


def _first_text(document: "dict[str, object]", names: "tuple[str, ...]") -> str:
    for name in names:
        value = document.get(name)
        if isinstance(value, str) and value:
            return value
    return ""


def _without_secrets(said: str, credentials: "Credentials") -> str:
    """Take what the service said into one line that can be shown.

    To say that a signature is wrong it repeats all of the signed headers, the token among them.
    """
    said = said.partition("\n")[0]
    for secret in credentials:
        if secret:
            said = said.replace(secret, "***")
    return said[:_LONGEST_SAID]


def _field(value: object, name: str):  # type: ignore[no-untyped-def]  # noqa: ANN202  # any JSON
    return value[name]  # type: ignore[index]  # a TypeError is the caller's to catch
