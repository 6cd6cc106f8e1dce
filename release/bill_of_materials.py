"""The bill of materials of a function: the packages in it, with their licences."""

from dataclasses import dataclass
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path

import sbom

_LONGEST_LICENSE_NAME = 60


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Package:
    """A package in a function.

    Attributes:
        license_expression: Its licence as an SPDX expression, or empty.
        license_name: The name of its licence in its metadata, if it has no expression, or empty.
    """

    name: str
    version: str
    license_expression: str
    license_name: str


def packages_in(folder: Path) -> tuple[Package, ...]:
    """Return the packages that are unpacked in *folder*, by name."""
    parser = HeaderParser()
    found = [
        _package(parser.parsestr(path.read_text(encoding="utf-8")))
        for path in folder.glob("*.dist-info/METADATA")
    ]
    return tuple(sorted(found))


def _package(metadata: Message) -> Package:
    expression = metadata.get("License-Expression", "")
    text = metadata.get("License", "")
    classifiers = [
        each.rpartition(" :: ")[2]
        for each in metadata.get_all("Classifier", [])
        if each.startswith("License ::")
    ]
    # Some packages have the full text of their licence in this field.
    is_name = text and "\n" not in text and len(text) <= _LONGEST_LICENSE_NAME
    return Package(
        name=metadata["Name"],
        version=metadata["Version"],
        license_expression=expression,
        license_name="" if expression else (text if is_name else " / ".join(classifiers)),
    )


def bill_of_materials(name: str, version: str, packages: tuple[Package, ...]) -> str:
    """Return the bill of materials of the function *name* of this product's *version*."""
    return sbom.render(name, version, [_component(package) for package in packages])


def _component(package: Package) -> dict[str, object]:
    component: dict[str, object] = {
        "type": "library",
        "bom-ref": f"{package.name}@{package.version}",
        "name": package.name,
        "version": package.version,
        "purl": f"pkg:pypi/{package.name.lower().replace('_', '-')}@{package.version}",
    }
    if package.license_expression:
        component["licenses"] = [{"expression": package.license_expression}]
    elif package.license_name:
        component["licenses"] = [{"license": {"name": package.license_name}}]
    return component
