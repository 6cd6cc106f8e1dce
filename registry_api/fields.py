"""The members of the API's documents: their grammars, limits and checks.

The patterns are for the API's description (docs/api.md has them in words); `registry_model` and
`registry_tables` check each member.
"""

from typing import Annotated, Any

from pydantic import AfterValidator, Field

from registry_model import version as versions
from registry_model.needs import MAX_NAME, MAX_RECORDED_NEEDS, name_fault, parse_needs
from registry_model.version import Version
from registry_tables import arn as arns
from registry_tables.arn import Arn

MAX_METADATA = 50
MAX_METADATA_KEY = 128
MAX_REASON = 1_024
MAX_OWNER = 256


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


def _needed(text: str) -> str:
    parse_needs(text)
    return text


def _needed_by_consumer(text: str) -> str:
    count = len(parse_needs(text))
    if count > MAX_RECORDED_NEEDS:
        message = f"there are {count:,} needs; {MAX_RECORDED_NEEDS:,} can be recorded"
        raise ValueError(message)
    return text


def _described(**schema: Any) -> Any:  # noqa: ANN401  # any JSON Schema
    """Return a field with keywords of JSON Schema for what its validator checks."""
    return Field(json_schema_extra=schema)


_BLANKS = r"[ \t\r\n]*"
_NUMBER = f"(0|[1-9][0-9]{{0,{versions.MAX_DIGITS - 1}}})"
_IDENTIFIER = f"({_NUMBER}|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
_NAME = f"[A-Za-z0-9][A-Za-z0-9._-]{{0,{MAX_NAME - 1}}}"
_VERSION = rf"{_NUMBER}(\.{_NUMBER}){{2}}(-{_IDENTIFIER}(\.{_IDENTIFIER})*)?"
_SELECTOR = (
    rf"(=={_BLANKS}(latest|{_VERSION}|{_NUMBER}(\.{_NUMBER})?\.[x*])"
    rf"|~={_BLANKS}{_NUMBER}(\.{_NUMBER}){{1,2}}"
    rf"|>={_BLANKS}{_NUMBER}(\.{_NUMBER}){{0,2}}"
    rf"|@{_BLANKS}{_NAME})"
)
_NEED = f"({_NAME}{_BLANKS}:{_BLANKS})?{_NAME}({_BLANKS}{_SELECTOR})?{_BLANKS}"
CONSUMER_NAME = "[A-Za-z0-9][A-Za-z0-9._:-]{0,255}"
NAME_PATTERN = f"^{_NAME}$"
CONSUMER_PATTERN = f"^{CONSUMER_NAME}$"
VERSION_PATTERN = f"^{_VERSION}$"
SELECTOR_PATTERN = f"^{_BLANKS}({_SELECTOR}{_BLANKS})?$"
NEEDED_PATTERN = f"^{_BLANKS}({_NEED})?(,{_BLANKS}({_NEED})?)*$"

Name = Annotated[str, AfterValidator(_name), _described(pattern=NAME_PATTERN)]
VersionText = Annotated[
    str,
    AfterValidator(_version),
    _described(pattern=VERSION_PATTERN, maxLength=versions.MAX_LENGTH),
]
ArnText = Annotated[str, AfterValidator(_arn), _described(format="arn", maxLength=arns.MAX_LENGTH)]
Time = Annotated[str, _described(format="date-time")]
Revision = Annotated[int, Field(ge=1)]
Reason = Annotated[str, Field(max_length=MAX_REASON)]
MetadataKey = Annotated[str, Field(min_length=1, max_length=MAX_METADATA_KEY)]
Metadata = Annotated[dict[MetadataKey, str], Field(max_length=MAX_METADATA)]
NeededText = Annotated[str, AfterValidator(_needed), _described(pattern=NEEDED_PATTERN)]
RecordedNeedsText = Annotated[
    str, AfterValidator(_needed_by_consumer), _described(pattern=NEEDED_PATTERN)
]
Owner = Annotated[str, Field(min_length=1, max_length=MAX_OWNER)]
