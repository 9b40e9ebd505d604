"""The admin's page, put together when somebody asks: what every process has said, who is online, what waits."""

from __future__ import annotations

import asyncio
import time

import nats.js.errors
from nats.js import JetStreamContext
from nats.js.api import KeyValueConfig, StorageType
from sqlalchemy.ext.asyncio import AsyncEngine

from chat_api import stats
from chat_api.presence.book import PresenceBook, Unheard
from chat_api.stats import Backlog
from chat_api.store import backlog
from contracts.codec import decode
from contracts.errors import Undecodable
from contracts.stats import FIGURES_AGE_MAX_S, FIGURES_BUCKET, FIGURES_RENEW_S, AdminStats, ProcessFigures
from contracts.times import now
from kit.bus import AWAY
from kit.logs import Stage, logger

log = logger()

FRESH_S = 1.0
"""Whoever asks within this after another gets the same page: every edge with an admin's socket asks every 2 s."""
ANSWER_TIMEOUT_S = 2.0
HISTORY = 1 + int(FIGURES_AGE_MAX_S / FIGURES_RENEW_S)
"""Words of each process that the bucket keeps: rates need an old one and a new one."""


class LiveStats:
    """One per process that serves; `js` is given when NATS is there."""

    def __init__(self, engine: AsyncEngine, book: PresenceBook) -> None:
        self._engine = engine
        self._book = book
        self._turn = asyncio.Lock()
        self._page: tuple[float, AdminStats] | None = None
        self.js: JetStreamContext | None = None

    async def now(self) -> AdminStats:
        """The page, at most a second old; raises `Unheard` while NATS is away, `DatabaseUnavailable` likewise."""
        async with self._turn:
            if self._page is None or time.monotonic() - self._page[0] > FRESH_S:
                page = await self._made()
                self._page = (time.monotonic(), page)
            return self._page[1]

    async def keep_bucket(self) -> None:
        """See to it that the bucket is there, until cancelled: it lives in memory, and goes with its server."""
        while True:
            try:
                await self._ensure_bucket()
            except AWAY as away:
                log.debug("figures have no bucket yet", stage=Stage.LIFECYCLE, error=type(away).__name__)
            await asyncio.sleep(FIGURES_AGE_MAX_S / 2)

    async def _made(self) -> AdminStats:
        if not self._book.hearing:
            raise Unheard
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                samples = await self._samples()
        except AWAY as away:
            raise Unheard from away
        return stats.aggregate(
            samples,
            self._book.edges(),
            users_online=self._book.online_count,
            backlog=Backlog(*await backlog.ages(self._engine)),
            at=now(),
        )

    async def _samples(self) -> list[ProcessFigures]:
        if self.js is None:
            raise Unheard
        found: list[ProcessFigures] = []
        try:
            bucket = await self.js.key_value(FIGURES_BUCKET)
        except nats.js.errors.BucketNotFoundError:
            return found
        watcher = await bucket.watchall(include_history=True)
        try:
            async for entry in watcher:
                if entry is None:
                    break
                try:
                    found.append(decode(ProcessFigures, entry.value or b""))
                except Undecodable as wrong:
                    log.warning("unreadable figures", stage=Stage.LISTENER, key=entry.key, error=str(wrong)[:200])
        finally:
            await watcher.stop()  # type: ignore[no-untyped-call]
        return found

    async def _ensure_bucket(self) -> None:
        assert self.js is not None
        try:
            await self.js.stream_info(f"KV_{FIGURES_BUCKET}")
        except nats.js.errors.NotFoundError:
            await self.js.create_key_value(
                KeyValueConfig(
                    bucket=FIGURES_BUCKET,
                    history=HISTORY,
                    ttl=FIGURES_AGE_MAX_S,
                    storage=StorageType.MEMORY,
                    direct=True,
                )
            )
