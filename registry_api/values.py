"""The values that the operations accept and return."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from registry_api.refusals import PreconditionError
from registry_model.version import Version
from registry_tables.arn import Arn
from registry_tables.records import ServiceRecord, VersionRecord


class PublishOutcome(Enum):
    """Whether a publish made a new version, or repeated one."""

    CREATED = "created"
    REPEATED = "repeated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """What a pipeline publishes."""

    name: str
    version: Version
    arn: Arn
    metadata: dict[str, str]
    channel: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteTerms:
    """The terms of a write.

    Attributes:
        passes_guard: Whether the change may leave selectors without an answer.
        accepts: Returns whether the client expects the present revision, which is None if the
            record does not exist.
    """

    passes_guard: bool = False
    accepts: Callable[[int | None], bool] = lambda _: True

    def check(self, record: ServiceRecord | VersionRecord | None) -> None:
        """Check the revision of the record to change; None if it does not exist.

        Raises:
            PreconditionError: The client expects another one.
        """
        if not self.accepts(None if record is None else record.revision):
            raise PreconditionError


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceView:
    """A service and its latest version; None if no stable version is active."""

    service: ServiceRecord
    latest: VersionRecord | None
