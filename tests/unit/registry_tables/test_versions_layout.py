"""Conversion of records to items and back."""

from hypothesis import given
from hypothesis import strategies as st

from registry_model.version import Version
from registry_tables import versions_layout as layout
from registry_tables.arn import Arn
from registry_tables.records import Action, HistoryEvent, ServiceRecord, Status, VersionRecord

_TEXTS = st.text(max_size=10)
_VERSIONS = st.builds(
    Version,
    st.integers(0, 99),
    st.integers(0, 99),
    st.integers(0, 99),
    st.sampled_from([(), ("rc",)]),
)
_ARN = Arn.parse("arn:aws:lambda:eu-west-1:123456789012:function:users")


@given(
    st.builds(
        VersionRecord,
        name=st.just("users"),
        version=_VERSIONS,
        arn=st.just(_ARN),
        status=st.sampled_from(Status),
        published_at=_TEXTS,
        published_by=_TEXTS,
        revision=st.integers(1, 10**12),
        reason=st.none() | _TEXTS,
        metadata=st.dictionaries(_TEXTS, _TEXTS, max_size=3),
    )
)
def test_version_is_read_back_from_its_item(record: VersionRecord) -> None:
    """The sparse index contains a version only while it can be an answer."""
    item = layout.version_to_item(record)

    assert layout.version_from_item(item) == record
    assert (layout.STABLE_ORDER in item) == record.is_answer


@given(
    st.builds(
        ServiceRecord,
        name=st.just("users"),
        revision=st.integers(1, 10**12),
        created_at=_TEXTS,
        updated_at=_TEXTS,
        channels=st.dictionaries(_TEXTS, _VERSIONS, max_size=3),
    )
)
def test_service_is_read_back_from_its_item(record: ServiceRecord) -> None:
    assert layout.service_from_item(layout.service_to_item(record)) == record


@given(
    st.builds(
        HistoryEvent,
        name=st.just("users"),
        revision=st.integers(1, 10**12),
        at=_TEXTS,
        by=_TEXTS,
        action=st.sampled_from(Action),
        version=st.none() | _VERSIONS,
        channel=st.none() | _TEXTS,
        reason=st.none() | _TEXTS,
    )
)
def test_event_is_read_back_from_its_item(event: HistoryEvent) -> None:
    assert layout.event_from_item(layout.event_to_item(event)) == event


@given(st.integers(1, 10**15), st.integers(1, 10**15))
def test_history_is_in_the_order_of_revisions(one: int, other: int) -> None:
    """Revision 10 comes after revision 9."""
    assert (layout.history_entry(one) < layout.history_entry(other)) == (one < other)
