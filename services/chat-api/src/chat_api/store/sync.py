"""What a client that was away must be told: where everything stands, or what has happened since.

Both are read in one REPEATABLE READ transaction, whose snapshot has a fence: what lies below it is complete, nothing
can be added there any more. A page of increments ends at the fence at the latest, so that the next one begins where
nothing was skipped, whatever commits meanwhile.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from chat_api.store import mapping, queries
from chat_api.store.queries import EVENT_COLUMNS, SUMMARY_COLUMNS, ConversationSummary
from contracts.envelope import Envelope
from contracts.stream_ids import UserStream

FIRST_ID = "00000000-0000-0000-0000-000000000000"
"""Below every conversation's id: where a snapshot's first page begins."""

# A rebuild exchanges these tables. Were the snapshot older than the exchange, it would see the new ones half filled;
# and taking a lock is what a transaction can do before it has a snapshot.
_HOLD = text("LOCK TABLE conversations, participants, messages, mutes IN ACCESS SHARE MODE")

# What statistics say misleads the planner here. By the average stream, gathering a whole history and sorting it looks
# cheap; by the newest event that they know of, nothing lies behind a fresh cursor, and looking through all of that, for
# each stream anew, costs nothing. Without these ways it walks the one index that has what is asked for in that order.
_STAND = text("""
SELECT set_config('plan_cache_mode', 'force_generic_plan', true), set_config('enable_bitmapscan', 'off', true),
       set_config('enable_seqscan', 'off', true),
       CAST(pg_snapshot_xmin(now_) AS text) AS fence, CAST(pg_snapshot_xmax(now_) AS text) AS next_txid,
       coalesce((SELECT seq FROM streams WHERE stream = :stream), 0) AS user_seq
FROM pg_current_snapshot() AS now_
""")

# LIMIT 1 keeps the inner query a look-up by key: the planner does not know how large a page is, and would rather read
# the whole table than be wrong about it.
_CONVERSATIONS = text(f"""
SELECT s.* FROM (
    SELECT conversation_id, read_seq FROM participants
    WHERE user_id = :user_id AND is_active AND conversation_id > CAST(:after AS uuid)
    ORDER BY conversation_id LIMIT :limit
) p CROSS JOIN LATERAL (
    SELECT {SUMMARY_COLUMNS} FROM conversations c WHERE c.conversation_id = p.conversation_id LIMIT 1
) s
ORDER BY p.conversation_id
""")  # noqa: S608

# Each stream gives its own next events from one index; those that come first in the record make the page, and only
# their rows are read.
_EVENTS = text(f"""
SELECT e.* FROM (
    SELECT next.txid, next.position FROM (
        SELECT 'user:' || :user_id AS stream
        UNION ALL
        SELECT 'conversation:' || conversation_id FROM participants WHERE user_id = :user_id AND is_active
    ) mine CROSS JOIN LATERAL (
        SELECT txid, position FROM events
        WHERE events.stream = mine.stream
          AND (txid, position) > (CAST(CAST(:txid AS text) AS xid8), :position)
          AND txid < pg_snapshot_xmin(pg_current_snapshot())
        ORDER BY txid, position LIMIT :limit
    ) next
    ORDER BY next.txid, next.position LIMIT :limit
) page CROSS JOIN LATERAL (
    SELECT {EVENT_COLUMNS} FROM events WHERE events.position = page.position LIMIT 1
) e
ORDER BY page.txid, page.position
""")  # noqa: S608


@dataclass(frozen=True, slots=True)
class Stand:
    """Where the record and the user's own stream stand, as a transaction sees them."""

    fence: int
    """Every transaction below it has ended, and its events are visible."""
    next_txid: int
    """No transaction has this id yet, nor any above it."""
    user_seq: int
    """Last seq of the user's own stream, 0 if there is none."""


@asynccontextmanager
async def snapshot(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A transaction whose queries all see the same state."""
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        await connection.execute(_HOLD)
        yield connection


async def stand(connection: AsyncConnection, user_id: str) -> Stand:
    """Where everything stands; to be asked first, it also prepares the transaction for what follows."""
    row = (await connection.execute(_STAND, {"stream": str(UserStream(user_id))})).one()
    return Stand(int(row.fence), int(row.next_txid), row.user_seq)


async def conversations(
    connection: AsyncConnection, user_id: str, *, after: str, limit: int
) -> list[ConversationSummary]:
    """The user's conversations in the order of their ids, which never change, so that no page misses one."""
    rows = (await connection.execute(_CONVERSATIONS, {"user_id": user_id, "after": after, "limit": limit})).all()
    return await queries.summaries(connection, rows)


async def events(connection: AsyncConnection, user_id: str, *, txid: int, position: int, limit: int) -> list[Envelope]:
    """What happened after (txid, position) and below the fence, in the record's order: in the user's own stream, and in
    the conversations that the user takes part in now."""
    rows = await connection.execute(
        _EVENTS, {"user_id": user_id, "txid": str(txid), "position": position, "limit": limit}
    )
    return [mapping.envelope(row) for row in rows]
