"""The read tables say what the events say: a fold of the record gives the same answers as the queries."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import Any

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from chat_api.commands import handlers
from chat_api.domain import conversation
from chat_api.domain.commands import (
    AddParticipants,
    AdvanceRead,
    DeleteMessage,
    EditMessage,
    RemoveParticipant,
    UpdateConversation,
)
from chat_api.domain.conversation import Conversation
from chat_api.domain.errors import Refused
from chat_api.store import queries
from chat_api.store.queries import Window
from chat_api.store.unit_of_work import PostgresUnitOfWork
from chat_api.testing import SERVICE, after, create, register, send
from contracts.stream_ids import ConversationStream

USERS = ["alice", "bob", "carol", "dave"]


async def day(uow: PostgresUnitOfWork, seed: int) -> list[str]:
    """Some hundred commands of which some are refused; returns the conversations."""
    chance = random.Random(seed)
    for user_id in USERS:
        await handlers.register_user(
            register(user_id, user_id.title()), uow, actor_id="host", password_hash=None, once=None, status=201
        )
    conversations = [
        await handlers.create_conversation(
            create(owner, "bob", title=f"{owner}'s", metadata={"n": [1, None, "ü"]}), uow, None, 201
        )
        for owner in USERS[:3]
    ]
    messages: list[str] = []
    for n in range(120):
        c, user = chance.choice(conversations), chance.choice(USERS)
        message = chance.choice(messages) if messages else None
        try:
            match chance.randrange(8):
                case 0 | 1 | 2:
                    command = send(c, user, f"text {n}", now=after(n), extra_metadata={"n": n}, is_important=n % 7 == 0)
                    (result,) = await handlers.send_messages([command], uow)
                    if isinstance(result, handlers.Sent):
                        messages.append(result.message.id)
                case 3 if message:
                    await handlers.change_message(EditMessage(message, SERVICE, f"edit {n}", after(n)), uow)
                case 4 if message and n % 3 == 0:
                    await handlers.change_message(DeleteMessage(message, SERVICE, after(n)), uow)
                case 5:
                    await handlers.add_participants(AddParticipants(c, SERVICE, (user,), after(n)), uow, None, 200)
                case 6:
                    await handlers.remove_participant(RemoveParticipant(c, SERVICE, user, after(n)), uow)
                case _ if n % 2:
                    await handlers.update_conversation(
                        UpdateConversation(c, SERVICE, f"title {n}", {"n": n}, after(n)), uow
                    )
                case _:
                    await handlers.advance_read(AdvanceRead(c, user, chance.randint(1, 20), after(n)), uow)
        except Refused:
            pass
    return conversations


async def fold(engine: AsyncEngine, c: str) -> Conversation:
    """The conversation as its events make it."""
    state: Conversation | None = None
    async with engine.connect() as connection:
        for envelope in await queries.event_page(connection, str(ConversationStream(c)), Window(after=0, limit=10_000)):
            state = conversation.evolve(state, envelope.event())
            assert state.last_seq == envelope.seq
    assert state is not None
    return state


async def test_read_tables_equal_the_fold(
    uow: PostgresUnitOfWork, engine: AsyncEngine, db: asyncpg.Connection[Any]
) -> None:
    """Members, messages, titles and ends of every conversation, after a day of random commands."""
    seed = random.randrange(2**32)
    for c in await day(uow, seed):
        folded = await fold(engine, c)
        async with engine.connect() as connection:
            stored = await queries.conversation_state(connection, c, USERS, list(folded.message_ids))
            page = await queries.message_page(connection, c, Window(after=0, limit=10_000))
            bounds = await queries.member_bounds(connection, c)
            ended = await queries.ended_memberships(connection, c)
        assert stored == folded, f"seed {seed}"
        assert page == sorted(folded.messages.values(), key=lambda message: message.seq), f"seed {seed}"
        assert {user for user, (_, left) in bounds.items() if left is None} == folded.members, f"seed {seed}"
        left = {(user, *bound) for user, bound in bounds.items() if bound[1] is not None}
        assert left <= set(ended), f"seed {seed}"
        assert all(last < bounds[user][0] or (user, first, last) in left for user, first, last in ended), f"seed {seed}"
        row = await db.fetchrow("SELECT * FROM conversations WHERE conversation_id = $1", c)
        last = page[-1] if page else None
        assert row is not None
        assert row["last_message_seq"] == (last.seq if last else None)
        assert row["last_activity_at"] == (last.created_at if last else row["created_at"])


async def test_read_cursors_and_unread_counts(
    uow: PostgresUnitOfWork, engine: AsyncEngine, db: asyncpg.Connection[Any]
) -> None:
    """The cursor is the highest that the user's own events say, or where the user came in; unread is what others said
    behind it."""
    for c in await day(uow, 7):
        folded = await fold(engine, c)
        for user in folded.members:
            read = await db.fetchval(
                "SELECT max(coalesce(data->>'seq', data->>'at_seq')::bigint) FROM events WHERE stream = $1"
                " AND type IN ('user.read_advanced', 'user.conversation_joined') AND data->>'conversation_id' = $2",
                f"user:{user}",
                c,
            )
            async with engine.connect() as connection:
                summary = await queries.conversation_summary(connection, c, user)
            assert summary is not None
            assert summary.read_seq == read
            assert summary.unread_count == sum(
                message.seq > read and message.sender_id != user and message.deleted_at is None
                for message in folded.messages.values()
            )


async def test_memberships_are_noted_where_the_tables_say(uow: PostgresUnitOfWork, db: asyncpg.Connection[Any]) -> None:
    """Each user's own stream tells the same memberships as the participants table."""
    await day(uow, 11)
    for user in USERS:
        member: set[str] = set()
        for row in await db.fetch("SELECT type, data FROM events WHERE stream = $1 ORDER BY seq", f"user:{user}"):
            c = json.loads(row["data"]).get("conversation_id")
            if row["type"] == "user.conversation_joined":
                assert c not in member
                member.add(c)
            elif row["type"] == "user.conversation_left":
                member.remove(c)
        active = await db.fetch("SELECT conversation_id FROM participants WHERE user_id = $1 AND is_active", user)
        assert member == {str(row["conversation_id"]) for row in active}


async def test_an_envelope_is_spliced_as_it_would_be_written(uow: PostgresUnitOfWork, engine: AsyncEngine) -> None:
    """The bytes that go out are the event, whatever characters and names stand in its data or metadata."""
    for user_id in ("alice", "traceparent"):
        await handlers.register_user(
            register(user_id, '"},{\\"你好'), uow, actor_id="traceparent", password_hash=None, once=None, status=201
        )
    async with engine.connect() as connection:
        (event,) = await queries.event_page(connection, "user:traceparent", Window(after=0))
    assert event.traceparent is None
    assert event.data["name"] == '"},{\\"你好'
    assert event.event().model_dump()["name"] == '"},{\\"你好'


async def test_a_batch_projects_like_single_commands(uow: PostgresUnitOfWork, engine: AsyncEngine) -> None:
    """Sixty messages of one transaction leave the tables as sixty transactions would."""
    for user_id in USERS:
        await handlers.register_user(register(user_id), uow, actor_id="host", password_hash=None, once=None, status=201)
    ids = [await handlers.create_conversation(create("alice", "bob"), uow, None, 201) for _ in range(3)]
    commands = [send(ids[n % 3], ["alice", "bob"][n % 2], str(n), now=after(0)) for n in range(60)]
    results = await handlers.send_messages(commands, uow)
    again = await handlers.send_messages([replace(command, now=after(9)) for command in commands], uow)
    assert [result.duplicate for result in again if isinstance(result, handlers.Sent)] == [True] * 60
    for c in ids:
        folded = await fold(engine, c)
        assert folded.last_seq == 21
        async with engine.connect() as connection:
            page = await queries.message_page(connection, c, Window(after=0, limit=100))
        assert page == list(folded.messages.values())
    assert [result.message for result in results if isinstance(result, handlers.Sent)] == [
        result.message for result in again if isinstance(result, handlers.Sent)
    ]


def test_every_event_is_projected_or_known_not_to_be() -> None:
    """A new event needs a projection, or a word that it has none."""
    from chat_api.store.projections import PROJECTIONS
    from contracts.events import EVENT_CLASSES

    notes = {"user.conversation_joined", "user.conversation_left", "user.admin_acted"}
    assert set(PROJECTIONS) | notes == {event.type for event in EVENT_CLASSES}
