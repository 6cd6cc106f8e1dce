"""How far a rebuild or a restore has got, as one word that a person can copy."""

import base64
import binascii
import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from registry_model.version import Version


class CheckpointError(ValueError):
    """A cursor is malformed, or belongs to other work; the message says why."""


class Phase(StrEnum):
    """The parts of a rebuild, in order."""

    SERVICES = "services"
    WITHIN = "within"
    SURPLUS = "left-over"


# In place of a version: all versions of the service are done.
NO_MORE_VERSIONS = ""


def encode(parts: list[Any]) -> str:
    """Return JSON values as one word."""
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


def decode(cursor: str) -> list[Any]:
    """Return the values of a word that `encode` made.

    Raises:
        CheckpointError: The word is malformed.
    """
    try:
        parts = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError) as error:
        raise _malformed(cursor) from error
    if not isinstance(parts, list) or encode(parts) != cursor:
        raise _malformed(cursor)
    return parts


def _malformed(cursor: str) -> CheckpointError:
    return CheckpointError(f"the cursor {cursor!r} is malformed; copy it whole")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """How far a rebuild or a verification has got.

    Attributes:
        service: The last service that is done; within a service, that one; of the surplus of all
            services, the last partition key.
        version: Within a service, the last version that was looked at; empty: there are no more.
        copy: Which of a service's partitions in the index is next.
        selector: The last selector that was looked at there.
    """

    phase: Phase = Phase.SERVICES
    service: str | None = None
    version: str | None = None
    copy: int = 0
    selector: str | None = None

    def to_cursor(self) -> str:
        """Return it as one word."""
        return encode([self.phase, self.service, self.version, self.copy, self.selector])

    @classmethod
    def from_cursor(cls, cursor: str) -> "Checkpoint":
        """Parse the word.

        Raises:
            CheckpointError: It is not one that `to_cursor` made.
        """
        try:
            phase, service, version, copy, selector = decode(cursor)
            checkpoint = cls(
                phase=Phase(phase), service=service, version=version, copy=copy, selector=selector
            )
            if checkpoint.version:
                Version.parse(checkpoint.version)
        except CheckpointError:
            raise
        except (TypeError, ValueError) as error:
            raise _malformed(cursor) from error
        return checkpoint
