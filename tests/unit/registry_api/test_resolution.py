"""The dry run of needs: what a function would get, from one read of the index."""

import pytest

from registry_api.refusals import UnknownError
from registry_api.resolution import NeedsResolver
from registry_model.needs import parse_needs, parse_selector
from tests.unit.registry_api import valid
from tests.unit.registry_api.memory_store import MemoryIndexStore


@pytest.fixture
def index() -> MemoryIndexStore:
    """Return an index with two services."""
    yanked = valid.answer("1.4.0", status="yanked", reason="broken", metadata={"team": "a"})
    return MemoryIndexStore(
        {
            ("users", "latest"): valid.answer("1.4.2"),
            ("users", "1.x"): valid.answer("1.4.2"),
            ("users", "1.4.0"): yanked,
            ("billing", "@beta"): valid.answer("3.0.0-rc.1"),
        }
    )


def test_each_need_gets_its_own_answer_under_its_own_key(index: MemoryIndexStore) -> None:
    """The order is that of the needs, as in the services file."""
    needs = parse_needs("users, old:users==1.4.0, billing@beta, nobody")

    members = list(NeedsResolver(index).resolve(needs))

    assert [(key, member.service, member.status, member.version) for key, member in members] == [
        ("users", None, "active", "1.4.2"),
        ("old", "users", "yanked", "1.4.0"),
        ("billing", None, "active", "3.0.0-rc.1"),
        ("nobody", None, "missing", None),
    ]
    assert members[0][1].resolved_at == valid.NOW
    assert (members[1][1].reason, members[1][1].metadata) == ("broken", {"team": "a"})
    assert members[3][1].error == "no version of 'nobody' matches '==latest'"
    assert members[3][1].resolved_at is None


def test_all_needs_are_one_read_of_the_keys_that_the_extension_reads(
    index: MemoryIndexStore,
) -> None:
    """A pipeline's dry run costs the same as a cold start."""
    needs = parse_needs("users~=1.4,a:users==1.x,b:users>=1,c:users")

    assert len(list(NeedsResolver(index).resolve(needs))) == 4

    assert index.asked == [
        [("users", "1.x"), ("users", "1.x"), ("users", "latest"), ("users", "latest")]
    ]


@pytest.mark.parametrize(
    ("selector", "version"),
    [
        ("", "1.4.2"),
        ("==latest", "1.4.2"),
        ("@latest", "1.4.2"),
        ("==1.x", "1.4.2"),
        ("~=1.4", "1.4.2"),
        (">=1.4.2", "1.4.2"),
        ("==1.4.0", "1.4.0"),
        ("~=1.5", None),
        (">=1.4.3", None),
        ("==2.x", None),
        ("@beta", None),
        ("==9.9.9", None),
    ],
)
def test_one_need_is_an_answer_or_unknown(
    index: MemoryIndexStore, selector: str, version: str | None
) -> None:
    """An answer that is too low for `~=` and `>=` does not count."""
    dry_run = NeedsResolver(index)

    if version is None:
        with pytest.raises(UnknownError, match="no version of 'users' matches"):
            dry_run.resolve_one("users", parse_selector(selector))
    else:
        assert dry_run.resolve_one("users", parse_selector(selector)).version == version


def test_caller_may_stop_reading_answers_early(index: MemoryIndexStore) -> None:
    """Thousands of exact needs with large metadata would fill the function's memory."""
    needs = parse_needs(",".join(f"a{number}:users" for number in range(250)))

    assert next(NeedsResolver(index).resolve(needs))[0] == "a0"

    assert [len(asked) for asked in index.asked] == [100]


def test_no_needs_have_no_members(index: MemoryIndexStore) -> None:
    assert list(NeedsResolver(index).resolve([])) == []
