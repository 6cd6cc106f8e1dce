"""The properties of a service version, as templates write them."""

from typing import Any

import pytest

from publisher.properties import (
    OnDelete,
    PropertiesError,
    ServiceVersion,
    digest,
    parse_on_delete,
    parse_physical_id,
)
from testing.arns import ARN as _ARN


def _properties(**others: Any) -> dict[str, Any]:
    properties = {"ServiceToken": "arn:...", "Name": "users", "Version": "1.4.2", "Arn": _ARN}
    return properties | others


def test_least_properties_have_their_defaults() -> None:
    parsed = ServiceVersion.parse(_properties())

    assert parsed == ServiceVersion(
        name="users",
        version="1.4.2",
        arn=_ARN,
        channel=None,
        metadata={},
        on_delete=OnDelete.RETAIN,
    )
    assert parsed.physical_id == "users@1.4.2"


def test_prefix_takes_the_version_from_the_arn() -> None:
    """A team without SemVer uses Lambda's version numbers."""
    parsed = ServiceVersion.parse(_properties(Version="", VersionPrefix="1"))

    assert parsed.physical_id == "users@1.42.0"


def test_texts_of_cloudformation_and_values_of_terraform_are_the_same_metadata() -> None:
    of_cloudformation = _properties(Metadata={"build": "7", "canary": "true"})
    of_terraform = _properties(Metadata={"build": 7, "canary": True}, Channel=None)

    assert ServiceVersion.parse(of_cloudformation) == ServiceVersion.parse(of_terraform)


def test_empty_text_counts_as_absent() -> None:
    """A template's parameter may have an empty default."""
    assert ServiceVersion.parse(_properties(Channel="")).channel is None


def test_every_fault_is_reported_at_once() -> None:
    """One deployment shows every fault."""
    with pytest.raises(PropertiesError) as caught:
        ServiceVersion.parse(
            {
                "Name": "not one",
                "Version": "v1.2",
                "Chanel": "beta",
                "Metadata": {"a": {"b": "c"}},
                "OnDelete": "Drop",
            }
        )

    faults = caught.value.faults
    assert len(faults) == 6
    for message in (
        "Chanel is not a property of a service version: did you mean Channel?",
        "Arn is missing",
        "Name 'not one'",
        "'v1.2' is not a version",
        "Metadata.a must be a string",
        "OnDelete 'Drop': it must be one of Retain, Yank, Delete",
    ):
        assert any(message in fault for fault in faults), faults


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ({"Version": None}, "exactly one of Version and VersionPrefix"),
        ({"VersionPrefix": "1"}, "exactly one of Version and VersionPrefix"),
        ({"Version": None, "VersionPrefix": "v1"}, "'v1' is not a version prefix"),
        ({"Version": None, "VersionPrefix": "1", "Arn": f"{_ARN[:-3]}"}, "numeric qualifier"),
        ({"Name": ["users"]}, "Name must be a string"),
        ({"Metadata": "x"}, "Metadata must be a map"),
        ({"Channel": "a b"}, "Channel 'a b'"),
        ({"Xyz": "1"}, "the properties are Name, Version"),
    ],
)
def test_fault_names_its_property(properties: dict[str, Any], message: str) -> None:
    with pytest.raises(PropertiesError, match=message):
        ServiceVersion.parse(_properties(**properties))


@pytest.mark.parametrize(
    ("physical_id", "parts"),
    [
        ("users@1.4.2", ("users", "1.4.2")),
        ("users@2.0.0-rc.1", ("users", "2.0.0-rc.1")),
        ("nothing-published", None),
        ("users@", None),
        ("@1.0.0", None),
        ("a b@1.0.0", None),
        ("", None),
    ],
)
def test_physical_id_is_read_back(physical_id: str, parts: tuple[str, str] | None) -> None:
    """A Delete has the id; the id of a failed creation has no service and version."""
    assert parse_physical_id(physical_id) == parts


def test_malformed_on_delete_keeps_the_version() -> None:
    """A resource with a malformed `OnDelete` was never created, and its Delete must not fail."""
    assert parse_on_delete({"OnDelete": "Drop"}) is OnDelete.RETAIN
    assert parse_on_delete({"OnDelete": "Yank"}) is OnDelete.YANK


def test_digest_is_of_the_resources_own_properties() -> None:
    assert digest(_properties(ServiceToken="other")) == digest(_properties())
    assert digest(_properties(Channel="beta")) != digest(_properties())
