"""The refusals of the operations. `refusal_statuses.py` has their HTTP statuses."""

from collections.abc import Sequence

from registry_api.impact import ConsumerChange
from registry_tables.records import VersionRecord


class RegistryError(Exception):
    """Base of the operations' refusals."""


class UnknownError(RegistryError):
    """There is no such service, version or channel."""


class InvalidError(RegistryError):
    """A member of the request is not allowed.

    Attributes:
        pointer: The member's JSON pointer into the request's body.
    """

    def __init__(self, pointer: str, message: str) -> None:
        super().__init__(message)
        self.pointer = pointer


class PreconditionError(RegistryError):
    """The service or the version has changed since the client read it."""

    def __init__(self) -> None:
        super().__init__("it has changed since it was read: If-Match has another ETag; read again")


class ConflictError(RegistryError):
    """The registry's present state does not allow the change.

    Attributes:
        current: The record that prevents the change; None if it is not a record.
    """

    def __init__(self, message: str, current: VersionRecord | None = None) -> None:
        super().__init__(message)
        self.current = current


class GuardError(ConflictError):
    """The change would leave protected selectors or needs without an answer.

    Attributes:
        selectors: The selectors that would lose their answer.
        consumers: The consumers' needs that would lose their answer.
    """

    def __init__(self, selectors: Sequence[str], consumers: Sequence[ConsumerChange]) -> None:
        lost = [f"'{selector}'" for selector in selectors]
        lost += [f"{len(consumers)} needs of consumers"] if consumers else []
        super().__init__(
            f"{' and '.join(lost)} would no longer resolve to a version; publish a replacement "
            "first, or repeat the request with ?force=true"
        )
        self.selectors = tuple(selectors)
        self.consumers = tuple(consumers)


class BusyError(RegistryError):
    """Other requests keep changing the service; try again."""

    def __init__(self) -> None:
        super().__init__(
            "many other requests are changing this service right now; try again in a moment"
        )
