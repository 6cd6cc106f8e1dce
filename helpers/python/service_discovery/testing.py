"""Replace the answers of `get_service` in unit tests.

    from service_discovery.testing import services

    with services({"users": "arn:aws:lambda:eu-west-1:123456789012:function:users:42"}):
        assert handler(event, None) == ...

`services` writes a services file and sets `SERVICES_FILE` to its path. So code that reads the file
without these helpers gets the same answers, also in child processes.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["services"]

_UNRESOLVED = {
    "missing": "no version matches",
    "unavailable": "the registry could not be reached",
}


@contextmanager
def services(
    answers: Mapping[str, str | Mapping[str, object]], *, age: float = 0.0
) -> Iterator[None]:
    """Replace the services file by one with these *answers* until the `with` block ends.

    Also a decorator, for functions that are not async. The answers apply to the whole process:
    tests that run in threads of one process share them.

    Args:
        answers: For each key an ARN, or a member of the services file: "arn", and if a test needs
            them "version", "status", "metadata", "reason", "resolved_at". With "status" "missing"
            or "unavailable" no "arn" is needed.
        age: How long ago, in seconds, the last successful check was.

    Raises:
        ValueError: A member is malformed.
    """
    members = {key: _member(key, answer) for key, answer in answers.items()}
    before = os.environ.get("SERVICES_FILE")
    with tempfile.TemporaryDirectory(prefix="service-discovery-") as folder:
        path = os.path.join(folder, "services.json")  # noqa: PTH118  # os.environ holds strings
        with open(path, "w", encoding="utf-8") as file:  # noqa: PTH123
            json.dump(members, file)
        checked_at = max(0.0, time.time() - age)
        os.utime(path, (checked_at, checked_at))
        os.environ["SERVICES_FILE"] = path
        try:
            yield
        finally:
            if before is None:
                os.environ.pop("SERVICES_FILE", None)
            else:
                os.environ["SERVICES_FILE"] = before


def _member(key: str, answer: str | Mapping[str, object]) -> dict[str, Any]:
    given = {"arn": answer} if isinstance(answer, str) else dict(answer)
    status = given.get("status", "active")
    if status in _UNRESOLVED:
        return {"requested": "latest", "error": _UNRESOLVED[str(status)], **given}
    if status not in ("active", "yanked"):
        raise ValueError(
            f"{key!r}: status {status!r} is none of active, yanked, missing, unavailable"
        )
    if not isinstance(given.get("arn"), str):
        raise ValueError(f'{key!r} needs an "arn", a string')  # noqa: TRY004  # as in _Member
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return {
        "requested": "latest",
        "version": "1.0.0",
        "status": status,
        "resolved_at": now,
        **given,
    }
