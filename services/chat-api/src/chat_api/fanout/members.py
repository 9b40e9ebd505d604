"""Who takes part in a conversation now, for live news: from the lanes' cache, or asked for."""

from __future__ import annotations

from collections.abc import Callable, Collection

from chat_api.fanout.recipients import Members
from chat_api.store.active_members import ActiveMembers


class MemberList:
    """`of` gives the active members, or None where there are more than `members_max`."""

    def __init__(self, active: ActiveMembers, known: Callable[[str], Members | None], members_max: int) -> None:
        self._active = active
        self._known = known
        self._members_max = members_max

    async def of(self, conversation_id: str) -> Collection[str] | None:
        """Raises `DatabaseUnavailable`."""
        members = self._known(conversation_id)
        if members is None:
            return await self._active.of(conversation_id)
        found = [user_id for user_id, (_, last) in members.latest.items() if last is None]
        return found if len(found) <= self._members_max else None
