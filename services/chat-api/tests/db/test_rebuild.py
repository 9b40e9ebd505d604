"""The read tables follow from the record: made anew they are the same, and exchanged while everything runs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import sys
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from chat_api import migrate
from chat_api.commands import handlers, notices
from chat_api.commands.devices import Devices
from chat_api.commands.ports import Recordable
from chat_api.domain.commands import (
    AddParticipants,
    AdvanceRead,
    DeleteMessage,
    EditMessage,
    RemoveParticipant,
    UpdateConversation,
)
from chat_api.domain.errors import Refused
from chat_api.domain.notices import NotifyConversation, NotifyUser
from chat_api.settings import ChatApiSettings
from chat_api.store import event_store, queries, rebuild, sync
from chat_api.store.database import DatabaseUnavailable, create_engine
from chat_api.store.event_store import GATE_LOCK, NewEvent
from chat_api.store.queries import Window
from chat_api.store.rebuild import SHADOW, Comparison, RebuildFailed, equal
from chat_api.store.unit_of_work import PostgresUnitOfWork
from chat_api.store.upcast import upcast
from chat_api.testing import SERVICE, create, register, send
from contracts.codec import decode
from contracts.envelope import Envelope
from contracts.events import UserRegistered
from contracts.ids import new_id
from contracts.notices import NotificationDraft, SystemNotificationDraft
from contracts.preferences import MuteDraft, NotificationSettings
from contracts.stream_ids import ConversationStream, UserStream
from contracts.times import now

GOLDEN = Path(__file__).parents[4] / "libs" / "contracts" / "tests" / "golden"
NAMES = ["alice", "bob", "carol", "dave"]
CATALOGUE = """
SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
UNION ALL SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint
WHERE connamespace = 'public'::regnamespace
UNION ALL SELECT oid::regclass || ' ' || pg_get_userbyid(relowner) || ' ' || coalesce(relacl::text, '-') FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
ORDER BY 1
"""


class Silent:
    """Counts what it is told."""

    def __init__(self) -> None:
        self.total = self.done = 0

    def started(self, total: int) -> None:
        """So many are to be done."""
        self.total = total

    def advanced(self, count: int) -> None:
        """So many more are done."""
        self.done += count


async def run(settings: ChatApiSettings, *, check: bool = False, progress: Silent | None = None) -> list[Comparison]:
    """A rebuild, as the command does it."""
    engine = create_engine(settings, "test rebuild", patient=True)
    try:
        return await rebuild.rebuild(
            engine,
            revision=migrate.head_revision(),
            migration_lock=migrate.MIGRATION_LOCK,
            check=check,
            progress=progress or Silent(),
        )
    finally:
        await engine.dispose()


def differing(found: list[Comparison]) -> dict[str, int]:
    """Rows that differ, by table that differs."""
    return {one.table: one.differing for one in found if not equal([one])}


async def people(uow: PostgresUnitOfWork) -> None:
    """Everybody is registered."""
    for user_id in NAMES:
        command = register(user_id, user_id.title(), ("customer", "doctor"))
        await handlers.register_user(command, uow, actor_id="host", password_hash=None, once=None, status=201)


class Writer:
    """Does what people do, in any order; what is refused is refused."""

    def __init__(self, uow: PostgresUnitOfWork, seed: int) -> None:
        self._uow = uow
        self._chance = random.Random(seed)
        self._conversations: list[str] = []
        self._messages: list[str] = []
        self.sent = 0

    async def step(self, n: int) -> None:
        """One command, or a batch of sends."""
        with contextlib.suppress(Refused):
            await self._step(n)

    async def _step(self, n: int) -> None:
        chance, uow = self._chance, self._uow
        who = chance.choice(NAMES)
        kind = chance.randrange(15) if self._conversations else 0
        if kind == 0:
            metadata = chance.choice([None, {}, {"n": [1, None, 1.5, 1e300, -0.0, "ü"], "none": None}])
            command = create(
                who, *chance.sample(NAMES, 2), title=chance.choice([None, "T"]), metadata=metadata, now=now()
            )
            self._conversations.append(await handlers.create_conversation(command, uow, None, 201))
            return
        c, message = chance.choice(self._conversations), chance.choice(self._messages or [new_id()])
        match kind:
            case 1 | 2 | 3 | 4:
                extra = chance.choice([None, {"a": None, "b": [1e16, 12345678901234567890]}])
                sends = [
                    send(
                        c,
                        chance.choice(NAMES),
                        f'{n} {k} \\ " ü',
                        now=now(),
                        extra_metadata=extra,
                        is_important=k == 0,
                        mentions=chance.choice([None, None, (), chance.sample(NAMES, 2)]),
                    )
                    for k in range(chance.randint(1, 5))
                ]
                for result in await handlers.send_messages(sends, uow):
                    if isinstance(result, handlers.Sent):
                        self._messages.append(result.message.id)
                        self.sent += 1
            case 5:
                await handlers.change_message(EditMessage(message, SERVICE, f"edit {n}", now()), uow)
            case 6 if n % 3 == 0:
                await handlers.change_message(DeleteMessage(message, SERVICE, now()), uow)
            case 7:
                await handlers.add_participants(AddParticipants(c, SERVICE, (who,), now()), uow, None, 200)
            case 8:
                await handlers.remove_participant(RemoveParticipant(c, SERVICE, who, now()), uow)
            case 9 if n % 2:
                await handlers.update_conversation(UpdateConversation(c, SERVICE, f"{n}", {"n": n}, now()), uow)
            case 10:
                data = chance.choice([None, {"n": [1, None, 1e300]}])
                notice = SystemNotificationDraft(title=f"T {n}", message=f"notice {n}", type="maintenance", data=data)
                said = await notices.notify_conversation(
                    NotifyConversation(c, new_id(), SERVICE, notice, now()), uow, None, 201
                )
                self._messages.append(said.id)
            case 11:
                told = NotificationDraft(title="T", content=f"ü {n}", type="reminder", conversation_id=c, data={"n": n})
                await notices.notify_user(NotifyUser(new_id(), SERVICE, who, told, (), now()), uow, None, 201)
            case 12:
                wishes = NotificationSettings(pushes=bool(n % 2), locale=chance.choice([None, "zh-CN"]))
                await Devices(uow).change_settings(who, wishes, now())
            case 13:
                await Devices(uow).mute(who, c, MuteDraft(muted=bool(n % 3)), now())
            case _:
                await handlers.advance_read(AdvanceRead(c, who, chance.randint(1, 30), now()), uow)


@pytest.fixture
async def full(uow: PostgresUnitOfWork) -> None:
    """A database with some history."""
    await people(uow)
    writer = Writer(uow, 42)
    for n in range(80):
        await writer.step(n)
    assert writer.sent > 20


# --- the same again ---------------------------------------------------------------------------------------------------


async def test_any_history_gives_the_same_tables(
    uow: PostgresUnitOfWork,
    settings: ChatApiSettings,
    db: asyncpg.Connection[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever people did: row for row, however many events make a batch."""
    seed = random.randrange(2**32)
    await people(uow)
    writer = Writer(uow, seed)
    for n, batch in enumerate([1, 7, 1000]):
        for k in range(100):
            await writer.step(n * 100 + k)
        monkeypatch.setattr(rebuild, "BATCH", batch)
        progress = Silent()
        found = await run(settings, check=True, progress=progress)
        assert differing(found) == {}, f"seed {seed}, batches of {batch}"
        assert [one.table for one in found] == [table.name for table in rebuild.TABLES]
        assert all(one.live_rows == one.rebuilt_rows for one in found)
        # Some steps change nothing, and a random history may have many of them.
        assert progress.done == progress.total == await db.fetchval("SELECT count(*) FROM events")


async def test_a_history_reaches_every_table(full: None, settings: ChatApiSettings) -> None:
    """What the writer does leaves rows in each of them, so that there is something to compare."""
    del full
    found = await run(settings, check=True)
    # Consults have a test of their own.
    assert {one.table for one in found if one.live_rows == 0} == {"consults"}


async def test_a_check_changes_nothing(full: None, settings: ChatApiSettings, db: asyncpg.Connection[Any]) -> None:
    """The tables are the very same, what differs stays as it is, and nothing is left behind."""
    del full
    await db.execute("UPDATE messages SET content = 'forged' WHERE seq = 2")
    forged = await db.fetchval("SELECT count(*) FROM messages WHERE content = 'forged'")
    before = await db.fetchval("SELECT 'messages'::regclass::oid")
    assert differing(await run(settings, check=True)) == {"messages": forged}
    assert await db.fetchval("SELECT 'messages'::regclass::oid") == before
    assert await db.fetchval("SELECT count(*) FROM messages WHERE content = 'forged'") == forged
    assert not await db.fetchval("SELECT count(*) FROM pg_namespace WHERE nspname = $1", SHADOW)


async def test_a_rebuild_mends_and_publishes_nothing(
    full: None, settings: ChatApiSettings, db: asyncpg.Connection[Any]
) -> None:
    """Changed, missing and invented rows are told and gone; the record, its heads and the relay stay where they are."""
    del full
    record = "SELECT (SELECT count(*) FROM events), (SELECT sum(seq) FROM streams), (SELECT count(*) FROM relay_cursor)"
    await db.execute("INSERT INTO relay_cursor VALUES ('events', '7', 7, now())")
    before, catalogue = await db.fetchrow(record), await db.fetch(CATALOGUE)
    await db.execute("UPDATE conversations SET last_seq = last_seq + 1")
    changed = await db.fetchval("SELECT count(*) FROM conversations")
    await db.execute("DELETE FROM messages WHERE message_id IN (SELECT message_id FROM messages LIMIT 3)")
    await db.execute("INSERT INTO users VALUES ('ghost', NULL, '{}', now())")
    await db.execute("TRUNCATE participants")
    found = await run(settings)
    members = await db.fetchval("SELECT count(*) FROM participants")
    assert differing(found) == {"conversations": changed, "messages": 3, "users": 1, "participants": members}
    assert members > 0
    assert differing(await run(settings, check=True)) == {}
    assert await db.fetchrow(record) == before
    assert await db.fetchval("SELECT txid::text || ':' || position FROM relay_cursor") == "7:7"
    assert await db.fetch(CATALOGUE) == catalogue
    assert not await db.fetchval("SELECT count(*) FROM pg_namespace WHERE nspname = $1", SHADOW)


async def test_who_may_read_a_table_may_read_its_successor(
    full: None, settings: ChatApiSettings, db: asyncpg.Connection[Any], database: str
) -> None:
    """Grants on tables and on columns, and the owner, outlive the exchange."""
    del full
    reader, owner = f"reader-{database}", f"owner_{database}"
    me = await db.fetchval("SELECT quote_ident(current_user)")
    await db.execute(f'CREATE ROLE "{reader}"')
    await db.execute(f"CREATE ROLE {owner}")
    try:
        await db.execute(f'GRANT SELECT ON messages TO "{reader}" WITH GRANT OPTION')
        await db.execute(f'GRANT SELECT (user_id, name), UPDATE (name) ON users TO "{reader}"')
        await db.execute(f"ALTER TABLE participants OWNER TO {owner}")
        await db.execute("GRANT SELECT ON conversations TO PUBLIC")
        rights = (
            "SELECT relname, pg_get_userbyid(relowner), relacl::text, ARRAY(SELECT attname || attacl::text FROM"
            " pg_attribute WHERE attrelid = pg_class.oid AND attacl IS NOT NULL ORDER BY attnum) FROM pg_class"
            " WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY 1"
        )
        before = await db.fetch(rights)
        await run(settings)
        assert await db.fetch(rights) == before
    finally:
        await db.execute(f'REASSIGN OWNED BY {owner}, "{reader}" TO {me}')
        await db.execute(f'DROP OWNED BY {owner}, "{reader}"')
        await db.execute(f'DROP ROLE {owner}, "{reader}"')


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.json")), ids=lambda path: path.stem)
async def test_every_frozen_event_goes_into_the_tables(
    path: Path, engine: AsyncEngine, settings: ChatApiSettings, db: asyncpg.Connection[Any]
) -> None:
    """Each event that was ever written is replayed, after what it needs: the other frozen ones."""
    async with engine.begin() as connection:
        seqs: dict[str, int] = {}
        for one in [GOLDEN / "user.registered.v1.json", GOLDEN / "conversation.created.v1.json", path]:
            envelope = decode(Envelope, one.read_text())
            if str(envelope.stream) in seqs and one.stem.startswith(("user.registered", "conversation.created")):
                continue
            seqs[envelope.subject] = seqs.get(envelope.subject, 0) + 1
            event = upcast(envelope.type, envelope.dataversion, envelope.data)
            new = NewEvent(envelope.stream, seqs[envelope.subject], envelope.id, event, {}, envelope.time)
            await event_store.append(connection, [new])
    stored = await db.fetchval("SELECT count(*) FROM events")
    progress = Silent()
    found = await run(settings, progress=progress)
    assert progress.done == stored
    assert {one.table for one in found if one.rebuilt_rows} >= {"users", "conversations", "participants"}
    if path.stem.startswith("message.created"):
        assert await db.fetchval("SELECT count(*) FROM messages") == 1


async def test_an_event_that_cannot_be_read_is_named(
    full: None, settings: ChatApiSettings, db: asyncpg.Connection[Any]
) -> None:
    """The rebuild ends with its id, and the live tables are as they were."""
    del full
    event_id = new_id()
    await db.execute(
        "INSERT INTO events (event_id, stream, seq, type, version, data, metadata, recorded_at)"
        " VALUES ($1, 'user:x', 1, 'user.registered', 9, '{}', '{}', now())",
        event_id,
    )
    before = await db.fetchval("SELECT 'messages'::regclass::oid")
    with pytest.raises(RebuildFailed, match=rf"{event_id}.*'user.registered' version 9 is unknown"):
        await run(settings)
    assert await db.fetchval("SELECT 'messages'::regclass::oid") == before


# --- while others are there -------------------------------------------------------------------------------------------


async def test_everything_goes_on_meanwhile(
    full: None,
    uow: PostgresUnitOfWork,
    engine: AsyncEngine,
    settings: ChatApiSettings,
    db: asyncpg.Connection[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Writers and readers with warm statements never fail while the tables are exchanged, again and again; nothing that
    was accepted is missing, and every snapshot holds what lies below its fence."""
    del full
    monkeypatch.setattr(rebuild, "BATCH", 50)
    seed = random.randrange(2**32)
    stop = False
    writers = [Writer(uow, seed + number) for number in range(3)]
    c = await handlers.create_conversation(create("alice", "bob"), uow, None, 201)
    said = 0

    async def write(writer: Writer) -> None:
        n = 0
        while not stop:
            await writer.step(n := n + 1)

    async def say() -> None:
        nonlocal said
        while not stop:
            (result,) = await handlers.send_messages([send(c, "alice", str(said), now=now())], uow)
            assert isinstance(result, handlers.Sent)
            said += 1

    async def read() -> None:
        while not stop:
            before = said
            async with engine.connect() as connection:
                await queries.conversation_summary(connection, c, "bob")
                page = await queries.message_page(connection, c, Window(limit=1))
                await queries.participants(connection, c, 10)
                assert not page or int(page[0].content) >= before - 1
            async with sync.snapshot(engine) as connection:
                stand = await sync.stand(connection, "bob")
                shown = await sync.conversations(connection, "bob", after=sync.FIRST_ID, limit=1000)
                mine = next(one for one in shown if one.conversation_id == c)
                below = await connection.scalar(
                    text("SELECT max(seq) FROM events WHERE stream = :s AND txid < CAST(CAST(:f AS text) AS xid8)"),
                    {"s": str(ConversationStream(c)), "f": str(stand.fence)},
                )
                assert mine.last_seq >= (below or 0)

    tasks = [asyncio.create_task(work) for work in (*map(write, writers), say(), read(), read())]
    try:
        for _ in range(4):
            assert differing(await run(settings)) == {}, f"seed {seed}"
            for task in tasks:
                assert not task.done() or task.result() is None
    finally:
        stop = True
        await asyncio.gather(*tasks)
    assert differing(await run(settings, check=True)) == {}, f"seed {seed}"
    assert await db.fetchval("SELECT count(*) FROM messages WHERE conversation_id = $1", c) == said > 0
    assert sum(writer.sent for writer in writers) > 0


async def test_what_commits_late_is_not_passed_over(
    full: None, uow: PostgresUnitOfWork, settings: ChatApiSettings, db: asyncpg.Connection[Any]
) -> None:
    """A transaction that wrote early and is still open: what is younger waits for it, and so does the exchange."""
    del full
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = $1 AND NOT granted"
    async with uow.begin({UserStream("slow")}) as slow:
        await slow.append([Recordable(UserStream("slow"), register_event("slow"), {})], now())
        for name in ("quick", "quicker"):
            await handlers.register_user(register(name), uow, actor_id="x", password_hash=None, once=None, status=201)
        rebuilding = asyncio.create_task(run(settings))
        while not await db.fetchval(waiting, GATE_LOCK):
            assert not rebuilding.done()
            await asyncio.sleep(0.01)
    assert differing(await rebuilding) == {}
    names = await db.fetch("SELECT user_id FROM users WHERE user_id = ANY($1)", ["slow", "quick", "quicker"])
    assert len(names) == 3


def register_event(user_id: str) -> UserRegistered:
    """What a registration records."""
    return UserRegistered(user_id=user_id, roles=("customer",), registered_at=now())


async def test_writers_who_wait_too_long_are_told_to_come_again(
    uow: PostgresUnitOfWork, servers: Any, database: str, db: asyncpg.Connection[Any]
) -> None:
    """Who stands before the gate for longer than a statement may take gets "unavailable", and nothing is written."""
    impatient = create_engine(servers.settings(database, database_timeout_s=0.3), "test")
    try:
        async with db.transaction():
            await db.execute("SELECT pg_advisory_xact_lock($1)", GATE_LOCK)
            for _ in range(3):
                with pytest.raises(DatabaseUnavailable):
                    async with PostgresUnitOfWork(impatient, lambda: None, 60).begin({UserStream("alice")}):
                        pass
        async with uow.begin({UserStream("alice")}):
            pass
    finally:
        await impatient.dispose()


async def test_one_rebuild_at_a_time(full: None, settings: ChatApiSettings, db: asyncpg.Connection[Any]) -> None:
    """A second one, or one beside a migration, is refused with words, and disturbs nobody."""
    del full
    for key, told in ((rebuild.REBUILD_LOCK, "another rebuild is running"), (migrate.MIGRATION_LOCK, "a migration is")):
        async with db.transaction():
            await db.execute("SELECT pg_advisory_xact_lock($1)", key)
            with pytest.raises(RebuildFailed, match=told):
                await run(settings)
    found = await asyncio.gather(*(run(settings) for _ in range(3)), return_exceptions=True)
    assert [one for one in found if isinstance(one, list)], found
    assert all("another rebuild is running" in str(one) for one in found if isinstance(one, BaseException)), found
    assert differing(await run(settings)) == {}


async def test_a_killed_rebuild_leaves_its_schema_and_the_next_one_drops_it(
    full: None, settings: ChatApiSettings, db: asyncpg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever it dies, the live tables are as they were."""
    del full
    catalogue = await db.fetch(CATALOGUE)

    class Killed(Exception):
        pass

    async def die(*_: Any) -> None:
        raise Killed

    for method in ("analyze", "_compare", "_exchange"):
        with monkeypatch.context() as patch:
            patch.setattr(rebuild._Rebuild, method, die)
            with pytest.raises(Killed):
                await run(settings)
        assert await db.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = $1", SHADOW) == len(rebuild.TABLES)
        assert await db.fetch(CATALOGUE) == catalogue
    assert differing(await run(settings)) == {}
    assert await db.fetch(CATALOGUE) == catalogue


async def test_a_reader_who_never_ends_is_named_as_the_reason(
    full: None, settings: ChatApiSettings, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exchange gives up with words, other readers hardly notice, and writers go on."""
    del full
    monkeypatch.setattr(rebuild, "READERS_WAIT_S", 0.05)
    monkeypatch.setattr(rebuild, "READERS_TRIES", 5)
    async with engine.connect() as dump, engine.connect() as other:
        await dump.execute(text("SELECT count(*) FROM messages"))
        failing = asyncio.create_task(run(settings))
        while not failing.done():
            await other.execute(text("SELECT count(*) FROM messages"))
            await other.rollback()
        with pytest.raises(RebuildFailed, match="somebody holds a lock"):
            await failing
        assert differing(await run(settings, check=True)) == {}, "comparing asks no reader"


async def test_a_sync_has_its_tables_for_itself(
    full: None, settings: ChatApiSettings, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From before its snapshot to its end: what is exchanged in between would look half filled to it."""
    del full
    monkeypatch.setattr(rebuild, "READERS_WAIT_S", 0.05)
    monkeypatch.setattr(rebuild, "READERS_TRIES", 2)
    async with sync.snapshot(engine):
        with pytest.raises(RebuildFailed, match="somebody holds a lock"):
            await run(settings)
    assert differing(await run(settings)) == {}


async def test_a_view_on_a_table_is_no_reason_to_drop_it(
    full: None, settings: ChatApiSettings, db: asyncpg.Connection[Any]
) -> None:
    """What depends on a table is its owner's business: the rebuild ends with words."""
    del full
    await db.execute("CREATE VIEW mine AS SELECT user_id FROM users")
    with pytest.raises(RebuildFailed, match="depends on the tables"):
        await run(settings)
    assert await db.fetchval("SELECT count(*) FROM mine") == len(NAMES)


async def test_another_schema_is_refused(settings: ChatApiSettings, db: asyncpg.Connection[Any]) -> None:
    """Tables of another release are left alone."""
    await db.execute("UPDATE alembic_version SET version_num = '0000'")
    with pytest.raises(RebuildFailed, match=f"is at 0000, this release needs {migrate.head_revision()}"):
        await run(settings)
    await db.execute("DROP TABLE alembic_version")
    with pytest.raises(RebuildFailed, match="is at nothing"):
        await run(settings)


# --- the command ------------------------------------------------------------------------------------------------------


async def command(settings: ChatApiSettings, *arguments: str) -> tuple[int | None, str, str]:
    """`python -m chat_api` as somebody runs it by hand: exit status, and what it said."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("NATTER_", "DELIVERY_"))} | {
        "NATTER_DATABASE_URL": settings.database_url,
        "NATTER_DATABASE_PASSWORD": settings.database_password.get_secret_value(),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "chat_api", *arguments),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), 60)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode, out.decode(), err.decode()


async def test_the_command(full: None, settings: ChatApiSettings, db: asyncpg.Connection[Any]) -> None:
    """Exit 0 if all is equal, 1 with the table's name if not; without --check it is mended; progress is told apart."""
    del full
    code, out, err = await command(settings, "rebuild", "--check")
    assert code == 0, err
    assert out.count("equal") == len(rebuild.TABLES)
    events = await db.fetchval("SELECT count(*) FROM events")
    assert f"rebuild: {events} of {events} events" in err
    await db.execute("UPDATE users SET name = 'Mallory' WHERE user_id = 'alice'")
    code, out, err = await command(settings, "rebuild", "--check")
    assert code == 1, err
    (line,) = [line for line in out.splitlines() if "differs by 1 rows" in line]
    assert line.startswith("users ")
    code, out, err = await command(settings, "rebuild")
    assert code == 0, err
    assert "differs by 1 rows" in out
    assert await db.fetchval("SELECT name FROM users WHERE user_id = 'alice'") == "Alice"
    async with db.transaction():
        await db.execute("SELECT pg_advisory_xact_lock($1)", rebuild.REBUILD_LOCK)
        code, out, err = await command(settings, "rebuild")
    assert (code, out, err) == (1, "", "chat-api: another rebuild is running\n")
