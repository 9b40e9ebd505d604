"""`GET /v1/sync` on a real Postgres: a snapshot and what follows it are the whole state, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from chat_api.commands import handlers
from chat_api.domain.commands import (
    AddParticipants,
    AdvanceRead,
    DeleteMessage,
    EditMessage,
    RemoveParticipant,
    UpdateConversation,
)
from chat_api.domain.errors import Refused
from chat_api.http import sync_cursor
from chat_api.http.sync_cursor import IncrementCursor, user_mark
from chat_api.settings import ChatApiSettings
from chat_api.store import event_store
from chat_api.store.event_store import NewEvent
from chat_api.store.unit_of_work import PostgresUnitOfWork
from chat_api.testing import AT, SERVICE, after, create, register, send
from chat_api.testing_http import served
from contracts.codes import ErrorCode
from contracts.events import UserRegistered
from contracts.ids import new_id
from contracts.stream_ids import UserStream
from contracts.sync import SyncPage
from kit import tokens


class Syncer:
    """Asks as a client does, and checks each page against the contract."""

    def __init__(self, http: httpx.AsyncClient, settings: ChatApiSettings, db: asyncpg.Connection[Any]) -> None:
        self._http = http
        self._db = db
        self._secret = settings.jwt_secret.get_secret_value()

    async def settled(self) -> None:
        """Wait until all that is committed lies below the fence: other databases' transactions hold it back, too."""
        newest = "SELECT txid FROM events ORDER BY txid DESC LIMIT 1"
        while await self._db.fetchval(  # noqa: ASYNC110 - Postgres has no event for it
            f"SELECT ({newest}) >= pg_snapshot_xmin(pg_current_snapshot())"
        ):
            await asyncio.sleep(0.01)

    async def ask(
        self, user_id: str, cursor: str | None = None, *, status: int = 200, settle: bool = True, **params: Any
    ) -> dict[str, Any]:
        """One page."""
        if settle:
            await self.settled()
        token = tokens.issue(self._secret, user_id, ("customer",), ttl_s=60)
        if cursor is not None:
            params["cursor"] = cursor
        answer = await self._http.get("/v1/sync", params=params, headers={"authorization": f"Bearer {token}"})
        assert answer.status_code == status, answer.text
        page: dict[str, Any] = answer.json()
        if status == 200:
            SyncPage.model_validate(page)
            assert set(page) <= {"events", "conversations", "user_seq", "next_cursor", "has_more", "reset"}
        return page

    async def pages(self, user_id: str, cursor: str | None = None, **params: Any) -> list[dict[str, Any]]:
        """All pages until there is no more."""
        found = [await self.ask(user_id, cursor, **params)]
        while found[-1]["has_more"]:
            found.append(await self.ask(user_id, found[-1]["next_cursor"], **params))
        return found


@pytest.fixture
async def syncer(
    settings: ChatApiSettings, engine: AsyncEngine, uow: PostgresUnitOfWork, db: asyncpg.Connection[Any]
) -> AsyncIterator[Syncer]:
    """The application itself, on the fresh database."""
    async with served(settings, engine, uow) as here:
        yield Syncer(here.http, settings, db)


async def users(uow: PostgresUnitOfWork, *names: str) -> None:
    """Registered users."""
    for user_id in names:
        await handlers.register_user(register(user_id), uow, actor_id="host", password_hash=None, once=None, status=201)


async def conversation(uow: PostgresUnitOfWork, owner: str, *others: str, **changes: Any) -> str:
    """A fresh conversation."""
    return await handlers.create_conversation(create(owner, *others, **changes), uow, None, 201)


async def say(uow: PostgresUnitOfWork, c: str, sender: str, content: str = "hello", **more: Any) -> str:
    """A message's id."""
    (result,) = await handlers.send_messages([send(c, sender, content, **more)], uow)
    assert isinstance(result, handlers.Sent)
    return result.message.id


def keys(pages: list[dict[str, Any]]) -> list[tuple[str, int]]:
    """(stream, seq) of all events, in the order in which they came."""
    return [(event["subject"], event["seq"]) for page in pages for event in page["events"]]


def cursor_at(user_id: str, **changes: Any) -> str:
    """An increment cursor of our own making."""
    fields: dict[str, Any] = {"user": user_mark(user_id), "issued": 2_000_000_000, "txid": 0, "position": 0}
    return sync_cursor.write(IncrementCursor(**(fields | changes)))


# --- what pages say ---------------------------------------------------------------------------------------------------


async def test_a_user_of_whom_nothing_is_known(syncer: Syncer) -> None:
    """An empty snapshot, and then nothing, over and over."""
    first = await syncer.ask("nobody")
    assert first | {"next_cursor": ""} == {
        "events": [],
        "conversations": [],
        "user_seq": 0,
        "next_cursor": "",
        "has_more": False,
        "reset": False,
    }
    second = await syncer.ask("nobody", first["next_cursor"])
    assert second | {"next_cursor": ""} == {"events": [], "next_cursor": "", "has_more": False, "reset": False}
    assert (await syncer.ask("nobody", second["next_cursor"]))["events"] == []


async def test_a_snapshot_shows_what_a_list_shows(syncer: Syncer, uow: PostgresUnitOfWork) -> None:
    """Heads, unread counts, last messages and cursors of every conversation that the user is in now."""
    await users(uow, "alice", "bob")
    c = await conversation(uow, "alice", "bob", title="A talk", metadata={"n": [1, None]})
    last = await say(uow, c, "alice", "hello", extra_metadata={"k": "v"})
    left = await conversation(uow, "alice", "bob")
    await handlers.remove_participant(RemoveParticipant(left, SERVICE, "bob", AT), uow)
    await conversation(uow, "alice")
    page = await syncer.ask("bob")
    (shown,) = page["conversations"]
    assert shown["last_message"]["id"] == last
    assert {key: shown[key] for key in ("id", "title", "owner_id", "metadata", "last_seq", "unread_count")} == {
        "id": c,
        "title": "A talk",
        "owner_id": "alice",
        "metadata": {"n": [1, None]},
        "last_seq": 2,
        "unread_count": 1,
    }
    assert shown["read_seq"] == 1
    assert page["user_seq"] == 4, "registered, joined, joined, left"


async def test_increments_are_whole_events_each_once(syncer: Syncer, uow: PostgresUnitOfWork) -> None:
    """In the record's order; the user's own stream too; without the names that a host application left out."""
    await users(uow, "alice", "bob", "carol")
    c = await conversation(uow, "alice", "bob")
    cursor = (await syncer.ask("bob"))["next_cursor"]
    m = await say(uow, c, "alice", "one", exclude_user_ids=("carol",), extra_metadata={"n": None})
    await handlers.change_message(EditMessage(m, SERVICE, "two", after(1)), uow)
    await handlers.advance_read(AdvanceRead(c, "bob", 2, after(2)), uow)
    await handlers.add_participants(AddParticipants(c, SERVICE, ("carol",), after(3)), uow, None, 200)
    elsewhere = await conversation(uow, "alice", "carol")
    d = await conversation(uow, "carol", "bob")
    await handlers.change_message(DeleteMessage(m, SERVICE, after(4)), uow)
    await handlers.update_conversation(UpdateConversation(d, SERVICE, "D", None, after(5)), uow)
    pages = await syncer.pages("bob", cursor)
    bob, talk, other = "user:bob", f"conversation:{c}", f"conversation:{d}"
    assert [(event["type"], event["subject"], event["seq"]) for event in pages[0]["events"]] == [
        ("message.created", talk, 2),
        ("message.edited", talk, 3),
        ("user.read_advanced", bob, 3),
        ("participant.joined", talk, 4),
        ("conversation.created", other, 1),
        ("user.conversation_joined", bob, 4),
        ("message.deleted", talk, 5),
        ("conversation.updated", other, 2),
    ]
    first = pages[0]["events"][0]
    assert first["data"]["extra_metadata"] == {"n": None}
    assert "exclude_user_ids" not in first["data"]
    assert first["txid"] > 0
    assert elsewhere not in str(pages)
    assert (await syncer.ask("bob", pages[-1]["next_cursor"]))["events"] == []
    for limit in (1, 2, 7, 8, 9):
        again = await syncer.pages("bob", cursor, limit=limit)
        assert keys(again) == keys(pages), f"limit {limit}"
        assert len(again) == -(-8 // limit)


async def test_who_was_removed_is_told_so_and_nothing_more(syncer: Syncer, uow: PostgresUnitOfWork) -> None:
    """Not what was said before the removal and not yet asked for, nor what came after it."""
    await users(uow, "alice", "bob")
    c = await conversation(uow, "alice", "bob")
    cursor = (await syncer.ask("bob"))["next_cursor"]
    await say(uow, c, "alice", "before")
    await handlers.remove_participant(RemoveParticipant(c, SERVICE, "bob", after(1)), uow)
    await say(uow, c, "alice", "behind his back")
    pages = await syncer.pages("bob", cursor)
    (event,) = pages[0]["events"]
    assert (event["type"], event["data"]["conversation_id"]) == ("user.conversation_left", c)
    assert event["data"]["at_seq"] == 3
    await say(uow, c, "alice", "still")
    assert keys(await syncer.pages("bob", pages[-1]["next_cursor"])) == []
    assert (await syncer.ask("bob"))["conversations"] == []


async def test_who_comes_back_gets_what_is_said_from_then_on(syncer: Syncer, uow: PostgresUnitOfWork) -> None:
    """A device that has asked in between learns where it is in again, one that was away all the time misses nothing."""
    await users(uow, "alice", "bob")
    c = await conversation(uow, "alice", "bob")
    away = (await syncer.ask("bob"))["next_cursor"]
    await handlers.remove_participant(RemoveParticipant(c, SERVICE, "bob", after(1)), uow)
    await say(uow, c, "alice", "between")
    between = (await syncer.pages("bob", away))[-1]["next_cursor"]
    await handlers.add_participants(AddParticipants(c, SERVICE, ("bob",), after(2)), uow, None, 200)
    await say(uow, c, "alice", "welcome")
    bob, talk = "user:bob", f"conversation:{c}"
    joined = await syncer.pages("bob", between)
    assert keys(joined) == [(talk, 4), (bob, 4), (talk, 5)]
    assert joined[0]["events"][1]["data"]["at_seq"] == 4
    assert keys(await syncer.pages("bob", away)) == [(talk, 2), (bob, 3), (talk, 3), (talk, 4), (bob, 4), (talk, 5)]


async def test_a_long_list_comes_in_pages(syncer: Syncer, uow: PostgresUnitOfWork, db: asyncpg.Connection[Any]) -> None:
    """450 conversations, each once, also if they change between the pages; what changed comes as an increment."""
    await users(uow, "alice", "bob")
    for _ in range(450):
        await conversation(uow, "alice")
    pages = [await syncer.ask("alice")]
    (extra,) = [await conversation(uow, "bob", "alice", conversation_id="00000000-0000-7000-8000-000000000000")]
    for page in pages:
        await say(uow, page["conversations"][-1]["id"], "alice")
        if page["has_more"]:
            pages.append(await syncer.ask("alice", page["next_cursor"]))
    assert [len(page["conversations"]) for page in pages] == [200, 200, 50]
    assert {page["user_seq"] for page in pages} == {451}, "that of the first page: what is younger comes again"
    assert not any(page["reset"] for page in pages)
    ids = [one["id"] for page in pages for one in page["conversations"]]
    stored = await db.fetch("SELECT conversation_id FROM participants WHERE user_id = 'alice' ORDER BY 1")
    assert sorted([*ids, extra]) == [str(row[0]) for row in stored]
    missed = keys(await syncer.pages("alice", pages[-1]["next_cursor"]))
    assert [key for key in missed if key[0] in (f"conversation:{extra}", "user:alice")] == [
        (f"conversation:{extra}", 1),
        ("user:alice", 452),
    ]
    assert len(missed) == 2 + len(pages)


async def test_thousands_of_events_come_in_pages(syncer: Syncer, uow: PostgresUnitOfWork) -> None:
    """Each once, in order, also where a page ends in the middle of a transaction."""
    await users(uow, "alice", "bob")
    ids = [await conversation(uow, "alice", "bob") for _ in range(3)]
    cursor = (await syncer.ask("bob"))["next_cursor"]
    for start in range(0, 2500, 50):
        await handlers.send_messages([send(ids[n % 3], "alice", str(n)) for n in range(start, start + 50)], uow)
    for limit, count in ((1000, 3), (333, 8)):
        pages = await syncer.pages("bob", cursor, limit=limit)
        assert len(pages) == count
        contents = [int(event["data"]["content"]) for page in pages for event in page["events"]]
        assert contents == list(range(2500)), f"limit {limit}"


# --- cursors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "params",
    [
        {"cursor": ""},
        {"cursor": "abc"},
        {"cursor": "🙂"},
        {"cursor": "a" * 201},
        {"cursor": cursor_at("alice") + "="},
        {"limit": 0},
        {"limit": 1001},
        {"limit": "many"},
    ],
)
async def test_what_is_no_cursor_or_no_limit(syncer: Syncer, params: dict[str, Any]) -> None:
    """A mistake of the caller, never of ours."""
    problem = await syncer.ask("alice", status=422, **params)
    assert problem["code"] == ErrorCode.VALIDATION_FAILED


@pytest.mark.parametrize(
    "changes", [{"issued": 1}, {"user": user_mark("bob")}, {"txid": 10**17}], ids=["old", "another user", "restored"]
)
async def test_a_cursor_that_is_of_no_use_any_more(
    syncer: Syncer, uow: PostgresUnitOfWork, changes: dict[str, Any]
) -> None:
    """The first page of a snapshot says so, the others are pages like any other."""
    await users(uow, "alice")
    for _ in range(3):
        await conversation(uow, "alice")
    pages = await syncer.pages("alice", cursor_at("alice", **changes), limit=2)
    assert [page["reset"] for page in pages] == [True, False]
    assert [len(page["conversations"]) for page in pages] == [2, 1]
    after_it = await syncer.ask("alice", pages[-1]["next_cursor"])
    assert after_it["events"] == []
    assert not after_it["reset"]


async def test_an_old_cursor_within_a_snapshot_begins_it_again(syncer: Syncer, uow: PostgresUnitOfWork) -> None:
    """Its fence is as old as the cursor of an increment would be."""
    await users(uow, "alice")
    for _ in range(2):
        await conversation(uow, "alice")
    place = sync_cursor.read((await syncer.ask("alice", limit=1))["next_cursor"])
    assert isinstance(place, sync_cursor.SnapshotCursor)
    old = sync_cursor.SnapshotCursor(place.user, 1, place.fence, place.user_seq, place.after)
    page = await syncer.ask("alice", sync_cursor.write(old))
    assert page["reset"]
    assert len(page["conversations"]) == 2


async def test_a_snapshot_s_page_has_its_own_limit(syncer: Syncer, uow: PostgresUnitOfWork) -> None:
    """Who asks for a thousand events may get five hundred conversations, because the cursor was too old."""
    await users(uow, "alice")
    for _ in range(501):
        await conversation(uow, "alice")
    pages = await syncer.pages("alice", cursor_at("alice", issued=1), limit=1000)
    assert [len(page["conversations"]) for page in pages] == [500, 1]


# --- while others write -----------------------------------------------------------------------------------------------


async def test_a_slow_transaction_beside_fast_ones_is_not_skipped(
    syncer: Syncer, uow: PostgresUnitOfWork, engine: AsyncEngine
) -> None:
    """What commits late has an earlier place; nobody is told what lies behind it before."""
    await users(uow, "alice", "bob")
    c = await conversation(uow, "alice", "bob")
    cursor = (await syncer.ask("bob"))["next_cursor"]
    async with engine.connect() as slow:
        await event_store.append(
            slow,
            [
                NewEvent(
                    UserStream("bob"), 3, new_id(), UserRegistered(user_id="bob", roles=(), registered_at=AT), {}, AT
                )
            ],
        )
        for n in range(5):
            await say(uow, c, "alice", str(n))
        snapshot = await syncer.ask("bob", settle=False)
        assert snapshot["conversations"][0]["last_seq"] == 6, "a snapshot shows all that is committed"
        first = await syncer.ask("bob", cursor, settle=False)
        assert first["events"] == [], "what could be overtaken must wait"
        await slow.commit()
    talk = [(f"conversation:{c}", seq) for seq in range(2, 7)]
    assert keys(await syncer.pages("bob", first["next_cursor"])) == [("user:bob", 3), *talk]
    # The snapshot's fence lay below the slow transaction: it says again what the snapshot has shown already.
    assert keys(await syncer.pages("bob", snapshot["next_cursor"])) == [("user:bob", 3), *talk]


class Device:
    """Keeps what pages say, as a client would: a head per conversation, and the events above it."""

    def __init__(self) -> None:
        self.cursor: str | None = None
        self.heads: dict[str, int] = {}
        self.user_seq = 0
        self.seen: dict[str, set[int]] = defaultdict(set)
        self._order: dict[str, int] = {}

    def take(self, page: dict[str, Any]) -> None:
        """One page; what a snapshot or an earlier page has told is known."""
        self.cursor = page["next_cursor"]
        if page.get("conversations") is not None:
            self.heads |= {one["id"]: one["last_seq"] for one in page["conversations"]}
            self.user_seq = page["user_seq"]
        for event in page["events"]:
            stream, seq = event["subject"], event["seq"]
            assert seq > self._order.get(stream, 0), f"{stream} goes back to {seq}"
            self._order[stream] = seq
            self.seen[stream].add(seq)
            if event["type"] == "user.conversation_joined":
                self.heads.setdefault(event["data"]["conversation_id"], event["data"]["at_seq"])
            elif event["type"] == "user.conversation_left":
                self.heads.pop(event["data"]["conversation_id"], None)


async def test_snapshot_and_increments_are_the_whole_state(
    syncer: Syncer, uow: PostgresUnitOfWork, engine: AsyncEngine, db: asyncpg.Connection[Any]
) -> None:
    """Writers on all streams, some of whom commit late, people who come and go, and devices that ask meanwhile."""
    seed = random.randrange(2**32)
    names = ["alice", "bob", "carol"]
    await users(uow, *names)
    ids = [await conversation(uow, "alice", "bob") for _ in range(5)]
    writing = True

    async def write(number: int) -> None:
        chance = random.Random(seed + number)
        for n in range(25):
            c, who = chance.choice(ids), chance.choice(names)
            try:
                match chance.randrange(6):
                    case 0:
                        command = AddParticipants(c, SERVICE, ("bob",), after(n))
                        await handlers.add_participants(command, uow, None, 200)
                    case 1:
                        await handlers.remove_participant(RemoveParticipant(c, SERVICE, "bob", after(n)), uow)
                    case 2:
                        ids.append(await conversation(uow, who, "bob"))
                    case 3:
                        await handlers.advance_read(AdvanceRead(c, "bob", 1 + n, after(n)), uow)
                    case _:
                        await handlers.send_messages([send(c, "alice", f"{number} {n}")], uow)
            except Refused:
                pass
            await asyncio.sleep(0)

    async def dawdle(number: int) -> None:
        """Appends and commits late, so that the fence lies far behind what is visible."""
        stream, chance = UserStream(f"slow-{number}"), random.Random(seed - number)
        for seq in range(1, 8):
            async with engine.begin() as connection:
                await event_store.lock(connection, [stream])
                data = UserRegistered(user_id="slow", roles=(), registered_at=AT)
                await event_store.append(connection, [NewEvent(stream, seq, new_id(), data, {}, AT)])
                await asyncio.sleep(chance.choice([0, 0.005, 0.02]))

    async def device(number: int) -> Device:
        chance, made = random.Random(seed * 7 + number), Device()
        # The first one asks once and then not for a long time.
        while writing and (number or made.cursor is None):
            made.take(await syncer.ask("bob", made.cursor, settle=False, limit=chance.randint(1, 9)))
            await asyncio.sleep(chance.choice([0, 0.001, 0.01]))
        return made

    devices = [asyncio.create_task(device(number)) for number in range(4)]
    await asyncio.gather(*(write(number) for number in range(5)), *(dawdle(number) for number in range(2)))
    writing = False
    rows = await db.fetch("SELECT stream, seq FROM streams")
    heads = {row["stream"]: row["seq"] for row in rows}
    member = {
        str(row[0])
        for row in await db.fetch("SELECT conversation_id FROM participants WHERE user_id = 'bob' AND is_active")
    }
    finished = await asyncio.gather(*devices)
    for made in finished:
        while True:
            page = await syncer.ask("bob", made.cursor)
            made.take(page)
            if not page["has_more"] and not page["events"] and page.get("conversations") is None:
                break
        assert set(made.heads) == member, f"seed {seed}"
        bob = set(range(made.user_seq + 1, heads["user:bob"] + 1))
        assert bob <= made.seen["user:bob"], f"seed {seed}"
        for c in member:
            stream = f"conversation:{c}"
            missing = set(range(made.heads[c] + 1, heads[stream] + 1)) - made.seen[stream]
            assert not missing, f"seed {seed}: {c} lacks {sorted(missing)}"
