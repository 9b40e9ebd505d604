"""The ledger: which device had what and when, and how far each user has each conversation, in Postgres.

Beside the hot path: a receipt is a tuple in a bounded queue, which is written a few times per second. The ledger tells
people what happened (`GET /v1/messages/{id}/delivery`); no delivery depends on it, so it gives way: what is too much is
dropped, the oldest first, and counted.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from chat_api import metrics
from chat_api.fanout.receipts import Heard
from chat_api.store.database import DatabaseUnavailable, translated
from contracts.delivery import Receipt
from contracts.stream_ids import CONVERSATION_PREFIX
from kit.backoff import full_jitter
from kit.logs import Stage, logger

log = logger()

WRITE_EVERY_S = 0.25
WAITING_MAX = 50_000
"""Receipts that may wait to be written."""
BATCH_MAX = 500
"""Receipts per transaction: one that writes holds the record's fence until it ends, so it must be short."""
FORGET_EVERY_S = 60.0
FORGET_BATCH = 1_000
FORGET_LOCK = 0x4E617472
"""Key of the lock of the process that deletes ("Natr")."""

# In the order of the keys, so that two processes that write the same rows wait for each other and never in a circle.
_WRITE = text("""
WITH new AS (
    SELECT * FROM unnest(
        CAST(:streams AS text[]), CAST(:seqs AS bigint[]), CAST(:user_ids AS text[]), CAST(:connection_ids AS uuid[]),
        CAST(:edge_ids AS text[]), CAST(:device_types AS text[]), CAST(:ats AS timestamptz[])
    ) AS n (stream, seq, user_id, connection_id, edge_id, device_type, received_at)
), written AS (
    INSERT INTO receipts (stream, seq, user_id, connection_id, edge_id, device_type, received_at)
    SELECT stream, seq, user_id, connection_id, edge_id, device_type, received_at FROM new WHERE :keep
    ORDER BY stream, seq, user_id, connection_id
    ON CONFLICT DO NOTHING
)
INSERT INTO delivered AS d (conversation_id, user_id, seq)
SELECT conversation_id, user_id, seq FROM unnest(
    CAST(:conversation_ids AS uuid[]), CAST(:reached AS text[]), CAST(:reached_seqs AS bigint[])
) AS r (conversation_id, user_id, seq)
ORDER BY conversation_id, user_id
ON CONFLICT (conversation_id, user_id) DO UPDATE SET seq = excluded.seq WHERE d.seq < excluded.seq
""")

_TRY_LOCK = text("SELECT pg_try_advisory_xact_lock(:key)")

_FORGET = text("""
DELETE FROM receipts WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM receipts WHERE received_at < now() - make_interval(days => :days)
    ORDER BY received_at LIMIT :limit))
""")


class Entry(NamedTuple):
    """One device has one event; `at` in seconds since 1970."""

    stream: str
    seq: int
    user_id: str
    connection_id: str
    edge_id: str
    device_type: str
    at: float


class Ledger:
    """`note` never waits; `run` writes. `days` 0: receipts are not kept, only how far each user has what."""

    def __init__(self, engine: AsyncEngine, days: int) -> None:
        self._engine = engine
        self._days = days
        self._waiting: deque[Entry] = deque()
        self._wake = asyncio.Event()

    def note(self, heard: Heard, receipt: Receipt) -> None:
        """A device has something."""
        about, waiting = heard.about, self._waiting
        if not waiting:
            self._wake.set()
        elif len(waiting) >= WAITING_MAX:
            waiting.popleft()
            metrics.fanout_ledger_dropped.inc()
        waiting.append(
            Entry(
                about.stream,
                about.seq,
                heard.user_id,
                receipt.connection_id,
                receipt.edge_id,
                receipt.device_type.value,
                time.time(),
            )
        )

    async def run(self) -> None:
        """Write what is noted, and forget what is old, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._write_for_ever())
            group.create_task(self._forget_for_ever())

    async def _write_for_ever(self) -> None:
        waits = full_jitter(0.5, 5.0)
        while True:
            await self._wake.wait()
            await asyncio.sleep(WRITE_EVERY_S)
            self._wake.clear()
            try:
                await self.write_waiting()
                waits = full_jitter(0.5, 5.0)
            except DatabaseUnavailable:
                self._wake.set()
                await asyncio.sleep(next(waits))
            except Exception as failed:
                log.error("receipts cannot be written down", stage=Stage.DELIVER, exc_info=failed)

    async def write_waiting(self) -> None:
        """Write everything that waits now. Raises `DatabaseUnavailable`, and keeps what could not be written."""
        for _ in range(-(-len(self._waiting) // BATCH_MAX)):
            batch = [self._waiting.popleft() for _ in range(min(BATCH_MAX, len(self._waiting)))]
            try:
                await self._write(batch)
            except DatabaseUnavailable:
                self._waiting.extendleft(reversed(batch[: WAITING_MAX - len(self._waiting)]))
                raise

    async def _write(self, batch: list[Entry]) -> None:
        reached: dict[tuple[str, str], int] = {}
        for one in batch:
            if one.stream.startswith(CONVERSATION_PREFIX):
                key = (one.stream.removeprefix(CONVERSATION_PREFIX), one.user_id)
                reached[key] = max(one.seq, reached.get(key, 0))
        values = {
            "keep": self._days > 0,
            "streams": [one.stream for one in batch],
            "seqs": [one.seq for one in batch],
            "user_ids": [one.user_id for one in batch],
            "connection_ids": [one.connection_id for one in batch],
            "edge_ids": [one.edge_id for one in batch],
            "device_types": [one.device_type for one in batch],
            "ats": [datetime.fromtimestamp(one.at, UTC) for one in batch],
            "conversation_ids": [conversation_id for conversation_id, _ in reached],
            "reached": [user_id for _, user_id in reached],
            "reached_seqs": list(reached.values()),
        }
        async with translated(), self._engine.begin() as connection:
            # Nobody was promised this: a crash may take the last moment of it.
            await connection.execute(text("SET LOCAL synchronous_commit = off"))
            await connection.execute(_WRITE, values)

    async def _forget_for_ever(self) -> None:
        while True:
            await asyncio.sleep(FORGET_EVERY_S)
            try:
                forgotten = FORGET_BATCH
                while forgotten == FORGET_BATCH:
                    forgotten = await self.forget()
            except DatabaseUnavailable:
                continue
            except Exception as failed:
                log.error("old receipts cannot be deleted", stage=Stage.DELIVER, exc_info=failed)

    async def forget(self) -> int:
        """Delete a batch of what is older than `days`; returns how many that were. One process at a time does it."""
        async with translated(), self._engine.begin() as connection:
            if not await connection.scalar(_TRY_LOCK, {"key": FORGET_LOCK}):
                return 0
            await connection.execute(text("SET LOCAL synchronous_commit = off"))
            return (await connection.execute(_FORGET, {"days": self._days, "limit": FORGET_BATCH})).rowcount
