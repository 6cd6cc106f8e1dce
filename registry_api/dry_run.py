"""What functions would get: the grammar and the answers of the extension. No AWS here."""

from collections.abc import Iterator, Sequence

from registry_api.operations import UnknownError
from registry_api.store import IndexStore
from registry_model.needs import Need, Selector
from registry_model.services_file import Member, member_for

_AT_ONCE = 100


class DryRun:
    """The resolve of needs, as the extension does it."""

    def __init__(self, index: IndexStore) -> None:
        """Take the index table."""
        self._index = index

    def resolve(self, needs: Sequence[Need]) -> Iterator[tuple[str, Member]]:
        """Resolve each need: its key, and what the services file would say.

        A hundred at a time, as the extension asks: whoever has enough of the answers may stop.
        """
        for begin in range(0, len(needs), _AT_ONCE):
            asked = needs[begin : begin + _AT_ONCE]
            answers = self._index.answers(
                [(need.service, need.selector.index_selector) for need in asked]
            )
            for need in asked:
                answer = answers.get((need.service, need.selector.index_selector))
                resolved_at = answer.updated_at if answer else ""
                yield need.key, member_for(need, answer, resolved_at)

    def resolve_one(self, service: str, selector: Selector) -> Member:
        """Resolve one need.

        Raises:
            UnknownError: The registry has no answer.
        """
        ((_, member),) = self.resolve([Need(service, service, selector)])
        if not member.is_resolved:
            raise UnknownError(member.error or "")
        return member
