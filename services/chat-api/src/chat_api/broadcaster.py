"""Tells a broadcast to its recipients, some hundred per transaction: notifications and cursor commit together.

Killed anywhere, it goes on at the cursor, here or in another process, and nobody is told twice. It takes its time
(`broadcast_users_per_s`): a message that somebody waits for must not stand behind a million that nobody does.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from chat_api.commands.ports import Recordable
from chat_api.domain import notices
from chat_api.settings import ChatApiSettings
from chat_api.store import broadcasts, event_store
from chat_api.store.broadcasts import StoredBroadcast
from chat_api.store.database import DatabaseUnavailable, translated
from chat_api.store.unit_of_work import PostgresTransaction
from contracts.ids import new_id
from contracts.stream_ids import StreamId, UserStream
from contracts.times import now
from kit.backoff import full_jitter
from kit.logs import Stage, logger

log = logger()

POLL_S = 1.0
"""A broadcast that another process accepted begins after this at the latest."""


class Broadcaster:
    """Runs in every process that serves; the lock in Postgres lets one at a time do something."""

    def __init__(self, settings: ChatApiSettings, engine: AsyncEngine, on_committed: Callable[[], None]) -> None:
        self._batch_max = settings.broadcast_batch_max
        self._users_per_s = settings.broadcast_users_per_s
        self._engine = engine
        self._on_committed = on_committed
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """A broadcast was accepted in this process."""
        self._woken.set()

    async def run(self) -> None:
        """Tell whatever is to be told, until cancelled; Postgres away is waited out."""
        waits = full_jitter(0.2, 5.0)
        while True:
            self._woken.clear()
            try:
                told = await self.step()
            except DatabaseUnavailable as away:
                log.debug("broadcaster waits for Postgres", stage=Stage.BROADCAST, error=str(away))
                await asyncio.sleep(next(waits))
                continue
            waits = full_jitter(0.2, 5.0)
            if told is None:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(POLL_S):
                        await self._woken.wait()
            else:
                await asyncio.sleep(told / self._users_per_s)

    async def step(self) -> int | None:
        """One transaction: tell the next users of the oldest broadcast. Returns how many, None if nothing is to do."""
        async with translated(), self._engine.begin() as connection:
            found = await broadcasts.take_turn(connection)
            if found is None:
                return None
            users = await broadcasts.next_users(connection, found, self._batch_max)
            await self._tell(connection, found, users)
        if users:
            self._on_committed()
        if len(users) < self._batch_max:
            log.info("broadcast is told", stage=Stage.BROADCAST, broadcast_id=found.broadcast_id)
        return len(users)

    async def _tell(self, connection: AsyncConnection, found: StoredBroadcast, users: list[str]) -> None:
        streams: set[StreamId] = {UserStream(user_id) for user_id in users}
        # The locks come before the first write: see event_store.
        await event_store.lock(connection, streams)
        at = now()
        events = notices.told(found.draft, found.broadcast_id, [(user_id, new_id()) for user_id in users], at)
        metadata = {"actor": found.created_by}
        await PostgresTransaction(connection, None).append(
            [Recordable(UserStream(event.notification.user_id), event, metadata) for event in events], at
        )
        await broadcasts.told(
            connection,
            found.broadcast_id,
            count=len(users),
            cursor=users[-1] if users else None,
            done_at=at if len(users) < self._batch_max else None,
        )
