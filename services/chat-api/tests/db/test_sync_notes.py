"""What a page of sync told is written down for the notifier: beside the requests, newest first, and nothing else."""

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
from chat_api.sync_notes import SyncNotes
from chat_api.testing import create, register, send
from chat_api.testing_http import Served, served
from chat_api.testing_world import eventually
from contracts.envelope import Envelope
from contracts.events import UserRegistered
from contracts.ids import new_id
from contracts.times import now

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


def event(txid: int, position: int) -> Envelope:
    """Some event at that place of the record."""
    data = UserRegistered(user_id=BOB, roles=(), registered_at=now())
    return Envelope(
        id=new_id(),
        source="/natter/chat-api",
        type=data.type,
        subject="user:bob",
        time=now(),
        data=data.model_dump(mode="json"),
        seq=1,
        position=position,
        dataversion=1,
        partitionkey="user:bob",
        txid=txid,
    )


async def places(db: asyncpg.Connection[Any]) -> dict[str, tuple[int, int]]:
    """What is written down."""
    rows = await db.fetch("SELECT user_id, txid::text AS txid, position FROM synced")
    return {row["user_id"]: (int(row["txid"]), row["position"]) for row in rows}


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
    """Up to the last event of the last page, page by page; a snapshot and an empty page tell of no event."""
    for user_id in (ALICE, BOB):
        await handlers.register_user(register(user_id), uow, actor_id="host", password_hash=None, once=None, status=201)
    c = await handlers.create_conversation(create(ALICE, BOB), uow, None, 201)
    snapshot = await sync(http, db)
    await notes.flush()
    assert await places(db) == {}
    for _ in range(3):
        await handlers.send_messages([send(c, ALICE)], uow)
    first = await sync(http, db, snapshot["next_cursor"], limit=2)
    assert (len(first["events"]), first["has_more"]) == (2, True)
    await notes.flush()
    assert (await places(db))[BOB][1] == first["events"][-1]["position"]
    second = await sync(http, db, first["next_cursor"], limit=2)
    await notes.flush()
    noted = await places(db)
    assert noted == {BOB: noted[BOB]}
    assert noted[BOB][1] == second["events"][-1]["position"]
    assert (await sync(http, db, second["next_cursor"]))["events"] == []
    await notes.flush()
    assert await places(db) == noted


async def test_a_place_only_moves_forward(db: asyncpg.Connection[Any], notes: SyncNotes, engine: AsyncEngine) -> None:
    """In the record's order, which is not that of positions; whoever writes, and in whatever order."""
    notes.note(BOB, event(7, 30))
    notes.note(BOB, event(8, 20))
    notes.note(BOB, event(7, 99))
    await notes.flush()
    assert await places(db) == {BOB: (8, 20)}
    other = SyncNotes(engine)
    other.note(BOB, event(8, 19))
    await other.flush()
    assert await places(db) == {BOB: (8, 20)}
    other.note(BOB, event(9, 1))
    await other.flush()
    assert await places(db) == {BOB: (9, 1)}


async def test_what_waits_is_bounded(
    db: asyncpg.Connection[Any], notes: SyncNotes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest are dropped: a push more. What is left is written in small transactions."""
    monkeypatch.setattr(sync_notes, "USERS_MAX", 5)
    monkeypatch.setattr(sync_notes, "BATCH_MAX", 2)
    for n in range(8):
        notes.note(f"user-{n}", event(1, n + 1))
    await notes.flush()
    assert await places(db) == {f"user-{n}": (1, n + 1) for n in range(3, 8)}


async def test_two_processes_note_the_same_users(
    db: asyncpg.Connection[Any], engine: AsyncEngine, settings: ChatApiSettings
) -> None:
    """Each in its own order: neither waits for the other in a circle, and the newest place of each user is kept."""
    other = create_engine(settings, "test")
    one, two = SyncNotes(engine), SyncNotes(other)
    for round_ in range(10):
        for n in range(200):
            one.note(f"user-{n}", event(round_ + 1, n + 1))
            two.note(f"user-{199 - n}", event(round_ + 1, 1000))
        await asyncio.gather(one.flush(), two.flush())
    assert set((await places(db)).values()) == {(10, 1000)}
    await other.dispose()


async def test_what_cannot_be_written_stops_nothing(
    servers: Any, database: str, db: asyncpg.Connection[Any], background: Any
) -> None:
    """It is forgotten, and the next note is written by itself."""
    made = create_engine(servers.settings(database), "test")
    notes = SyncNotes(made)
    background(notes.run())
    await db.execute("ALTER TABLE synced RENAME TO hidden")
    notes.note(ALICE, event(1, 1))
    await eventually(lambda: _nothing_waits(notes), "the note was tried")
    await db.execute("ALTER TABLE hidden RENAME TO synced")

    async def noted() -> bool:
        notes.note(BOB, event(1, 1))
        return BOB in await places(db)

    await eventually(noted, "bob's place is written")
    await made.dispose()


async def _nothing_waits(notes: SyncNotes) -> bool:
    return not notes._reached
