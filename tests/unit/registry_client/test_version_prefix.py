"""Versions made from a prefix and the number of a function version."""

import pytest

from registry_client.version_prefix import VersionPrefixError, version_from_arn

_FUNCTION = "arn:aws:lambda:eu-west-1:123456789012:function:users"


@pytest.mark.parametrize(
    ("prefix", "version"),
    [("1", "1.42.0"), ("1.4", "1.4.42"), ("0", "0.42.0"), ("10.0", "10.0.42")],
)
def test_prefix_and_number_make_a_version(prefix: str, version: str) -> None:
    assert version_from_arn(prefix, f"{_FUNCTION}:42") == version


@pytest.mark.parametrize("prefix", ["", "v1", "1.", "01", "1.4.2", "1.x", "1-rc", "1" * 19])
def test_malformed_prefix_is_refused_by_name(prefix: str) -> None:
    with pytest.raises(VersionPrefixError) as caught:
        version_from_arn(prefix, f"{_FUNCTION}:42")

    assert repr(prefix) in str(caught.value)


@pytest.mark.parametrize(
    "arn",
    [
        _FUNCTION,
        f"{_FUNCTION}:live",
        f"{_FUNCTION}:$LATEST",
        f"{_FUNCTION}:042",
        "arn:aws:lambda:eu-west-1:123456789012:function:42",
        "arn:aws:sns:eu-west-1:123456789012:42",
        "arn:aws:sqs:eu-west-1:123456789012:users",
        "42",
    ],
)
def test_arn_without_a_numeric_qualifier_is_refused_with_the_way_out(arn: str) -> None:
    """A function's name may be a number, which is not a qualifier."""
    with pytest.raises(VersionPrefixError, match=r"published function version, such as .*:42"):
        version_from_arn("1", arn)
