"""The progress of a rebuild or a restore, as one word that a person can copy."""

import base64
import binascii
import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from registry_model.version import Version


class CheckpointError(ValueError):
    """A cursor is malformed, or belongs to another request; the message has the reason."""


class Phase(StrEnum):
    """The parts of a rebuild, in order."""

    SERVICES = "services"
    WITHIN = "within"
    SURPLUS = "left-over"


# In place of a version: all versions of the service are done.
NO_MORE_VERSIONS = ""


def encode(parts: list[Any]) -> str:
    """Encode JSON values as one word."""
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


def decode(cursor: str) -> list[Any]:
    """Decode a word of `encode`.

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
    """The progress of a rebuild or a verification.

    Attributes:
        service: The last service that is done, or the present one, within a service; for the
            surplus of all services, the last partition key.
        version: Within a service, the last version that was compared; empty if there are no more.
        copy: The number of the service's next partition in the index.
        selector: The last selector that was compared there.
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
            CheckpointError: `to_cursor` did not make it.
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
