"""Who takes part in a conversation now, for live signals: from the lanes' cache, or asked and kept for a moment."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from chat_api.fanout.recipients import Members
from chat_api.store.database import translated

KEPT_S = 1.0
"""A member who was removed hears nothing after this."""
KEPT_MAX = 2_000

_ACTIVE = text("SELECT user_id FROM participants WHERE conversation_id = :id AND is_active LIMIT :limit")


class MemberList:
    """`of` gives the active members, or None where there are more than `members_max`."""

    def __init__(self, engine: AsyncEngine, known: Callable[[str], Members | None], members_max: int) -> None:
        self._engine = engine
        self._known = known
        self._members_max = members_max
        self._kept: dict[str, tuple[float, Collection[str]]] = {}

    async def of(self, conversation_id: str) -> Collection[str] | None:
        """Raises `DatabaseUnavailable`."""
        members = self._known(conversation_id)
        if members is not None:
            found: Collection[str] = [user_id for user_id, (_, last) in members.latest.items() if last is None]
        else:
            found = await self._asked(conversation_id)
        return found if len(found) <= self._members_max else None

    async def _asked(self, conversation_id: str) -> Collection[str]:
        now = time.monotonic()
        until, found = self._kept.get(conversation_id, (0.0, ()))
        if until > now:
            return found
        async with translated(), self._engine.connect() as connection:
            values = {"id": conversation_id, "limit": self._members_max + 1}
            found = set(await connection.scalars(_ACTIVE, values))
        if len(self._kept) >= KEPT_MAX:
            self._kept.clear()
        self._kept[conversation_id] = (now + KEPT_S, found)
        return found
