"""The relay's place: up to where the record is on the road, and on which road."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import asyncpg

from chat_api.store.keys import ORIGIN, Key

NAME = "events"

_LOAD = """
SELECT txid::text AS txid_text, position, stream_created, stream_seq, generation FROM relay_cursor WHERE name = $1
"""

_SAVE = """
INSERT INTO relay_cursor (name, txid, position, stream_created, stream_seq, generation, updated_at)
VALUES ($1, $2::text::xid8, $3, $4, $5, $6, now())
ON CONFLICT (name) DO UPDATE SET txid = excluded.txid, position = excluded.position,
    stream_created = excluded.stream_created, stream_seq = excluded.stream_seq, generation = excluded.generation,
    updated_at = excluded.updated_at
"""

# Where every reader of ours has got to: below the lowest floor nothing is waited for. A lane of which only a place in
# the old stream is known (a release before 0003 has it) cannot be helped; no lane at all: nobody has read anything.
_LOWEST_FLOOR = """
SELECT txid::text AS txid_text, position FROM (
    SELECT floor_txid AS txid, floor_position AS position FROM fanout_lanes WHERE floor_txid IS NOT NULL
    UNION ALL SELECT '0'::xid8, 0 WHERE NOT EXISTS (SELECT FROM fanout_lanes)
) floors ORDER BY txid, position LIMIT 1
"""

_COUNT = """
SELECT count(*) FROM events
WHERE (txid, position) > ($1::text::xid8, $2::bigint) AND (txid, position) <= ($3::text::xid8, $4::bigint)
"""

_TAKE_REQUEST = """
UPDATE relay_cursor SET rewind_txid = NULL, rewind_position = NULL FROM (
    SELECT rewind_txid, rewind_position FROM relay_cursor WHERE name = $1 AND rewind_txid IS NOT NULL FOR UPDATE
) asked
WHERE name = $1
RETURNING asked.rewind_txid::text AS txid_text, asked.rewind_position AS position
"""


@dataclass(frozen=True, slots=True)
class Cursor:
    """Everything up to `key` was stored in the stream that was created then."""

    key: Key = ORIGIN
    stream_created: str | None = None
    """None: no stream has been looked at yet."""
    stream_seq: int = 0
    """The highest place in that stream which JetStream has acknowledged to the relay."""
    generation: int = 0
    """How often the cursor went back."""

    def back_to(self, key: Key) -> Cursor:
        """The cursor before that, never ahead; what follows is published under new message ids."""
        return replace(self, key=min(self.key, key), generation=self.generation + 1)

    def message_id(self, event_id: str) -> str:
        """The `Nats-Msg-Id` of an event: its own, until it is published a second time on purpose."""
        return event_id if self.generation == 0 else f"{event_id}.{self.generation}"


async def load(connection: asyncpg.Connection[Any]) -> Cursor:
    """The cursor as it was saved; at the beginning of the record if it never was."""
    row = await connection.fetchrow(_LOAD, NAME)
    if row is None:
        return Cursor()
    return Cursor(
        Key(int(row["txid_text"]), row["position"]), row["stream_created"], row["stream_seq"], row["generation"]
    )


async def save(connection: asyncpg.Connection[Any], cursor: Cursor) -> None:
    """Remember it; all of it at once."""
    await connection.execute(
        _SAVE,
        NAME,
        str(cursor.key.txid),
        cursor.key.position,
        cursor.stream_created,
        cursor.stream_seq,
        cursor.generation,
    )


async def lowest_floor(connection: asyncpg.Connection[Any]) -> Key | None:
    """Up to where fan-out has settled everything; None if it has not said."""
    row = await connection.fetchrow(_LOWEST_FLOOR)
    return None if row is None else Key(int(row["txid_text"]), row["position"])


async def count(connection: asyncpg.Connection[Any], after: Key, upto: Key) -> int:
    """Events above `after`, up to `upto`."""
    return int(await connection.fetchval(_COUNT, str(after.txid), after.position, str(upto.txid), upto.position))


async def take_request(connection: asyncpg.Connection[Any], cursor: Cursor) -> Cursor | None:
    """The cursor after what somebody asked for (`republish`), saved with the request's end; None if nobody has."""
    async with connection.transaction():
        row = await connection.fetchrow(_TAKE_REQUEST, NAME)
        if row is None:
            return None
        cursor = cursor.back_to(Key(int(row["txid_text"]), row["position"]))
        await save(connection, cursor)
        return cursor
