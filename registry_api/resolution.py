"""Resolves needs as the extension does; without AWS."""

from collections.abc import Iterator, Sequence

from registry_api.refusals import UnknownError
from registry_api.store import IndexStore
from registry_model.needs import Need, Selector
from registry_model.services_file import Member, member_for

_BATCH = 100


class NeedsResolver:
    """Resolves needs as the extension does."""

    def __init__(self, index: IndexStore) -> None:
        """Use an index table."""
        self._index = index

    def resolve(self, needs: Sequence[Need]) -> Iterator[tuple[str, Member]]:
        """Resolve each need: its key, and its member in the services file.

        A hundred are read at a time, as the extension reads them; a caller may stop early.
        """
        for begin in range(0, len(needs), _BATCH):
            batch = needs[begin : begin + _BATCH]
            answers = self._index.answers(
                [(need.service, need.selector.index_selector) for need in batch]
            )
            for need in batch:
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
