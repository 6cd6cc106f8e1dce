"""The documents that clients send and get."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from registry_api.operations import Publication, ServiceView
from registry_model.arn import Arn
from registry_model.needs import name_fault
from registry_model.records import VersionRecord
from registry_model.version import Version

MAX_METADATA = 50
MAX_METADATA_KEY = 128
MAX_METADATA_VALUE = 1_024


def _name(text: str) -> str:
    fault = name_fault(text)
    if fault:
        raise ValueError(fault)
    return text


def _version(text: str) -> str:
    Version.parse(text)
    return text


def _arn(text: str) -> str:
    Arn.parse(text)
    return text


Name = Annotated[str, AfterValidator(_name)]
MetadataKey = Annotated[str, Field(min_length=1, max_length=MAX_METADATA_KEY)]
MetadataValue = Annotated[str, Field(max_length=MAX_METADATA_VALUE)]


class PublishRequest(BaseModel):
    """The body of `POST /services`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: Name
    version: Annotated[str, AfterValidator(_version)]
    arn: Annotated[str, AfterValidator(_arn)]
    metadata: dict[MetadataKey, MetadataValue] = Field(
        default_factory=dict, max_length=MAX_METADATA
    )
    # Absent; JSON's null is no channel, and is refused.
    channel: Name = ""

    def to_publication(self) -> Publication:
        """Give the operation its values."""
        return Publication(
            name=self.name,
            version=Version.parse(self.version),
            arn=Arn.parse(self.arn),
            metadata=self.metadata,
            channel=self.channel or None,
        )


def faults_of(error: ValidationError) -> list[dict[str, str]]:
    """Name every fault of a body, each with its JSON pointer (RFC 6901)."""
    return [
        {"pointer": _pointer(fault["loc"]), "detail": _detail(fault)} for fault in error.errors()
    ]


def _pointer(location: tuple[int | str, ...]) -> str:
    # pydantic marks a fault of a map's key, whose pointer is its entry's: map, entry, mark.
    if len(location) > 2 and location[-1] == "[key]":
        location = location[:-1]
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in location)


def _detail(fault: Any) -> str:  # noqa: ANN401  # pydantic's own type is no public name
    if fault["type"] == "value_error":
        return str(fault["ctx"]["error"])
    if fault["type"] == "extra_forbidden":
        return "no such member; check its spelling"
    message: str = fault["msg"]
    return message[:1].lower() + message[1:]


def version_document(record: VersionRecord) -> dict[str, Any]:
    """Spell a version record."""
    document: dict[str, Any] = {
        "name": record.name,
        "version": str(record.version),
        "arn": str(record.arn),
        "status": str(record.status),
    }
    if record.reason is not None:
        document["reason"] = record.reason
    if record.metadata:
        document["metadata"] = record.metadata
    return document | {
        "published_at": record.published_at,
        "published_by": record.published_by,
        "revision": record.revision,
    }


def service_document(view: ServiceView) -> dict[str, Any]:
    """Spell a service."""
    service = view.service
    return {
        "name": service.name,
        "latest": version_document(view.latest) if view.latest else None,
        "channels": {name: str(service.channels[name]) for name in sorted(service.channels)},
        "revision": service.revision,
        "created_at": service.created_at,
        "updated_at": service.updated_at,
    }
