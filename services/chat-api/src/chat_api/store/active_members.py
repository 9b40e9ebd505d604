"""Who takes part in a conversation now, for live signals: asked, and believed for a moment."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Set
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine

from chat_api.store import presence
from chat_api.store.database import translated

BELIEVED_S = 1.0
"""So long it is believed who takes part: whoever leaves still hears and sends signals for this time, no messages."""
REMEMBERED_MAX = 2_000
"""Conversations; one more pushes out the one that was asked for longest ago."""


@dataclass(frozen=True, slots=True)
class _Found:
    user_ids: Set[str] | None
    """None: too many."""
    until: float


class ActiveMembers:
    """`of` gives the active members, or None where there are more than `members_max`."""

    def __init__(self, engine: AsyncEngine, members_max: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._engine = engine
        self._members_max = members_max
        self._clock = clock
        self._found: OrderedDict[str, _Found] = OrderedDict()

    async def of(self, conversation_id: str) -> Set[str] | None:
        """The members; nobody in a conversation that does not exist. Raises `DatabaseUnavailable`."""
        found = self._found.get(conversation_id)
        if found is None or found.until <= self._clock():
            found = await self._read(conversation_id)
        self._found[conversation_id] = found
        self._found.move_to_end(conversation_id)
        if len(self._found) > REMEMBERED_MAX:
            self._found.popitem(last=False)
        return found.user_ids

    async def _read(self, conversation_id: str) -> _Found:
        # From before the question: what changes while it is answered may be missing in the answer.
        until = self._clock() + BELIEVED_S
        async with translated(), self._engine.connect() as connection:
            user_ids = await presence.members(connection, conversation_id, self._members_max + 1)
        return _Found(None if len(user_ids) > self._members_max else frozenset(user_ids), until)
