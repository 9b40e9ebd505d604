"""The append-only record: gapless `seq` per stream, and an append that may be repeated.

Two rules make the order that the relay sees the order that happened:

1. A transaction takes the lock of every stream that it will append to *before* its first write. The locks are
   advisory, so taking them assigns no transaction id; the id comes with the first write, under the locks. Of two
   transactions that share a stream, the one that appends later therefore also has the later id.
2. Readers that must not miss anything read in order of (txid, position), and only rows whose txid lies below that of
   every transaction still running.

A row lock on the stream's head would not do: waiting for it happens after an id is assigned, so that the later append
could carry the earlier id, and be published first.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zlib import crc32

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from contracts.codec import encode
from contracts.events import EventData
from contracts.stream_ids import StreamId

LOCK_CLASS = 0x4E61
"""First half of our advisory locks' keys ("Na"), so that they meet nobody else's."""
LOCK_BUCKETS = 4096
"""Streams share this many locks. A bound, because a room of 100,000 would otherwise fill Postgres' lock table;
two unrelated streams that fall together only wait a millisecond for each other."""
GATE_LOCK = 0x4E616774
"""Every writer holds this one shared ("Nagt"); who holds it alone, as a rebuild does at its end, is the only writer.
A lock on a table would not do: writers read before they write, and would wait for each other for ever."""


class ConcurrentAppend(Exception):
    """Somebody else appended to the stream meanwhile. Cannot happen under the stream's lock; a bug if it does."""


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event on its way into the record; `seq` must be the stream's next."""

    stream: StreamId
    seq: int
    event_id: str
    data: EventData
    metadata: dict[str, Any]
    recorded_at: datetime


_LOCK = text("""
SELECT pg_advisory_xact_lock_shared(:gate)
UNION ALL
SELECT pg_advisory_xact_lock(:class, bucket) FROM (SELECT unnest(CAST(:buckets AS int[])) AS bucket ORDER BY 1) ordered
""")

_HEADS = text("SELECT stream, seq FROM streams WHERE stream = ANY(CAST(:streams AS text[]))")

_APPEND = text("""
WITH new AS (
    SELECT * FROM unnest(
        CAST(:streams AS text[]), CAST(:seqs AS bigint[]), CAST(:event_ids AS uuid[]), CAST(:types AS text[]),
        CAST(:versions AS smallint[]), CAST(:data AS text[]), CAST(:metadata AS text[]),
        CAST(:recorded_at AS timestamptz[])
    ) WITH ORDINALITY AS n (stream, seq, event_id, type, version, data, metadata, recorded_at, ord)
), known AS (
    SELECT e.stream, e.seq FROM events e JOIN new USING (event_id) WHERE e.stream = new.stream AND e.seq = new.seq
), grouped AS (
    SELECT stream, min(seq) AS first_seq, max(seq) AS last_seq FROM new
    WHERE NOT EXISTS (SELECT FROM known) GROUP BY stream
), heads AS (
    INSERT INTO streams (stream, seq) SELECT stream, last_seq FROM grouped
    WHERE first_seq = 1 OR EXISTS (SELECT FROM streams known_head WHERE known_head.stream = grouped.stream)
    ORDER BY stream
    ON CONFLICT (stream) DO UPDATE SET seq = excluded.seq
    WHERE streams.seq = (SELECT first_seq - 1 FROM grouped WHERE grouped.stream = excluded.stream)
    RETURNING stream
), stored AS (
    INSERT INTO events (event_id, stream, seq, type, version, data, metadata, recorded_at)
    SELECT event_id, stream, seq, type, version, CAST(data AS jsonb), CAST(metadata AS jsonb), recorded_at FROM new
    WHERE (SELECT count(*) FROM heads) = (SELECT count(*) FROM grouped) AND NOT EXISTS (SELECT FROM known)
    ORDER BY ord
    RETURNING position
)
SELECT (SELECT count(*) FROM known) AS known, (SELECT count(*) FROM stored) AS stored
""")


async def lock(connection: AsyncConnection, streams: Collection[StreamId]) -> None:
    """Serialise with every other transaction that appends to one of `streams`; before the first write (rule 1)."""
    buckets = sorted({crc32(str(stream).encode()) % LOCK_BUCKETS for stream in streams})
    if buckets:
        await connection.execute(_LOCK, {"gate": GATE_LOCK, "class": LOCK_CLASS, "buckets": buckets})


async def heads(connection: AsyncConnection, streams: Collection[StreamId]) -> dict[StreamId, int]:
    """Last seq of each stream; 0 for one that does not exist."""
    names = {str(stream): stream for stream in streams}
    rows = await connection.execute(_HEADS, {"streams": list(names)})
    found = {names[row.stream]: row.seq for row in rows}
    return {stream: found.get(stream, 0) for stream in streams}


async def append(connection: AsyncConnection, events: Sequence[NewEvent]) -> bool:
    """Store `events` in order, in one statement. False if exactly these were stored before: then nothing changes.

    Raises `ConcurrentAppend` if a seq is not its stream's next, or if only some of the events were stored before.
    """
    if not events:
        return True
    _require_runs(events)
    row = (
        await connection.execute(
            _APPEND,
            {
                "streams": [str(event.stream) for event in events],
                "seqs": [event.seq for event in events],
                "event_ids": [event.event_id for event in events],
                "types": [event.data.type for event in events],
                "versions": [event.data.version for event in events],
                "data": [encode(event.data).decode() for event in events],
                "metadata": [_json(event.metadata) for event in events],
                "recorded_at": [event.recorded_at for event in events],
            },
        )
    ).one()
    if row.stored == len(events):
        return True
    if row.known == len(events):
        return False
    raise ConcurrentAppend(f"{row.stored} of {len(events)} events stored, {row.known} known before")


def _require_runs(events: Sequence[NewEvent]) -> None:
    """The statement looks at each stream's first and last seq alone; what lies between is looked at here."""
    last: dict[StreamId, int] = {}
    for event in events:
        if event.seq != last.get(event.stream, event.seq - 1) + 1:
            raise ConcurrentAppend(f"seq {event.seq} of {event.stream} does not follow {last[event.stream]}")
        last[event.stream] = event.seq


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
