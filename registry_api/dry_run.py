"""What functions would get: the grammar and the answers of the extension. No AWS here."""

from registry_api.operations import UnknownError
from registry_api.store import IndexStore
from registry_model.needs import Need, Selector
from registry_model.services_file import Member, member_for


class DryRun:
    """The resolve of needs, as the extension does it."""

    def __init__(self, index: IndexStore) -> None:
        """Take the index table."""
        self._index = index

    def resolve(self, needs: list[Need]) -> list[tuple[str, Member]]:
        """Resolve each need: its key, and what the services file would say."""
        answers = self._index.answers(
            [(need.service, need.selector.index_selector) for need in needs]
        )
        resolved = []
        for need in needs:
            answer = answers.get((need.service, need.selector.index_selector))
            resolved_at = answer.updated_at if answer else ""
            resolved.append((need.key, member_for(need, answer, resolved_at)))
        return resolved

    def resolve_one(self, service: str, selector: Selector) -> Member:
        """Resolve one need.

        Raises:
            UnknownError: The registry has no answer.
        """
        ((_, member),) = self.resolve([Need(service, service, selector)])
        if not member.is_resolved:
            raise UnknownError(member.error or "")
        return member
