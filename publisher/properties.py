"""Parses the properties of a service version in a template, and reports all faults at once."""

import difflib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from registry_client.version_prefix import VersionPrefixError, version_from_arn
from registry_model.needs import name_fault
from registry_model.version import Version, VersionError

_KNOWN = ("Name", "Version", "VersionPrefix", "Arn", "Channel", "Metadata", "OnDelete")
# Properties of CloudFormation, which it passes on.
_OF_THE_PLATFORM = frozenset({"ServiceToken", "ServiceTimeout"})


class OnDelete(Enum):
    """What happens to a version when its resource is deleted."""

    RETAIN = "Retain"
    YANK = "Yank"
    DELETE = "Delete"


class PropertiesError(ValueError):
    """The properties are malformed; the message has every fault.

    Attributes:
        faults: One sentence for each fault.
    """

    def __init__(self, faults: list[str]) -> None:
        """Set the faults, and a message with all of them."""
        super().__init__("; ".join(faults))
        self.faults = faults


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceVersion:
    """A version to publish.

    Attributes:
        name: The service's name.
        version: The version.
        arn: The version's ARN.
        channel: The channel to set to it, or None.
        metadata: The version's metadata.
        on_delete: What to do when the resource is deleted.
    """

    name: str
    version: str
    arn: str
    channel: str | None
    metadata: Mapping[str, str]
    on_delete: OnDelete

    @property
    def physical_id(self) -> str:
        """The resource's physical id."""
        return f"{self.name}@{self.version}"

    @classmethod
    def parse(cls, properties: Mapping[str, Any]) -> "ServiceVersion":
        """Parse the properties; empty strings and nulls count as absent.

        Raises:
            PropertiesError: At least one is malformed.
        """
        faults = _unknown(properties)
        name = _text(properties, "Name", faults)
        arn = _text(properties, "Arn", faults)
        channel = _text(properties, "Channel", faults)
        version = _version(properties, arn, faults)
        if name is None:
            faults.append("Name is missing: the service's name")
        if arn is None:
            faults.append("Arn is missing: what the version is, such as a function version's ARN")
        for property_name, value in (("Name", name), ("Channel", channel)):
            fault = name_fault(value) if value is not None else None
            if fault:
                faults.append(f"{property_name} {value!r}: {fault}")
        metadata = _metadata(properties, faults)
        on_delete = _on_delete(properties, faults)
        if faults or name is None or arn is None or version is None:
            raise PropertiesError(faults)
        return cls(
            name=name,
            version=version,
            arn=arn,
            channel=channel,
            metadata=metadata,
            on_delete=on_delete,
        )


def digest(properties: Mapping[str, Any]) -> str:
    """Return a digest of properties, equal for equal properties."""
    own = {name: value for name, value in properties.items() if name not in _OF_THE_PLATFORM}
    return hashlib.sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()


def parse_on_delete(properties: Mapping[str, Any]) -> OnDelete:
    """Return what to do on deletion; `RETAIN` if the property is absent or malformed.

    A resource with a malformed property was never created, and must be deletable.
    """
    return _on_delete(properties, [])


def parse_physical_id(physical_id: str) -> tuple[str, str] | None:
    """Return the service and the version of a physical id; None if nothing was published."""
    name, _, version = physical_id.rpartition("@")
    try:
        Version.parse(version)
    except VersionError:
        return None
    return (name, version) if name and name_fault(name) is None else None


def _unknown(properties: Mapping[str, Any]) -> list[str]:
    faults = []
    for name in sorted(set(properties) - set(_KNOWN) - _OF_THE_PLATFORM):
        close = difflib.get_close_matches(name, _KNOWN, 1)
        hint = f"did you mean {close[0]}?" if close else f"the properties are {', '.join(_KNOWN)}"
        faults.append(f"{name} is not a property of a service version: {hint}")
    return faults


def _text(properties: Mapping[str, Any], name: str, faults: list[str]) -> str | None:
    value = properties.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, bool | dict | list):
        faults.append(f"{name} must be a string")
        return None
    return str(value)


def _version(properties: Mapping[str, Any], arn: str | None, faults: list[str]) -> str | None:
    version = _text(properties, "Version", faults)
    prefix = _text(properties, "VersionPrefix", faults)
    if (version is None) == (prefix is None):
        faults.append("exactly one of Version and VersionPrefix is needed")
        return None
    try:
        if version is not None:
            return str(Version.parse(version))
        return version_from_arn(prefix or "", arn) if arn is not None else None
    except VersionError as error:
        faults.append(f"Version: {error}")
    except VersionPrefixError as error:
        faults.append(f"VersionPrefix: {error}")
    return None


def _metadata(properties: Mapping[str, Any], faults: list[str]) -> dict[str, str]:
    value = properties.get("Metadata") or {}
    if not isinstance(value, dict):
        faults.append("Metadata must be a map of strings")
        return {}
    metadata = {}
    for key, each in value.items():
        if isinstance(each, dict | list) or each is None:
            faults.append(f"Metadata.{key} must be a string")
        else:
            # CloudFormation sends only strings; Terraform sends numbers and booleans, too.
            metadata[key] = str(each).lower() if isinstance(each, bool) else str(each)
    return metadata


def _on_delete(properties: Mapping[str, Any], faults: list[str]) -> OnDelete:
    value = properties.get("OnDelete") or OnDelete.RETAIN.value
    try:
        return OnDelete(value)
    except ValueError:
        choices = ", ".join(each.value for each in OnDelete)
        faults.append(f"OnDelete {value!r}: it must be one of {choices}")
        return OnDelete.RETAIN
