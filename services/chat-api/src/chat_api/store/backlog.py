"""How long the oldest event has waited that the relay, or fan-out, has not taken."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from chat_api.store.database import translated

SAVED_WITHIN_S = 2.0
"""A lane writes down how far it is about once a second: what looks younger than this may have been taken."""

# A lane that nobody has ever held has taken nothing; before the first one there is no fan-out to be behind.
_WAITING = text("""
SELECT extract(epoch FROM now() - (
    SELECT e.recorded_at FROM events e, relay_cursor c
    WHERE c.name = 'events' AND (e.txid, e.position) > (c.txid, c.position) ORDER BY e.txid, e.position LIMIT 1
)) AS relay_s, extract(epoch FROM now() - (
    SELECT e.recorded_at FROM events e,
        (SELECT top_txid, top_position FROM fanout_lanes WHERE top_txid IS NOT NULL
         ORDER BY top_txid, top_position LIMIT 1) lane
    WHERE (e.txid, e.position) > (lane.top_txid, lane.top_position) ORDER BY e.txid, e.position LIMIT 1
)) AS fanout_s
""")


async def ages(engine: AsyncEngine) -> tuple[float, float]:
    """Seconds that the relay and fan-out are behind, by Postgres' clock; raises `DatabaseUnavailable`."""
    async with translated(), engine.connect() as connection:
        row = (await connection.execute(_WAITING)).one()
    relay_s, fanout_s = (max(0.0, float(age or 0)) for age in (row.relay_s, row.fanout_s))
    return relay_s, fanout_s if fanout_s > SAVED_WITHIN_S else 0.0
