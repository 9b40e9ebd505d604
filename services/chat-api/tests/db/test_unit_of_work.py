"""One transaction: everything of it or nothing, and a key that makes a repeat harmless."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from chat_api.commands import handlers
from chat_api.commands.batcher import SendBatcher
from chat_api.commands.handlers import SendResult, Sent
from chat_api.commands.ports import Once, Recordable, StoredResponse
from chat_api.domain.commands import SendMessage
from chat_api.domain.errors import IdempotencyConflict
from chat_api.store.unit_of_work import PostgresUnitOfWork
from chat_api.testing import AT, create, register, send
from contracts.events import UserRegistered
from contracts.ids import new_id
from contracts.stream_ids import UserStream

ALICE = UserStream("alice")
TABLES = ("events", "streams", "users", "credentials", "conversations", "participants", "messages", "idempotency_keys")


async def rows(db: asyncpg.Connection[Any]) -> dict[str, int]:
    """How many rows each table has."""
    return {table: await db.fetchval(f"SELECT count(*) FROM {table}") for table in TABLES}


async def people(uow: PostgresUnitOfWork, *user_ids: str) -> None:
    """Registered users."""
    for user_id in user_ids:
        await handlers.register_user(register(user_id), uow, actor_id="host", password_hash=None, once=None, status=201)


async def test_a_block_that_raises_leaves_nothing(uow: PostgresUnitOfWork, db: asyncpg.Connection[Any]) -> None:
    """Events, read tables, credentials and the key go together."""
    registered = UserRegistered(user_id="alice", roles=("customer",), registered_at=AT)
    with pytest.raises(RuntimeError):  # noqa: PT012 - the block is the transaction
        async with uow.begin({ALICE}, once=Once("host", "key", b"1")) as transaction:
            await transaction.append([Recordable(ALICE, registered, {})], AT)
            await transaction.set_credentials("alice", "hash")
            await transaction.remember(StoredResponse(201, "x"))
            raise RuntimeError
    assert await rows(db) == dict.fromkeys(TABLES, 0)


async def test_commits_are_announced_and_nothing_else_is(engine: AsyncEngine) -> None:
    """The relay is woken after a commit with events: not before, not by a rollback, not by reading."""
    announced: list[bool] = []
    uow = PostgresUnitOfWork(engine, lambda: announced.append(True), 60)
    registered = UserRegistered(user_id="alice", roles=("customer",), registered_at=AT)
    async with uow.begin({ALICE}) as transaction:
        await transaction.user("alice")
    with pytest.raises(RuntimeError):  # noqa: PT012 - the block is the transaction
        async with uow.begin({ALICE}) as transaction:
            await transaction.append([Recordable(ALICE, registered, {})], AT)
            raise RuntimeError
    assert announced == []
    async with uow.begin({ALICE}) as transaction:
        await transaction.append([Recordable(ALICE, registered, {})], AT)
        assert announced == []
    assert announced == [True]


async def test_keys_replay_and_conflict(uow: PostgresUnitOfWork) -> None:
    """The same request gets the first answer; another with the same key is refused; another user's key is another."""
    once = Once("alice", "key", b"1")
    async with uow.begin({ALICE}, once=once) as transaction:
        assert transaction.replay is None
        await transaction.remember(StoredResponse(201, "first"))
    async with uow.begin({ALICE}, once=once) as transaction:
        assert transaction.replay == StoredResponse(201, "first")
    with pytest.raises(IdempotencyConflict):
        async with uow.begin({ALICE}, once=replace(once, fingerprint=b"2")):
            pass
    async with uow.begin({ALICE}, once=replace(once, user_id="bob", fingerprint=b"2")) as transaction:
        assert transaction.replay is None


async def test_a_key_that_was_rolled_back_is_free(uow: PostgresUnitOfWork) -> None:
    """A request that failed may be repeated, even in another form."""
    with pytest.raises(RuntimeError):
        async with uow.begin({ALICE}, once=Once("alice", "key", b"1")):
            raise RuntimeError
    async with uow.begin({ALICE}, once=Once("alice", "key", b"2")) as transaction:
        assert transaction.replay is None


async def test_the_same_request_many_times_at_once(uow: PostgresUnitOfWork, db: asyncpg.Connection[Any]) -> None:
    """One carries it out, the others wait for its answer."""
    await people(uow, "alice", "bob")
    once = Once("alice", "key", b"1")
    ids = await asyncio.gather(
        *(handlers.create_conversation(create("alice", "bob"), uow, once, 201) for _ in range(15))
    )
    assert len(set(ids)) == 1
    assert await db.fetchval("SELECT count(*) FROM conversations") == 1
    assert await db.fetchval("SELECT count(*) FROM events WHERE type = 'conversation.created'") == 1


async def test_old_keys_are_forgotten(engine: AsyncEngine, db: asyncpg.Connection[Any]) -> None:
    """After its time a key is free at once, and its row is swept in batches."""
    uow = PostgresUnitOfWork(engine, lambda: None, 60)
    for number in range(5):
        async with uow.begin((), once=Once("alice", str(number), b"1")) as transaction:
            await transaction.remember(StoredResponse(201, "x"))
    await db.execute("UPDATE idempotency_keys SET created_at = now() - interval '61 seconds' WHERE key < '4'")
    async with uow.begin((), once=Once("alice", "0", b"another request")) as transaction:
        assert transaction.replay is None
    assert await uow.forget_old_keys(2) == 2
    assert await uow.forget_old_keys(2) == 1
    assert [row["key"] for row in await db.fetch("SELECT key FROM idempotency_keys ORDER BY key")] == ["0", "4"]


def batcher(uow: PostgresUnitOfWork, lanes: int = 2) -> SendBatcher:
    """As the service has it."""

    async def carry(commands: Any) -> list[SendResult]:
        return await handlers.send_messages(commands, uow)

    return SendBatcher(carry, lanes=lanes, batch_max=8, queue_max=1000)


async def test_fifty_repeats_at_once_are_one_message(
    uow: PostgresUnitOfWork, engine: AsyncEngine, db: asyncpg.Connection[Any], background: Any
) -> None:
    """From several processes at the same time: one row, one event, and the first message for everybody."""
    await people(uow, "alice")
    c = await handlers.create_conversation(create("alice"), uow, None, 201)
    said = send(c, "alice", "hello")
    senders = [batcher(PostgresUnitOfWork(engine, lambda: None, 60)) for _ in range(4)]
    for sender in senders:
        background(sender.run())
    results = await asyncio.gather(*(senders[n % 4].send(replace(said, message_id=new_id())) for n in range(50)))
    assert len({result.message.id for result in results}) == 1
    assert [result.duplicate for result in results].count(False) == 1
    assert await db.fetchval("SELECT count(*) FROM messages") == 1
    assert await db.fetchval("SELECT count(*) FROM events WHERE type = 'message.created'") == 1


async def test_a_client_msg_id_counts_across_conversations(
    uow: PostgresUnitOfWork, engine: AsyncEngine, db: asyncpg.Connection[Any], background: Any
) -> None:
    """Sent to several conversations at once, one wins; the others hear of the conflict, not of a broken database."""
    await people(uow, "alice")
    conversations = [await handlers.create_conversation(create("alice"), uow, None, 201) for _ in range(8)]
    senders = [batcher(PostgresUnitOfWork(engine, lambda: None, 60)) for _ in range(4)]
    for sender in senders:
        background(sender.run())
    for attempt in range(10):
        results = await asyncio.gather(
            *(
                senders[n % 4].send(send(c, "alice", "hello", client_msg_id=f"same-{attempt}"))
                for n, c in enumerate(conversations)
            ),
            return_exceptions=True,
        )
        assert sorted(type(result).__name__ for result in results) == ["IdempotencyConflict"] * 7 + ["Sent"]
        assert await db.fetchval("SELECT count(*) FROM messages") == attempt + 1


async def test_one_bad_send_does_not_fail_its_neighbours(uow: PostgresUnitOfWork, background: Any) -> None:
    """A send that Postgres itself refuses costs its neighbours nothing but a second transaction."""
    await people(uow, "alice")
    c = await handlers.create_conversation(create("alice"), uow, None, 201)
    sender = batcher(uow, lanes=1)
    broken = send(c, "alice", "x")
    # What validation would have stopped: Postgres cannot store NUL.
    broken = replace(broken, draft=broken.draft.model_copy(update={"content": "a\x00b"}))
    commands: list[SendMessage] = [send(c, "alice", "1"), broken, send(c, "alice", "2")]
    sending = [asyncio.create_task(sender.send(command)) for command in commands]
    await asyncio.sleep(0)
    background(sender.run())
    results = await asyncio.gather(*sending, return_exceptions=True)
    assert [isinstance(result, Sent) for result in results] == [True, False, True]
    assert [result.message.seq for result in results if isinstance(result, Sent)] == [2, 3]
