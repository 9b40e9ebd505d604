"""How far each user has been told by sync, written down a few times per second: what lies there needs no push.

A hint: what a crash forgets costs a push that nobody needed.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from chat_api.store.database import DatabaseUnavailable, translated
from contracts.envelope import Envelope
from kit.logs import Stage, logger

log = logger()

FLUSH_EVERY_S = 0.2
USERS_MAX = 10_000
"""So many users' places wait at most; beyond it the oldest are dropped."""
BATCH_MAX = 500
"""Users per transaction: one that writes holds the record's fence until it ends, so it must be short."""

_NOTE = text("""
INSERT INTO synced (user_id, txid, position, at)
SELECT user_id, CAST(CAST(txid AS text) AS xid8), position, now()
FROM unnest(CAST(:user_ids AS text[]), CAST(:txids AS text[]), CAST(:positions AS bigint[]))
     AS noted (user_id, txid, position)
ON CONFLICT (user_id) DO UPDATE SET txid = excluded.txid, position = excluded.position, at = excluded.at
WHERE (synced.txid, synced.position) < (excluded.txid, excluded.position)
""")


class SyncNotes:
    """`note` never waits; `run` writes."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._reached: OrderedDict[str, tuple[int, int]] = OrderedDict()
        self._something = asyncio.Event()

    def note(self, user_id: str, last: Envelope) -> None:
        """The user is being told of everything up to this event."""
        if last.txid is None:
            return
        place = (last.txid, last.position)
        self._reached[user_id] = max(place, self._reached.get(user_id, place))
        if len(self._reached) > USERS_MAX:
            self._reached.popitem(last=False)
        self._something.set()

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._something.wait()
            self._something.clear()
            try:
                await self.flush()
            except DatabaseUnavailable:
                log.debug("what was synced is not noted", stage=Stage.LOCAL_PUSH)
            except Exception as failed:
                log.error("what was synced cannot be noted", stage=Stage.LOCAL_PUSH, exc_info=failed)
            await asyncio.sleep(FLUSH_EVERY_S)

    async def flush(self) -> None:
        """Write what waits. Raises `DatabaseUnavailable`; what was about to be written is forgotten then."""
        while self._reached:
            batch = [self._reached.popitem(last=False) for _ in range(min(BATCH_MAX, len(self._reached)))]
            # Always in one order: two processes that note the same users must not wait for each other in a circle.
            batch.sort()
            async with translated(), self._engine.begin() as connection:
                # Nobody was promised this: a crash may take the last moment of it.
                await connection.execute(text("SET LOCAL synchronous_commit = off"))
                await connection.execute(
                    _NOTE,
                    {
                        "user_ids": [user_id for user_id, _ in batch],
                        "txids": [str(txid) for _, (txid, _) in batch],
                        "positions": [position for _, (_, position) in batch],
                    },
                )
