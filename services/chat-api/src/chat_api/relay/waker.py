"""Wakes the relay after a commit, without costing the commit anything.

NOTIFY inside the writing transaction would be simpler, but Postgres takes an instance-wide lock for it at commit, and
commits would queue behind each other. So one task per process notifies on a connection of its own, once for any number
of commits that happened meanwhile. Losing a wake-up costs one poll interval: polling is the truth.
"""

from __future__ import annotations

import asyncio

import asyncpg

from chat_api.store.database import connect
from kit.backoff import full_jitter
from kit.logs import Stage, logger
from kit.settings import DatabaseSettings

log = logger()

CHANNEL = "natter_events"


class Waker:
    """`wake` never blocks; `run` must be running for it to reach other processes."""

    def __init__(self, settings: DatabaseSettings) -> None:
        self._settings = settings
        self._pending = asyncio.Event()

    def wake(self) -> None:
        """Something was committed."""
        self._pending.set()

    async def run(self) -> None:
        """Notify whenever something was committed, until cancelled."""
        waits = full_jitter(0.2, 5.0)
        while True:
            try:
                connection = await connect(self._settings, "chat-api waker")
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as away:
                log.debug("waker cannot reach Postgres", stage=Stage.ROUTE, error=type(away).__name__)
                await asyncio.sleep(next(waits))
                continue
            waits = full_jitter(0.2, 5.0)
            try:
                # A notification that a crash loses is no loss, so it need not wait for the disk.
                await connection.execute("SET synchronous_commit = off")
                while True:
                    await self._pending.wait()
                    self._pending.clear()
                    await connection.execute(f"NOTIFY {CHANNEL}")
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as away:
                log.debug("waker lost Postgres", stage=Stage.ROUTE, error=type(away).__name__)
                self._pending.set()
            finally:
                connection.terminate()
