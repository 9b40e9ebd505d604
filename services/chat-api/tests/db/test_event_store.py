"""The record: gapless, idempotent, append-only, and read in the order in which it happened."""

from __future__ import annotations

import asyncio
import random
from itertools import takewhile
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from chat_api.relay.relay import _NEXT
from chat_api.store import event_store
from chat_api.store.event_store import ConcurrentAppend, NewEvent
from chat_api.testing import AT
from contracts.events import UserRegistered
from contracts.ids import new_id
from contracts.stream_ids import StreamId, UserStream


def event(stream: StreamId, seq: int) -> NewEvent:
    """Some event."""
    return NewEvent(stream, seq, new_id(), UserRegistered(user_id="x", roles=(), registered_at=AT), {}, AT)


async def stored(engine: AsyncEngine) -> list[tuple[str, int]]:
    """Everything in the record, in order of position."""
    async with engine.connect() as connection:
        rows = await connection.execute(text("SELECT stream, seq FROM events ORDER BY position"))
        return [(row.stream, row.seq) for row in rows]


async def test_append_is_idempotent(engine: AsyncEngine) -> None:
    """The very same events again change nothing; the stream goes on where it was."""
    alice, bob = UserStream("alice"), UserStream("bob")
    events = [event(alice, 1), event(bob, 1), event(alice, 2)]
    async with engine.begin() as connection:
        assert await event_store.append(connection, events) is True
    for _ in range(2):
        async with engine.begin() as connection:
            assert await event_store.append(connection, events) is False
    async with engine.begin() as connection:
        assert await event_store.heads(connection, {alice, bob}) == {alice: 2, bob: 1}
        assert await event_store.append(connection, [event(alice, 3)]) is True
        assert await event_store.append(connection, []) is True
    assert await stored(engine) == [("user:alice", 1), ("user:bob", 1), ("user:alice", 2), ("user:alice", 3)]


@pytest.mark.parametrize("seqs", [[2], [0], [1, 3], [1, 1], [2, 1]])
async def test_gaps_and_repeats_are_refused(engine: AsyncEngine, seqs: list[int]) -> None:
    """A seq that is not the stream's next leaves nothing behind, whatever refuses it."""
    stream = UserStream("alice")
    with pytest.raises((ConcurrentAppend, DBAPIError)):
        async with engine.begin() as connection:
            await event_store.append(connection, [event(stream, seq) for seq in seqs])
    assert await stored(engine) == []
    async with engine.begin() as connection:
        assert await event_store.heads(connection, {stream}) == {stream: 0}


async def test_half_a_repeat_is_refused(engine: AsyncEngine) -> None:
    """Some known and some new events are neither a repeat nor an append."""
    stream = UserStream("alice")
    first = event(stream, 1)
    async with engine.begin() as connection:
        await event_store.append(connection, [first])
    with pytest.raises(ConcurrentAppend):
        async with engine.begin() as connection:
            await event_store.append(connection, [first, event(stream, 2)])
    assert await stored(engine) == [("user:alice", 1)]


async def test_an_occupied_place_is_refused(engine: AsyncEngine) -> None:
    """Another event at a place that is taken is a conflict, also far below the head."""
    stream = UserStream("alice")
    async with engine.begin() as connection:
        await event_store.append(connection, [event(stream, 1), event(stream, 2)])
    for seq in (1, 2):
        with pytest.raises((ConcurrentAppend, DBAPIError)):
            async with engine.begin() as connection:
                await event_store.append(connection, [event(stream, seq)])
    assert len(await stored(engine)) == 2


@pytest.mark.parametrize("statement", ["UPDATE events SET seq = 9", "DELETE FROM events", "TRUNCATE events"])
async def test_the_record_is_append_only(engine: AsyncEngine, statement: str) -> None:
    """The database itself refuses to change history."""
    async with engine.begin() as connection:
        await event_store.append(connection, [event(UserStream("alice"), 1)])
    with pytest.raises(DBAPIError, match="append-only"):
        async with engine.begin() as connection:
            await connection.execute(text(statement))
    assert await stored(engine) == [("user:alice", 1)]


async def append_next(connection: AsyncConnection, streams: list[StreamId]) -> None:
    """What a command does: locks, heads, append."""
    await event_store.lock(connection, streams)
    heads = await event_store.heads(connection, streams)
    new = []
    for stream in streams:
        heads[stream] += 1
        new.append(event(stream, heads[stream]))
    await event_store.append(connection, new)


async def test_concurrent_appends_are_gapless(engine: AsyncEngine) -> None:
    """Under the stream's lock nobody is refused and no seq is missing."""
    stream = UserStream("alice")

    async def write() -> None:
        for _ in range(10):
            async with engine.begin() as connection:
                await append_next(connection, [stream])

    await asyncio.gather(*(write() for _ in range(10)))
    assert await stored(engine) == [("user:alice", seq) for seq in range(1, 101)]


class FencedReader:
    """Reads as the relay does."""

    def __init__(self, connection: asyncpg.Connection[Any]) -> None:
        self._connection = connection
        self._cursor = ("0", 0)
        self.read: list[tuple[str, int]] = []
        self.event_ids: list[str] = []

    async def step(self, limit: int = 50) -> int:
        """One query; returns how many rows it gave."""
        found = await self._connection.fetch(_NEXT, *self._cursor, limit)
        rows = list(takewhile(lambda row: row.get("in_front", True), found))
        for row in rows:
            self.read.append((row["stream"], row["seq"]))
            self.event_ids.append(str(row["event_id"]))
            self._cursor = (row["txid_text"], row["position"])
        return len(rows)


async def test_a_naive_reader_would_lose_what_commits_late(engine: AsyncEngine, db: asyncpg.Connection[Any]) -> None:
    """Positions are not the order of commits: behind the fence nothing is missed, by position it is."""
    reader = FencedReader(db)
    async with engine.connect() as slow, engine.connect() as quick:
        await append_next(slow, [UserStream("slow")])
        await append_next(quick, [UserStream("quick")])
        await quick.commit()
        naive = await db.fetchval("SELECT max(position) FROM events")
        assert await reader.step() == 0, "what could be overtaken must wait"
        await slow.commit()
    assert await db.fetchval("SELECT count(*) FROM events WHERE position > $1", naive) == 0, "lost by position"
    assert await reader.step() == 2
    assert set(reader.read) == {("user:slow", 1), ("user:quick", 1)}


async def test_who_waited_for_the_lock_has_the_later_transaction_id(engine: AsyncEngine) -> None:
    """The lock comes before the first write, so the order of ids is the order of appends."""
    stream = UserStream("alice")
    async with engine.connect() as first, engine.connect() as second:
        await event_store.lock(first, [stream])
        # The second transaction has begun earlier than the first one's write, and waits.
        await second.execute(text("SELECT 1"))
        waiting = asyncio.create_task(append_next(second, [stream]))
        while not await _waits(engine):  # noqa: ASYNC110 - Postgres has no event for it
            await asyncio.sleep(0.01)
        await append_next(first, [stream])
        await first.commit()
        await waiting
        await second.commit()
    async with engine.connect() as connection:
        rows = (await connection.execute(text("SELECT seq FROM events ORDER BY txid"))).scalars().all()
    assert list(rows) == [1, 2]


async def _waits(engine: AsyncEngine) -> bool:
    async with engine.connect() as connection:
        return bool(
            await connection.scalar(
                text(
                    "SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database"
                    " WHERE locktype = 'advisory' AND NOT granted AND datname = current_database()"
                )
            )
        )


async def test_the_fence(engine: AsyncEngine, db: asyncpg.Connection[Any]) -> None:
    """Many writers, slow commits, crossing streams, rollbacks: the relay's query gives every event once, in order."""
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    streams: list[StreamId] = [UserStream(f"user-{number}") for number in range(6)]
    reader = FencedReader(db)
    writing = True

    async def write(number: int) -> None:
        own = random.Random(seed + number)
        for _ in range(12):
            # In any order: `lock` sorts them, or crossing writers would wait for each other for ever.
            chosen = own.sample(streams, own.randint(1, 3))
            async with engine.connect() as connection:
                await append_next(connection, chosen)
                await asyncio.sleep(own.choice([0, 0, 0.001, 0.005, 0.02]))
                if own.random() < 0.25:
                    await connection.rollback()
                else:
                    await connection.commit()

    async def read() -> None:
        while writing:
            await reader.step(chance.randint(1, 20))
            await asyncio.sleep(0)

    reading = asyncio.create_task(read())
    await asyncio.gather(*(write(number) for number in range(12)))
    writing = False
    await reading
    while await reader.step():
        pass
    committed = await stored(engine)
    assert len(set(reader.event_ids)) == len(reader.event_ids), f"read twice, seed {seed}"
    assert sorted(reader.read) == sorted(committed), f"missed, seed {seed}"
    for stream in streams:
        seqs = [seq for name, seq in reader.read if name == str(stream)]
        assert seqs == list(range(1, len(seqs) + 1)), f"out of order in {stream}, seed {seed}"
