"""Live signals: somebody types. Told to those who are there now, and written down nowhere."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from nats.aio.client import Client
from sqlalchemy.ext.asyncio import AsyncEngine

from chat_api.domain.errors import NotFound
from chat_api.settings import ChatApiSettings
from chat_api.store import presence
from chat_api.store.active_members import ActiveMembers
from chat_api.store.database import translated
from contracts import subjects
from contracts.delivery import DELIVERY_HEADER, Live, delivery_header
from contracts.frames import TYPING_EXPIRES_MS, ServerAction, frame_bytes, live_key
from kit.bus import AWAY
from kit.logs import Stage, logger

log = logger()

COALESCE_S = 1.0
"""The same signal again within this is not told again; clients renew every 3 s."""
TOLD_MAX = 20_000


class Signals:
    """One per process. Without NATS (`client` None, or away) a signal is dropped: nobody could be told in time."""

    def __init__(
        self, settings: ChatApiSettings, engine: AsyncEngine, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._members = ActiveMembers(engine, settings.typing_participants_max, clock)
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
        members = await self._members.of(conversation_id)
        if members is None:
            # Too many to tell, or to remember: but a stranger must not learn that there is such a conversation.
            async with translated(), self._engine.connect() as connection:
                is_member = await presence.is_member(connection, conversation_id, user_id)
        else:
            is_member = user_id in members
        if not is_member:
            raise NotFound
        return [other for other in members or () if other != user_id]

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
