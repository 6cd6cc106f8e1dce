"""A registry with a service of any number of versions, on moto."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from registry_model.version import Version
from registry_tables import versions_layout as layout
from registry_tables.arn import Arn
from registry_tables.records import Action, HistoryEvent, ServiceRecord, Status, VersionRecord
from testing import tables
from testing.aws import aws

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

AT = "2026-11-23T08:00:00Z"
BY = "arn:aws:sts::123456789012:assumed-role/deploy/pipeline"
_BATCH = 25
# The history of one page. No more of it is ever read.
_EVENTS = 10
# Of ten versions one is stable and active; the others are yanked or pre-releases.
_OF_TEN_STABLE = 4


def version(number: int) -> Version:
    """Return the version with this number, from 0; most are pre-releases."""
    minor, patch = divmod(number, 10)
    core = f"{minor // 100}.{minor % 100}.{patch}"
    return Version.parse(core if patch < _OF_TEN_STABLE else f"{core}-rc.{number}")


def arn(number: int) -> Arn:
    """Return the ARN of the function of a version."""
    return Arn.parse(f"arn:aws:lambda:eu-west-1:123456789012:function:users:{number + 1}")


@contextmanager
def registry(versions: int, *, name: str = "users") -> Iterator["DynamoDBClient"]:
    """Make both tables, with a service of this many versions as publishing leaves it."""
    with aws() as client:
        for items in _batches(_items(name, versions)):
            client.batch_write_item(
                RequestItems={tables.VERSIONS: [{"PutRequest": {"Item": item}} for item in items]}
            )
        yield client


def _items(name: str, versions: int) -> Iterator[dict[str, Any]]:
    highest: Version | None = None
    for number in range(versions):
        record = VersionRecord(
            name=name,
            version=version(number),
            arn=arn(number),
            status=Status.ACTIVE if number % 10 == 0 else Status.YANKED,
            published_at=AT,
            published_by=BY,
            revision=number + 1,
        )
        if record.is_answer:
            highest = max(highest, record.version) if highest else record.version
        yield layout.version_to_item(record)
        if number >= versions - _EVENTS:
            yield layout.event_to_item(_published(record))
    service = ServiceRecord(
        name=name, revision=versions, highest=highest, created_at=AT, updated_at=AT
    )
    yield layout.service_to_item(service)


def _published(record: VersionRecord) -> HistoryEvent:
    return HistoryEvent(
        name=record.name,
        revision=record.revision,
        at=AT,
        by=BY,
        action=Action.PUBLISH,
        version=record.version,
    )


def _batches(items: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    for item in items:
        batch.append(item)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
