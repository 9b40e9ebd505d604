"""Consults on a real Postgres: each step with everything that belongs to it, races, the queue, and a rebuild."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from typing import Any

import asyncpg
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from chat_api import migrate
from chat_api.commands import handlers
from chat_api.commands.consults import open_consult, take_step
from chat_api.commands.ports import Once
from chat_api.domain.commands import Actor, AddParticipants, RemoveParticipant
from chat_api.domain.consult import (
    AssignConsult,
    CloseConsult,
    HandOverConsult,
    OpenConsult,
    ReopenConsult,
    TakeConsult,
)
from chat_api.domain.errors import (
    AssigneeOffline,
    Conflict,
    Forbidden,
    IdempotencyConflict,
    LimitReached,
    NotFound,
    Refused,
    UnfitAssignee,
    UnknownUsers,
)
from chat_api.settings import ChatApiSettings
from chat_api.store import consults, rebuild
from chat_api.store.consults import State
from chat_api.store.database import create_engine
from chat_api.store.unit_of_work import PostgresUnitOfWork
from chat_api.testing import AT, SERVICE, after, register, send
from chat_api.testing_world import World, until
from contracts import subjects
from contracts.delivery import DELIVERY_HEADER, Live, parse_delivery_header
from contracts.ids import new_id
from contracts.messages import MessageDraft

ALICE, EVE = Actor("alice"), Actor("eve")
BOB, CAROL = Actor("bob", staff=True), Actor("carol", staff=True)


class Online:
    """Who is there, as a test says."""

    def __init__(self, *user_ids: str) -> None:
        self.users = set(user_ids)

    def is_online(self, user_id: str) -> bool:
        """Whether the test has said so."""
        return user_id in self.users


EVERYBODY = Online("alice", "bob", "carol", "dave")


class Silent:
    """Is told how far a rebuild is, and does nothing with it."""

    def started(self, total: int) -> None:
        """So many are to be done."""

    def advanced(self, count: int) -> None:
        """So many more are done."""


@pytest.fixture
async def desk(uow: PostgresUnitOfWork) -> PostgresUnitOfWork:
    """Two customers, three who may have consults, and an admin who may not."""
    roles = {"alice": "customer", "eve": "customer", "bob": "consultant", "carol": "doctor", "dave": "consultant"}
    for user_id, role in {**roles, "boss": "admin"}.items():
        command = register(user_id, user_id.title(), (role,))
        await handlers.register_user(command, uow, actor_id="host", password_hash=None, once=None, status=201)
    return uow


async def opened(uow: PostgresUnitOfWork, customer: str = "alice", **changes: Any) -> str:
    """A consult of the customer's, in the queue."""
    fields: dict[str, Any] = {
        "conversation_id": new_id(),
        "actor": Actor(customer),
        "customer_id": customer,
        "topic": "teeth",
        "metadata": None,
        "draft": None,
        "now": AT,
    }
    once, most = changes.pop("once", None), changes.pop("conversations_max", 1000)
    return await open_consult(OpenConsult(**(fields | changes)), uow, once, 201, most)


async def step(uow: PostgresUnitOfWork, command: Any, presence: Online = EVERYBODY, once: Once | None = None) -> None:
    """Carry out a step."""
    await take_step(command, uow, presence, once, 200)


async def types(db: asyncpg.Connection[Any], stream: str) -> list[str]:
    """What happened in a stream, in order."""
    rows = await db.fetch("SELECT type FROM events WHERE stream = $1 ORDER BY seq", stream)
    return [row["type"] for row in rows]


async def row(db: asyncpg.Connection[Any], c: str) -> dict[str, Any]:
    """The consult as the read table has it."""
    found = await db.fetchrow("SELECT * FROM consults WHERE conversation_id = $1", c)
    assert found is not None
    return {key: str(value) if key.endswith("conversation_id") and value else value for key, value in found.items()}


async def members(db: asyncpg.Connection[Any], c: str) -> set[str]:
    """Who takes part in a conversation now."""
    rows = await db.fetch("SELECT user_id FROM participants WHERE conversation_id = $1 AND is_active", c)
    return {row["user_id"] for row in rows}


async def last_words(db: asyncpg.Connection[Any], c: str) -> tuple[str, str, dict[str, Any]]:
    """The newest message of a conversation: who said it, what, and the notice."""
    found = await db.fetchrow(
        "SELECT sender_id, content, notice FROM messages WHERE conversation_id = $1 ORDER BY seq DESC LIMIT 1", c
    )
    assert found is not None
    return found["sender_id"], found["content"], json.loads(found["notice"])


# --- its steps --------------------------------------------------------------------------------------------------------


async def test_opening_puts_a_conversation_into_the_queue(
    desk: PostgresUnitOfWork, db: asyncpg.Connection[Any]
) -> None:
    """The customer alone is in it, with what he said at once; the system says that he waits."""
    draft = MessageDraft(client_msg_id="m1", content="It hurts")
    c = await opened(desk, draft=draft)
    assert await types(db, f"conversation:{c}") == [
        "conversation.created", "consult.opened", "message.created", "message.created"
    ]  # fmt: skip
    assert (await types(db, "user:alice"))[-1] == "user.conversation_joined"
    assert await members(db, c) == {"alice"}
    found = await row(db, c)
    assert (found["state"], found["customer_id"], found["topic"], found["opened_at"]) == (
        "waiting",
        "alice",
        "teeth",
        AT,
    )
    said = await db.fetch("SELECT sender_id, sender_type, content FROM messages ORDER BY seq")
    assert [tuple(one) for one in said] == [
        ("system", "system", "Waiting for a consultant."), ("alice", "chat", "It hurts")
    ]  # fmt: skip
    # The first message is a message like any other: sending it again is a repeat, not a second one.
    (again,) = await handlers.send_messages([send(c, "alice", "It hurts", client_msg_id="m1")], desk)
    assert isinstance(again, handlers.Sent)
    assert again.duplicate


async def test_the_same_opening_again_opens_nothing(desk: PostgresUnitOfWork, db: asyncpg.Connection[Any]) -> None:
    """By its key or by its first message, also at the same moment; another body under them is refused."""
    key = Once("alice", "key", b"1")
    assert await opened(desk, once=key) == await opened(desk, once=key)
    with pytest.raises(IdempotencyConflict):
        await opened(desk, once=Once("alice", "key", b"2"))
    draft = MessageDraft(client_msg_id="m1", content="It hurts")
    assert len(set(await asyncio.gather(*(opened(desk, draft=draft) for _ in range(5))))) == 1
    with pytest.raises(IdempotencyConflict):
        await opened(desk, draft=MessageDraft(client_msg_id="m1", content="Something else"))
    assert await db.fetchval("SELECT count(*) FROM consults") == 2
    with pytest.raises(UnknownUsers):
        await opened(desk, "nobody")
    with pytest.raises(Forbidden):
        await opened(desk, "alice", actor=EVE)
    assert await opened(desk, "alice", actor=SERVICE)
    with pytest.raises(LimitReached):
        await opened(desk, conversations_max=3)


async def test_each_step_is_written_with_all_that_belongs_to_it(
    desk: PostgresUnitOfWork, db: asyncpg.Connection[Any]
) -> None:
    """Take, hand over, back into the queue, assign, close, reopen: event, words, who comes and goes, notes, table."""
    c = await opened(desk)
    await step(desk, TakeConsult(c, BOB, after(1)))
    notes = (await row(db, c))["notes_conversation_id"]
    assert notes is not None
    assert await last_words(db, c) == (
        "system",
        "Bob is here for you.",
        {"title": "Consult taken", "type": "consult_taken", "data": {"consultant_id": "bob"}},
    )
    assert (await members(db, c), await members(db, notes)) == ({"alice", "bob"}, {"bob"})
    assert (await types(db, "user:bob")).count("user.conversation_joined") == 2

    await step(desk, HandOverConsult(c, BOB, "carol", "allergic to latex", after(2)))
    assert (await members(db, c), await members(db, notes)) == ({"alice", "carol"}, {"carol"})
    assert (await types(db, "user:bob")).count("user.conversation_left") == 2
    said = await db.fetch("SELECT sender_id, content FROM messages WHERE conversation_id = $1", notes)
    assert [tuple(one) for one in said] == [("bob", "allergic to latex")]
    found = await row(db, c)
    assert (found["state"], found["assignee_id"], found["taken_at"]) == ("active", "carol", after(2))

    await step(desk, HandOverConsult(c, CAROL, None, None, after(3)))
    assert (await members(db, c), await members(db, notes)) == ({"alice"}, set())
    found = await row(db, c)
    assert (found["state"], found["assignee_id"], found["opened_at"]) == ("waiting", None, AT)

    await step(desk, AssignConsult(c, SERVICE, "dave", after(4)))
    assert (await members(db, c), await members(db, notes)) == ({"alice", "dave"}, {"dave"})
    await step(desk, CloseConsult(c, ALICE, after(5)))
    found = await row(db, c)
    assert (found["state"], found["assignee_id"], found["closed_at"]) == ("closed", "dave", after(5))
    await step(desk, ReopenConsult(c, ALICE, after(6)))
    assert (await members(db, c), await members(db, notes)) == ({"alice"}, set())
    found = await row(db, c)
    assert (found["state"], found["opened_at"], found["closed_at"]) == ("waiting", after(6), None)
    assert found["notes_conversation_id"] == notes

    told = await types(db, f"conversation:{c}")
    steps = [one for one in told if one.startswith("consult.")]
    assert steps == [
        "consult.opened", "consult.taken", "consult.handed_over", "consult.handed_over",
        "consult.assigned", "consult.closed", "consult.opened",
    ]  # fmt: skip
    assert told.count("message.created") == len(steps)
    gaps = "SELECT stream FROM events GROUP BY stream HAVING count(*) <> max(seq) OR min(seq) <> 1"
    assert await db.fetch(gaps) == []
    heads = "SELECT 1 FROM conversations c JOIN streams s ON s.stream = 'conversation:' || c.conversation_id"
    assert await db.fetch(heads + " WHERE c.last_seq <> s.seq") == []


async def test_a_refused_step_leaves_no_trace(desk: PostgresUnitOfWork, db: asyncpg.Connection[Any]) -> None:
    """Who is offline, unfit, unknown or too late: nothing is written, and the key can be used again."""
    c = await opened(desk)
    before = await db.fetchval("SELECT count(*) FROM events")
    once = Once("bob", "key", b"1")
    with pytest.raises(AssigneeOffline):
        await step(desk, AssignConsult(c, BOB, "carol", AT), Online(), once)
    for who in ("eve", "boss", "nobody", "alice"):
        with pytest.raises(UnfitAssignee):
            await step(desk, AssignConsult(c, BOB, who, AT))
    with pytest.raises(NotFound):
        await step(desk, TakeConsult(new_id(), BOB, AT))
    with pytest.raises(NotFound):
        await step(desk, CloseConsult(c, EVE, AT))
    with pytest.raises(UnknownUsers):
        await step(desk, TakeConsult(c, Actor("stranger", staff=True), AT))
    assert await db.fetchval("SELECT count(*) FROM events") == before
    for _ in range(2):
        await step(desk, AssignConsult(c, BOB, "carol", AT), Online("carol"), once)
    assert (await row(db, c))["assignee_id"] == "carol"
    assert (await types(db, f"conversation:{c}")).count("consult.assigned") == 1


async def test_who_has_a_consult_cannot_be_taken_out_of_it(desk: PostgresUnitOfWork) -> None:
    """Nobody would answer: it is handed over instead. Whoever was let in by hand may go."""
    c = await opened(desk)
    await step(desk, TakeConsult(c, BOB, AT))
    for actor in (BOB, ALICE, SERVICE):
        with pytest.raises(Conflict):
            await handlers.remove_participant(RemoveParticipant(c, actor, "bob", AT), desk)
    await handlers.add_participants(AddParticipants(c, BOB, ("carol",), AT), desk, None, 200)
    await handlers.remove_participant(RemoveParticipant(c, CAROL, "carol", AT), desk)
    await step(desk, CloseConsult(c, BOB, AT))
    await handlers.remove_participant(RemoveParticipant(c, BOB, "bob", AT), desk)


# --- at the same moment -----------------------------------------------------------------------------------------------


async def test_of_many_who_take_it_at_once_exactly_one_gets_it(
    desk: PostgresUnitOfWork, db: asyncpg.Connection[Any]
) -> None:
    """The others get a conflict, no trace of them is left, and there is one conversation of notes."""
    takers = [f"taker-{n}" for n in range(8)]
    for user_id in takers:
        command = register(user_id, None, ("consultant",))
        await handlers.register_user(command, desk, actor_id="host", password_hash=None, once=None, status=201)
    for _ in range(5):
        c = await opened(desk)
        results = await asyncio.gather(
            *(step(desk, TakeConsult(c, Actor(user_id, staff=True), AT)) for user_id in takers), return_exceptions=True
        )
        assert sorted(type(one).__name__ for one in results) == ["Conflict"] * 7 + ["NoneType"]
        winner = takers[results.index(None)]
        found = await row(db, c)
        assert found["assignee_id"] == winner
        assert await members(db, c) == {"alice", winner}
        made = await db.fetch("SELECT conversation_id FROM conversations WHERE notes_of = $1", c)
        assert [str(one[0]) for one in made] == [found["notes_conversation_id"]]
        assert await members(db, found["notes_conversation_id"]) == {winner}


async def test_handing_over_and_closing_at_once_ends_in_one_order_or_the_other(
    desk: PostgresUnitOfWork, db: asyncpg.Connection[Any]
) -> None:
    """Whichever comes first, the table, the members and the notes agree afterwards."""
    for _ in range(10):
        c = await opened(desk)
        await step(desk, TakeConsult(c, BOB, AT))
        results = await asyncio.gather(
            step(desk, HandOverConsult(c, BOB, "carol", None, AT)),
            step(desk, CloseConsult(c, ALICE, AT)),
            step(desk, HandOverConsult(c, BOB, None, None, AT)),
            return_exceptions=True,
        )
        assert all(one is None or isinstance(one, Refused) for one in results), results
        found = await row(db, c)
        has_it = {found["assignee_id"]} - {None}
        assert await members(db, c) == {"alice"} | has_it
        assert await members(db, found["notes_conversation_id"]) == has_it


# --- the tables -------------------------------------------------------------------------------------------------------


async def test_a_rebuild_makes_the_same_consults(
    desk: PostgresUnitOfWork, settings: ChatApiSettings, db: asyncpg.Connection[Any]
) -> None:
    """Whatever was done with them, in any order: made anew from the record, the tables are equal."""
    chance = random.Random(7)
    ids = [await opened(desk, topic=chance.choice([None, "teeth"])) for _ in range(6)]
    staff = [BOB, CAROL, Actor("dave", staff=True)]
    for n in range(120):
        c, actor, other = chance.choice(ids), chance.choice([ALICE, SERVICE, *staff]), chance.choice(staff)
        command = chance.choice(
            [
                TakeConsult(c, actor, after(n)),
                AssignConsult(c, actor, other.user_id, after(n)),
                HandOverConsult(c, actor, chance.choice([None, other.user_id]), chance.choice([None, "why"]), after(n)),
                CloseConsult(c, actor, after(n)),
                ReopenConsult(c, actor, after(n)),
            ]
        )
        with contextlib.suppress(Refused):
            await step(desk, command)
    states = {one["state"] for one in await db.fetch("SELECT state FROM consults")}
    assert len(states) > 1, "the dice did nothing"
    for check in (True, False, True):
        engine = create_engine(settings, "test rebuild", patient=True)
        try:
            found = await rebuild.rebuild(
                engine,
                revision=migrate.head_revision(),
                migration_lock=migrate.MIGRATION_LOCK,
                check=check,
                progress=Silent(),
            )
        finally:
            await engine.dispose()
        assert {one.table: one.differing for one in found if not rebuild.equal([one])} == {}
        rows = {one.table: one.rebuilt_rows for one in found}
        assert rows["consults"] == 6
    assert {one["state"] for one in await db.fetch("SELECT state FROM consults")} == states


async def test_the_queue_is_read_by_its_indexes(
    desk: PostgresUnitOfWork, engine: AsyncEngine, db: asyncpg.Connection[Any]
) -> None:
    """Ten thousand closed consults do not stand in the way of those who wait; oldest first, page by page."""
    await db.execute(
        "INSERT INTO consults (conversation_id, customer_id, state, assignee_id, opened_at, taken_at, closed_at)"
        " SELECT gen_random_uuid(), 'alice', 'closed', 'bob-' || n % 100, now() - n * interval '1 s', now(), now()"
        " FROM generate_series(1, 10000) n"
    )
    waiting = [await opened(desk, now=after(n)) for n in range(7)]
    await db.execute("ANALYZE consults")
    async with engine.connect() as connection:
        seen: list[str] = []
        behind = None
        while page := await consults.page(connection, State.WAITING, assignee_id=None, limit=3, behind=behind):
            seen += [one.conversation_id for one in page]
            behind = (page[-1].opened_at, page[-1].conversation_id)
        assert seen == waiting
        newest = await consults.page(connection, State.CLOSED, assignee_id="bob-7", limit=2, behind=None)
        assert newest[0].opened_at > newest[1].opened_at
        values = {"at": None, "id": None, "limit": 50}
        for statement, more, index in (
            (consults._QUEUE, {}, "consults_waiting_idx"),
            (consults._OF_ALL[State.CLOSED], {}, "consults_state_idx"),
            (consults._OF_ONE, {"state": "closed", "assignee_id": "bob-7"}, "consults_assignee_idx"),
        ):
            plan = await connection.execute(text(f"EXPLAIN {statement.text}"), values | more)
            told = "\n".join(line[0] for line in plan)
            assert index in told, told
            assert "Seq Scan on consults" not in told, told


# --- the live queue ---------------------------------------------------------------------------------------------------


async def test_staff_learns_of_the_queue_and_of_nothing_that_was_said(world: World, observer: Client) -> None:
    """Consultants and doctors get each step as a live signal that says how the consult stands, and no words."""
    told: list[tuple[str, Any, dict[str, Any]]] = []

    async def take(message: Msg) -> None:
        assert message.headers is not None
        told.append(
            (message.subject, parse_delivery_header(message.headers[DELIVERY_HEADER]), json.loads(message.data))
        )

    await observer.subscribe("natter.role.*", cb=take)
    await observer.flush()
    world.fanout()
    (alice,) = await world.people("alice")
    bob = f"bob-{new_id()[-12:]}"
    command = register(bob, "Bob", ("consultant",))
    await handlers.register_user(command, world.uow, actor_id="host", password_hash=None, once=None, status=201)
    draft = MessageDraft(client_msg_id=new_id(), content="a secret pain")
    c = await opened(world.uow, alice, draft=draft)
    await until(lambda: len(told) == 2, "both roles hear of the new one")
    await step(world.uow, TakeConsult(c, Actor(bob, staff=True), AT))
    await until(lambda: len(told) == 4, "both roles hear that it is taken")
    await world.say(c, alice, "another secret")
    await world.until_settled()
    assert {subject for subject, _, _ in told} == {subjects.role("consultant"), subjects.role("doctor")}
    assert {delivery for _, delivery, _ in told} == {Live(f"consult:{c}")}
    assert [frame["data"] for _, _, frame in told[::2]] == [
        {
            "conversation_id": c,
            "event": "consult.opened",
            "state": "waiting",
            "customer_id": alice,
            "topic": "teeth",
        },
        {
            "conversation_id": c,
            "event": "consult.taken",
            "state": "active",
            "customer_id": alice,
            "assignee_id": bob,
            "topic": "teeth",
        },
    ]
    assert {frame["action"] for _, _, frame in told} == {"consult_updated"}
    assert "secret" not in json.dumps([frame for _, _, frame in told])
