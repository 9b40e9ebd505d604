"""Hears what other processes have revoked: at once from the bucket, and every few seconds from Postgres.

The bucket is prompt and may be away; Postgres is where it was decided. What this process has revoked itself, it knows
before it answers.
"""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta

from nats.js import JetStreamContext
from nats.js.kv import KeyValue
from sqlalchemy.ext.asyncio import AsyncEngine

from chat_api.store import accounts
from chat_api.store.database import DatabaseUnavailable, translated
from contracts.codec import decode
from contracts.control import REVOCATIONS_AGE_MAX_S, REVOCATIONS_BUCKET, Revocation
from contracts.errors import ContractError
from contracts.times import now
from kit.backoff import full_jitter
from kit.bus import AWAY
from kit.logs import Stage, logger
from kit.revocations import Revocations

log = logger()

POLL_S = 5.0
OVERLAP_S = 60.0
"""So far back each look at Postgres reaches beyond the one before: clocks differ, and transactions take their time."""
SESSION_TOKENS_AGE_MAX_S = 2 * 86_400.0
"""Longer than a token with a session may live: `NATTER_ACCESS_TOKEN_TTL_S` is a day at most."""
WATCH_ANEW_S = 60.0
"""A watch is begun again so often, whatever it says of itself; that is one small read."""


class RevocationsWatcher:
    """Runs in every process that serves; `load` before it lets anybody in."""

    def __init__(self, engine: AsyncEngine, known: Revocations) -> None:
        self._engine = engine
        self._known = known
        self._looked_at = now() - timedelta(seconds=REVOCATIONS_AGE_MAX_S)
        self._again = asyncio.Event()

    def interrupted(self, _reason: str) -> None:
        """Something may have been missed: watch anew."""
        self._again.set()

    async def load(self) -> None:
        """Take over what Postgres says; raises `DatabaseUnavailable`."""
        at = now()
        users_since = self._looked_at - timedelta(seconds=OVERLAP_S)
        sessions_since = max(users_since, at - timedelta(seconds=SESSION_TOKENS_AGE_MAX_S))
        async with translated(), self._engine.connect() as connection:
            found = await accounts.revoked(connection, users_since, sessions_since)
        for one in found:
            self._known.apply(one)
        self._looked_at = at
        self._known.forget((at - timedelta(seconds=REVOCATIONS_AGE_MAX_S)).timestamp())

    async def poll(self) -> None:
        """Look at Postgres every few seconds, until cancelled."""
        while True:
            with contextlib.suppress(DatabaseUnavailable):
                await self.load()
            await asyncio.sleep(POLL_S)

    async def watch(self, js: JetStreamContext) -> None:
        """Follow the bucket, until cancelled."""
        waits = full_jitter(0.2, 5.0)
        while True:
            self._again.clear()
            try:
                await self._follow(js)
                waits = full_jitter(0.2, 5.0)
            except AWAY as failed:
                # Not there yet, or NATS is away: Postgres is asked meanwhile.
                log.debug("revocations cannot be watched", stage=Stage.LISTENER, error=type(failed).__name__)
                await asyncio.sleep(next(waits))

    async def _follow(self, js: JetStreamContext) -> None:
        async with asyncio.timeout(5):
            bucket = await js.key_value(REVOCATIONS_BUCKET)
            watcher = await bucket.watchall(inactive_threshold=WATCH_ANEW_S)
        following = asyncio.create_task(self._take_all(watcher))
        interrupted = asyncio.create_task(self._again.wait())
        try:
            await asyncio.wait({following, interrupted}, timeout=WATCH_ANEW_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (following, interrupted):
                task.cancel()
            ended = await asyncio.gather(following, interrupted, return_exceptions=True)
            with contextlib.suppress(*AWAY):
                await watcher.stop()  # type: ignore[no-untyped-call]
        for result in ended:
            if isinstance(result, Exception):
                raise result

    async def _take_all(self, watcher: KeyValue.KeyWatcher) -> None:
        async for entry in watcher:
            if entry is not None and entry.value:
                try:
                    self._known.apply(decode(Revocation, entry.value))
                except ContractError as wrong:
                    log.warning("a revocation cannot be read", stage=Stage.LISTENER, detail=str(wrong)[:200])
