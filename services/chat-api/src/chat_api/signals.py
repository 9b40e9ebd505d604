"""Live signals: somebody types. Told to those who are there now, and written down nowhere."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from nats.aio.client import Client
from sqlalchemy.ext.asyncio import AsyncEngine

from chat_api.domain.errors import NotFound
from chat_api.settings import ChatApiSettings
from chat_api.store import presence
from chat_api.store.database import translated
from contracts import subjects
from contracts.delivery import DELIVERY_HEADER, Live, delivery_header
from contracts.frames import TYPING_EXPIRES_MS, ServerAction, frame_bytes, live_key
from kit.bus import AWAY
from kit.logs import Stage, logger

log = logger()

MEMBERS_TTL_S = 1.0
"""So long it is believed who takes part: whoever leaves still sees and sends signals for this time, no messages."""
MEMBERS_CACHE_MAX = 2_000
COALESCE_S = 1.0
"""The same signal again within this is not told again; clients renew every 3 s."""
TOLD_MAX = 20_000


@dataclass(frozen=True, slots=True)
class _Members:
    user_ids: tuple[str, ...] | None
    """None: too many to tell."""
    until: float


class Signals:
    """One per process. Without NATS (`client` None, or away) a signal is dropped: nobody could be told in time."""

    def __init__(
        self, settings: ChatApiSettings, engine: AsyncEngine, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._participants_max = settings.typing_participants_max
        self._engine = engine
        self._clock = clock
        self._members: OrderedDict[str, _Members] = OrderedDict()
        self._told: OrderedDict[tuple[str, str], float] = OrderedDict()
        """Who was told to be typing, and when; the oldest first."""
        self.client: Client | None = None

    async def typing(self, conversation_id: str, user_id: str, is_typing: bool) -> None:
        """Tell the others that the user types, or has stopped; raises `NotFound` if the user takes no part."""
        others = await self._others(conversation_id, user_id)
        if not others or not self._is_news(conversation_id, user_id, is_typing):
            return
        data = {"conversation_id": conversation_id, "user_id": user_id, "is_typing": is_typing}
        live = Live(live_key("typing", conversation_id, user_id), TYPING_EXPIRES_MS if is_typing else None)
        await self._tell(others, frame_bytes(ServerAction.TYPING, data), live)

    async def _others(self, conversation_id: str, user_id: str) -> list[str]:
        known = self._members.get(conversation_id)
        if known is None or known.until < self._clock():
            known = await self._read(conversation_id)
        if known.user_ids is None:
            async with translated(), self._engine.connect() as connection:
                is_member = await presence.is_member(connection, conversation_id, user_id)
        else:
            is_member = user_id in known.user_ids
        if not is_member:
            raise NotFound
        return [other for other in known.user_ids or () if other != user_id]

    async def _read(self, conversation_id: str) -> _Members:
        until = self._clock() + MEMBERS_TTL_S
        async with translated(), self._engine.connect() as connection:
            found = await presence.members(connection, conversation_id, self._participants_max + 1)
        read = _Members(None if len(found) > self._participants_max else tuple(found), until)
        self._members[conversation_id] = read
        self._members.move_to_end(conversation_id)
        if len(self._members) > MEMBERS_CACHE_MAX:
            self._members.popitem(last=False)
        return read

    def _is_news(self, conversation_id: str, user_id: str, is_typing: bool) -> bool:
        now, key = self._clock(), (conversation_id, user_id)
        if not is_typing:
            self._told.pop(key, None)
            return True
        told = self._told.get(key)
        if told is not None and now - told < COALESCE_S:
            return False
        self._told[key] = now
        self._told.move_to_end(key)
        if len(self._told) > TOLD_MAX:
            self._told.popitem(last=False)
        return True

    async def _tell(self, user_ids: list[str], frame: bytes, live: Live) -> None:
        client = self.client
        # While it reconnects the client would keep messages for later: an old signal is worse than none.
        if client is None or not client.is_connected:
            return
        headers = {DELIVERY_HEADER: delivery_header(live)}
        try:
            for user_id in user_ids:
                await client.publish(subjects.user(user_id), frame, headers=headers)
        except AWAY as failed:
            log.info("signal lost", stage=Stage.BROADCAST, error=type(failed).__name__)
