"""A deploy pipeline's view of the registry: signed requests, JSON in and out."""

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from local import loopback
from local.emulator import REGION
from local.processes import LocalStackError

_TIMEOUT_S = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the registry answered; `document` is None where there is no body."""

    status: int
    headers: dict[str, str]
    document: Any


class RegistryClient:
    """Calls the registry's API as API Gateway wants it: signed with SigV4."""

    def __init__(self, url: str) -> None:
        """Take the API's URL, without a path."""
        self._url = url

    def call(
        self,
        method: str,
        path: str,
        document: object = None,
        *,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """Send a document, or a *body* as it is, and read what comes back.

        Raises:
            LocalStackError: The registry does not answer at all.
        """
        data = json.dumps(document).encode() if document is not None else body
        request = AWSRequest(
            method=method,
            url=self._url + path,
            data=data,
            headers={"Content-Type": "application/json", **(headers or {})},
        )
        SigV4Auth(Credentials("local", "local"), "execute-api", REGION).add_auth(request)
        sent = urllib.request.Request(
            self._url + path, data=data, headers=dict(request.headers.items()), method=method
        )
        try:
            with loopback.urlopen(sent, timeout=_TIMEOUT_S) as answer:
                return _answer(answer.status, dict(answer.headers), answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return _answer(error.code, dict(error.headers), error.read())
        except OSError as error:
            message = f"{method} {path}: the registry was not reached: {error}"
            raise LocalStackError(message) from error


def _answer(status: int, headers: dict[str, str], body: bytes) -> Answer:
    lowered = {name.lower(): value for name, value in headers.items()}
    is_json = "json" in lowered.get("content-type", "")
    return Answer(
        status=status, headers=lowered, document=json.loads(body) if body and is_json else None
    )
