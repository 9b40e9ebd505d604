"""Which part of the record each user has had by sync, written down a few times per second: it needs no push.

A cursor that comes back is the proof: it says where its first ancestor stood, and somebody holds it who has had every
page in between. That a page was sent proves nothing, on a network that breaks.

A hint: what a crash forgets costs a push that nobody needed.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from chat_api.store.database import DatabaseUnavailable, translated
from kit.logs import Stage, logger

log = logger()

FLUSH_EVERY_S = 0.2
USERS_MAX = 10_000
"""Notes of so many users wait at most; beyond it the oldest are dropped."""
BATCH_MAX = 500
"""Users per transaction: one that writes holds the record's fence until it ends, so it must be short."""

_BEGINS_EARLIER = """(known.since_txid, known.since_position) < (excluded.since_txid, excluded.since_position)
     AND (excluded.since_txid, excluded.since_position) <= (known.until_txid, known.until_position)"""
_ENDS_LATER = "(known.until_txid, known.until_position) > (excluded.until_txid, excluded.until_position)"
# As `Told.joined` does it; where that changes nothing, nothing is written.
_NOTE = text(f"""
INSERT INTO synced AS known (user_id, since_txid, since_position, until_txid, until_position, at)
SELECT user_id, CAST(CAST(since_txid AS text) AS xid8), since_position,
       CAST(CAST(until_txid AS text) AS xid8), until_position, now()
FROM unnest(CAST(:user_ids AS text[]), CAST(:since_txids AS text[]), CAST(:since_positions AS bigint[]),
            CAST(:until_txids AS text[]), CAST(:until_positions AS bigint[]))
     AS noted (user_id, since_txid, since_position, until_txid, until_position)
ON CONFLICT (user_id) DO UPDATE SET
    since_txid = CASE WHEN {_BEGINS_EARLIER} THEN known.since_txid ELSE excluded.since_txid END,
    since_position = CASE WHEN {_BEGINS_EARLIER} THEN known.since_position ELSE excluded.since_position END,
    until_txid = CASE WHEN {_ENDS_LATER} THEN known.until_txid ELSE excluded.until_txid END,
    until_position = CASE WHEN {_ENDS_LATER} THEN known.until_position ELSE excluded.until_position END,
    at = excluded.at
WHERE (excluded.until_txid, excluded.until_position) >= (known.since_txid, known.since_position)
  AND ((excluded.until_txid, excluded.until_position) > (known.until_txid, known.until_position)
       OR (excluded.since_txid, excluded.since_position) < (known.since_txid, known.since_position))
""")  # noqa: S608


class Told(NamedTuple):
    """A part of the record, by places (`txid`, `position`), as pages of sync tell it from one cursor to the next."""

    since: tuple[int, int]
    """Not included."""
    until: tuple[int, int]
    """Included."""

    def joined(self, other: Told) -> Told:
        """Both as one part if they touch, otherwise the later one. Nobody was told of a gap: a device that begins with
        a snapshot is told of what comes after it, not of what was before."""
        if other.since <= self.until and self.since <= other.until:
            return Told(min(self.since, other.since), max(self.until, other.until))
        return max(self, other, key=lambda told: told.until)


class SyncNotes:
    """`note` never waits; `run` writes."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._told: OrderedDict[str, Told] = OrderedDict()
        self._something = asyncio.Event()

    def note(self, user_id: str, told: Told) -> None:
        """A device of the user has had this part."""
        known = self._told.get(user_id)
        self._told[user_id] = told if known is None else known.joined(told)
        if len(self._told) > USERS_MAX:
            self._told.popitem(last=False)
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
        while self._told:
            batch = [self._told.popitem(last=False) for _ in range(min(BATCH_MAX, len(self._told)))]
            # Always in one order: two processes that note the same users must not wait for each other in a circle.
            batch.sort()
            async with translated(), self._engine.begin() as connection:
                # Nobody was promised this: a crash may take the last moment of it.
                await connection.execute(text("SET LOCAL synchronous_commit = off"))
                await connection.execute(
                    _NOTE,
                    {
                        "user_ids": [user_id for user_id, _ in batch],
                        "since_txids": [str(told.since[0]) for _, told in batch],
                        "since_positions": [told.since[1] for _, told in batch],
                        "until_txids": [str(told.until[0]) for _, told in batch],
                        "until_positions": [told.until[1] for _, told in batch],
                    },
                )
