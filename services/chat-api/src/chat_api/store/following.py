"""Following the record in its order: behind the fence, so that nothing is passed over that commits late.

Rows of running transactions are invisible, and rows with later transaction ids than theirs must wait for them: the
fence. In front of it the order is that of the keys, which event_store makes the order in which each stream was appended
to.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from chat_api.store.database import translated
from chat_api.store.keys import Key
from chat_api.store.mapping import EventRow
from chat_api.store.queries import EVENT_COLUMNS

_BEHIND = text(f"""
SELECT {EVENT_COLUMNS} FROM events
WHERE (txid, position) > (CAST(CAST(:txid AS text) AS xid8), :position)
  AND txid < pg_snapshot_xmin(pg_current_snapshot())
ORDER BY txid, position LIMIT :limit
""")  # noqa: S608 - nothing but our own constants

_AT = text(f"SELECT {EVENT_COLUMNS} FROM events WHERE position = ANY(CAST(:positions AS bigint[]))")  # noqa: S608 - nothing but our own constants

_KEY_OF_EVENT = text("SELECT txid::text AS txid_text, position FROM events WHERE event_id = CAST(:event_id AS uuid)")

_RELAYED = text("SELECT txid::text AS txid_text, position FROM relay_cursor WHERE name = 'events'")


async def behind(engine: AsyncEngine, key: Key, limit: int) -> Sequence[EventRow]:
    """The next events above `key`, in order; fewer than `limit` means that the fence is reached."""
    async with translated(), engine.connect() as connection:
        values = {"txid": str(key.txid), "position": key.position, "limit": limit}
        return cast(Sequence[EventRow], (await connection.execute(_BEHIND, values)).all())


async def at(engine: AsyncEngine, positions: Sequence[int]) -> dict[int, EventRow]:
    """The events at these positions."""
    async with translated(), engine.connect() as connection:
        rows = (await connection.execute(_AT, {"positions": list(positions)})).all()
    return {row.position: cast(EventRow, row) for row in rows}


async def key_of_event(engine: AsyncEngine, event_id: str) -> Key | None:
    """Where an event stands in the record's order; None if it is not there."""
    async with translated(), engine.connect() as connection:
        row = (await connection.execute(_KEY_OF_EVENT, {"event_id": event_id})).one_or_none()
    return None if row is None else key_of(row)


async def relayed(engine: AsyncEngine) -> Key | None:
    """Up to where the relay has published; None if it never has."""
    async with translated(), engine.connect() as connection:
        row = (await connection.execute(_RELAYED)).one_or_none()
    return None if row is None else key_of(row)


def key_of(row: object) -> Key:
    """The key of a row with `txid_text` and `position`."""
    found = cast(EventRow, row)
    return Key(int(found.txid_text), found.position)
