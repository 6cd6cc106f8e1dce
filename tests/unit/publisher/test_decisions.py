"""The action for each request."""

import pytest

from publisher.decisions import (
    Removal,
    StackState,
    decide_removal,
    is_replaceable,
    roll_back_reason,
)
from publisher.properties import OnDelete


@pytest.mark.parametrize(
    ("status", "root_status", "expected"),
    [
        ("CREATE_IN_PROGRESS", None, False),
        ("UPDATE_IN_PROGRESS", None, False),
        ("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", None, False),
        ("DELETE_IN_PROGRESS", None, False),
        ("ROLLBACK_IN_PROGRESS", None, True),
        ("UPDATE_ROLLBACK_IN_PROGRESS", None, True),
        ("UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS", None, True),
        ("IMPORT_ROLLBACK_IN_PROGRESS", None, True),
        # A nested stack that a failed update of its parent has created.
        ("DELETE_IN_PROGRESS", "UPDATE_ROLLBACK_IN_PROGRESS", True),
        ("DELETE_IN_PROGRESS", "DELETE_IN_PROGRESS", False),
        ("UPDATE_IN_PROGRESS", "UPDATE_ROLLBACK_IN_PROGRESS", False),
    ],
)
def test_roll_back_is_known_by_the_status(
    status: str, root_status: str | None, *, expected: bool
) -> None:
    assert StackState(status=status, root_status=root_status).is_rolling_back is expected


@pytest.mark.parametrize("on_delete", OnDelete)
def test_roll_back_undoes_for_every_on_delete(on_delete: OnDelete) -> None:
    removal = decide_removal(on_delete, "users@2.0.0", is_rolling_back=True, present_id=None)

    assert removal is Removal.UNDO


@pytest.mark.parametrize("on_delete", OnDelete)
def test_replaced_version_is_not_changed(on_delete: OnDelete) -> None:
    """An update to another version ends with a Delete of the previous one."""
    removal = decide_removal(
        on_delete, "users@1.0.0", is_rolling_back=False, present_id="users@2.0.0"
    )

    assert removal is Removal.CLEAN_UP


@pytest.mark.parametrize(
    ("on_delete", "expected"),
    [
        (OnDelete.RETAIN, Removal.KEEP),
        (OnDelete.YANK, Removal.YANK),
        (OnDelete.DELETE, Removal.DELETE),
    ],
)
def test_deleted_resource_follows_on_delete(on_delete: OnDelete, expected: Removal) -> None:
    removal = decide_removal(
        on_delete, "users@1.0.0", is_rolling_back=False, present_id="users@1.0.0"
    )

    assert removal is expected


def test_only_our_own_roll_back_may_be_replaced() -> None:
    """Yanks by another person or another stack stay."""
    ours = roll_back_reason("users")

    assert ours == "rolled back: users"
    assert is_replaceable(ours, "users", was_rolled_back=True)
    assert not is_replaceable(ours, "users", was_rolled_back=False)
    assert not is_replaceable("loses orders", "users", was_rolled_back=True)
    assert not is_replaceable(roll_back_reason("other"), "users", was_rolled_back=True)
    assert not is_replaceable(None, "users", was_rolled_back=True)
