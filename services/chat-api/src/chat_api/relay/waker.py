"""Wakes the relay after a commit, without costing the commit anything.

NOTIFY inside the writing transaction would be simpler, but Postgres takes an instance-wide lock for it at commit, and
commits would queue behind each other. So one task per process notifies on a connection of its own, once for any number
of commits that happened meanwhile. Losing a wake-up costs one poll interval: polling is the truth.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg

from chat_api.store.database import connect, is_away
from kit import cancellation
from kit.backoff import full_jitter
from kit.logs import Stage, logger
from kit.settings import DatabaseSettings

log = logger()

CHANNEL = "natter_events"

Connect = Callable[[DatabaseSettings, str], Awaitable["asyncpg.Connection[Any]"]]


class Waker:
    """`wake` never blocks; `run` must be running for it to reach other processes."""

    def __init__(self, settings: DatabaseSettings, connect: Connect = connect) -> None:
        self._settings = settings
        self._connect = connect
        self._pending = asyncio.Event()

    def wake(self) -> None:
        """Something was committed."""
        self._pending.set()

    async def run(self) -> None:
        """Notify whenever something was committed, until cancelled."""
        waits = full_jitter(0.2, 5.0)
        while True:
            try:
                connection = await self._connect(self._settings, "chat-api waker")
                try:
                    # A notification that a crash loses is no loss, so it need not wait for the disk.
                    await connection.execute("SET synchronous_commit = off")
                    while True:
                        await self._pending.wait()
                        self._pending.clear()
                        await connection.execute(f"NOTIFY {CHANNEL}")
                        waits = full_jitter(0.2, 5.0)
                finally:
                    connection.terminate()
            except asyncio.CancelledError:
                if cancellation.is_meant():
                    raise
                self._pending.set()
            except Exception as failed:
                # Whatever it is: nobody may go down for a hint.
                if is_away(failed):
                    log.debug("waker lost Postgres", stage=Stage.ROUTE, error=type(failed).__name__)
                else:
                    log.error("waker failed, beginning again", stage=Stage.ROUTE, exc_info=failed)
                self._pending.set()
            await asyncio.sleep(next(waits))
