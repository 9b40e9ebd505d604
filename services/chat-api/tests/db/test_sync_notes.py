"""What a device has had by sync is written down for the notifier: beside the requests, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from chat_api import sync_notes
from chat_api.commands import handlers
from chat_api.settings import ChatApiSettings
from chat_api.store.database import create_engine
from chat_api.store.unit_of_work import PostgresUnitOfWork
from chat_api.sync_notes import SyncNotes, Told
from chat_api.testing import create, register, send
from chat_api.testing_http import Served, served
from chat_api.testing_world import eventually

ALICE, BOB = "alice", "bob"


@pytest.fixture
def notes(engine: AsyncEngine) -> SyncNotes:
    """Written when the test says so."""
    return SyncNotes(engine)


@pytest.fixture
async def http(
    settings: ChatApiSettings, engine: AsyncEngine, uow: PostgresUnitOfWork, notes: SyncNotes
) -> AsyncIterator[Served]:
    """The application on the fresh database."""
    async with served(settings, engine, uow, sync_notes=notes) as made:
        yield made


def until(txid: int, position: int, *, since: tuple[int, int] = (0, 0)) -> Told:
    """A part of the record."""
    return Told(since, (txid, position))


async def parts(db: asyncpg.Connection[Any]) -> dict[str, Told]:
    """What is written down."""
    rows = await db.fetch(
        "SELECT user_id, since_txid::text::bigint, since_position, until_txid::text::bigint, until_position FROM synced"
    )
    return {user_id: Told((a, b), (c, d)) for user_id, a, b, c, d in map(tuple, rows)}


async def place(db: asyncpg.Connection[Any], event: dict[str, Any]) -> tuple[int, int]:
    """Where an event of a page stands."""
    txid = await db.fetchval("SELECT txid::text::bigint FROM events WHERE position = $1", event["position"])
    return txid, event["position"]


async def sync(http: Served, db: asyncpg.Connection[Any], cursor: str | None = None, **params: Any) -> dict[str, Any]:
    """A page of bob's, once everything recorded can be in it."""

    async def settled() -> bool:
        newest = "SELECT txid FROM events ORDER BY txid DESC LIMIT 1"
        return bool(await db.fetchval(f"SELECT ({newest}) < pg_snapshot_xmin(pg_current_snapshot())"))

    await eventually(settled, "the fence is behind the newest event")
    params |= {} if cursor is None else {"cursor": cursor}
    page: dict[str, Any] = (await http.call("GET", "/v1/sync", http.token(BOB), params=params)).json()
    return page


async def test_what_was_in_a_page_is_noted(
    http: Served, uow: PostgresUnitOfWork, db: asyncpg.Connection[Any], notes: SyncNotes
) -> None:
    """From the first cursor of increments to the one that comes back; what was only sent does not count."""
    for user_id in (ALICE, BOB):
        await handlers.register_user(register(user_id), uow, actor_id="host", password_hash=None, once=None, status=201)
    c = await handlers.create_conversation(create(ALICE, BOB), uow, None, 201)
    snapshot = await sync(http, db)
    for _ in range(3):
        await handlers.send_messages([send(c, ALICE)], uow)
    first = await sync(http, db, snapshot["next_cursor"], limit=2)
    assert (len(first["events"]), first["has_more"]) == (2, True)
    await notes.flush()
    assert await parts(db) == {}
    second = await sync(http, db, first["next_cursor"], limit=2)
    await notes.flush()
    begin = (await parts(db))[BOB].since
    assert begin < await place(db, first["events"][0])
    assert await parts(db) == {BOB: Told(begin, await place(db, first["events"][-1]))}
    assert (await sync(http, db, second["next_cursor"]))["events"] == []
    await notes.flush()
    noted = await parts(db)
    assert noted[BOB].since == begin
    assert noted[BOB].until >= await place(db, second["events"][-1])


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ([(0, 7), (7, 9)], (0, 9)),
        ([(7, 9), (0, 7)], (0, 9)),
        ([(0, 5), (3, 9)], (0, 9)),
        ([(3, 9), (0, 5)], (0, 9)),
        ([(0, 9), (3, 5)], (0, 9)),
        ([(3, 5), (0, 9)], (0, 9)),
        ([(0, 5), (6, 9)], (6, 9)),
        ([(6, 9), (0, 5)], (6, 9)),
        ([(0, 5), (6, 9), (5, 6)], (5, 9)),
        ([(0, 5), (5, 5)], (0, 5)),
    ],
)
async def test_parts_that_touch_are_joined(
    db: asyncpg.Connection[Any], engine: AsyncEngine, told: list[tuple[int, int]], kept: tuple[int, int], at_once: bool
) -> None:
    """Of two with a gap the later is kept; whoever writes, at once or one after the other."""
    notes = SyncNotes(engine)
    for since, end in told:
        notes.note(BOB, Told((since, 1), (end, 1)))
        if not at_once:
            await notes.flush()
            notes = SyncNotes(engine)
    await notes.flush()
    assert await parts(db) == {BOB: Told((kept[0], 1), (kept[1], 1))}


async def test_a_place_is_one_of_the_record_s_order(db: asyncpg.Connection[Any], notes: SyncNotes) -> None:
    """Which is not that of positions."""
    notes.note(BOB, until(7, 30))
    await notes.flush()
    notes.note(BOB, until(8, 20, since=(7, 30)))
    await notes.flush()
    notes.note(BOB, until(7, 99, since=(7, 1)))
    await notes.flush()
    assert await parts(db) == {BOB: until(8, 20)}


async def test_what_waits_is_bounded(
    db: asyncpg.Connection[Any], notes: SyncNotes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest are dropped: a push more. What is left is written in small transactions."""
    monkeypatch.setattr(sync_notes, "USERS_MAX", 5)
    monkeypatch.setattr(sync_notes, "BATCH_MAX", 2)
    for n in range(8):
        notes.note(f"user-{n}", until(1, n + 1))
    await notes.flush()
    assert await parts(db) == {f"user-{n}": until(1, n + 1) for n in range(3, 8)}


async def test_two_processes_note_the_same_users(
    db: asyncpg.Connection[Any], engine: AsyncEngine, settings: ChatApiSettings
) -> None:
    """Each in its own order: neither waits for the other in a circle, and the newest place of each user is kept."""
    other = create_engine(settings, "test")
    one, two = SyncNotes(engine), SyncNotes(other)
    for round_ in range(10):
        for n in range(200):
            one.note(f"user-{n}", until(round_ + 1, n + 1))
            two.note(f"user-{199 - n}", until(round_ + 1, 1000))
        await asyncio.gather(one.flush(), two.flush())
    assert set((await parts(db)).values()) == {until(10, 1000)}
    await other.dispose()


async def test_what_cannot_be_written_stops_nothing(
    servers: Any, database: str, db: asyncpg.Connection[Any], background: Any
) -> None:
    """It is forgotten, and the next note is written by itself."""
    made = create_engine(servers.settings(database), "test")
    notes = SyncNotes(made)
    background(notes.run())
    await db.execute("ALTER TABLE synced RENAME TO hidden")
    notes.note(ALICE, until(1, 1))
    await eventually(lambda: _nothing_waits(notes), "the note was tried")
    await db.execute("ALTER TABLE hidden RENAME TO synced")

    async def noted() -> bool:
        notes.note(BOB, until(1, 1))
        return BOB in await parts(db)

    await eventually(noted, "bob's place is written")
    await made.dispose()


async def _nothing_waits(notes: SyncNotes) -> bool:
    return not notes._told
