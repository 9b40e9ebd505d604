"""The record in memory keeps its promises, so that tests on it say something about the real one."""

from __future__ import annotations

import pytest

from chat_api.commands.ports import Once, Recordable, StoredResponse
from chat_api.domain.errors import IdempotencyConflict
from chat_api.testing import AT, MemoryUnitOfWork, create, send
from contracts.events import EventData, UserReadAdvanced, UserRegistered
from contracts.ids import new_id
from contracts.stream_ids import ConversationStream, UserStream

ALICE = UserStream("alice")


def recordable(stream: UserStream, data: EventData | None = None) -> Recordable:
    """An event of a user."""
    return Recordable(stream, data or UserRegistered(user_id=stream.user_id, roles=("customer",), registered_at=AT), {})


async def test_what_is_appended_is_kept_in_order() -> None:
    """Each stream counts for itself, without gaps."""
    uow = MemoryUnitOfWork()
    bob = UserStream("bob")
    async with uow.begin({ALICE, bob}) as transaction:
        assert await transaction.append([recordable(ALICE), recordable(bob), recordable(ALICE)], AT) == [1, 1, 2]
    async with uow.begin({ALICE}) as transaction:
        assert await transaction.append([recordable(ALICE)], AT) == [3]
    assert [(event.stream, event.seq) for event in uow.events()] == [(ALICE, 1), (bob, 1), (ALICE, 2), (ALICE, 3)]


async def test_a_block_that_raises_leaves_nothing() -> None:
    """Rolled back: events, credentials and keys."""
    uow = MemoryUnitOfWork()
    once = Once("alice", "k", b"1")
    with pytest.raises(RuntimeError):  # noqa: PT012 - the block is the transaction
        async with uow.begin({ALICE}, once=once) as transaction:
            await transaction.append([recordable(ALICE)], AT)
            await transaction.set_credentials("alice", "hash")
            await transaction.remember(StoredResponse(201, "x"))
            raise RuntimeError
    assert uow.events() == []
    assert uow.credentials == {}
    async with uow.begin({ALICE}, once=once) as transaction:
        assert transaction.replay is None


async def test_a_stream_without_its_lock_is_refused() -> None:
    """Whoever writes where he has no lock would be wrong in Postgres, too."""
    uow = MemoryUnitOfWork()
    with pytest.raises(AssertionError, match="without its lock"):
        async with uow.begin({UserStream("bob")}) as transaction:
            await transaction.append([recordable(ALICE)], AT)


async def test_keys_are_remembered() -> None:
    """The same request gets the first answer, another one with that key is refused, another user's is another."""
    uow = MemoryUnitOfWork()
    async with uow.begin({ALICE}, once=Once("alice", "k", b"1")) as transaction:
        await transaction.remember(StoredResponse(201, "first"))
    async with uow.begin({ALICE}, once=Once("alice", "k", b"1")) as transaction:
        assert transaction.replay == StoredResponse(201, "first")
    with pytest.raises(IdempotencyConflict):
        async with uow.begin({ALICE}, once=Once("alice", "k", b"2")):
            pass
    async with uow.begin({ALICE}, once=Once("bob", "k", b"2")) as transaction:
        assert transaction.replay is None


async def test_the_view_is_as_narrow_as_postgres() -> None:
    """A decision sees what it asked for, and nothing by chance."""
    uow = MemoryUnitOfWork()
    opened = create("alice", "bob", "carol")
    stream = ConversationStream(opened.conversation_id)
    from chat_api.domain.conversation import decide

    async with uow.begin({stream}) as transaction:
        await transaction.append([Recordable(stream, event, {}) for event in decide(None, opened)], AT)
        state = await transaction.conversation(opened.conversation_id, ["bob", "eve"])
        assert state is not None
        assert state.members == {"bob"}
        assert await transaction.conversation(new_id(), ["bob"]) is None
        said = send(opened.conversation_id, "bob")
        await transaction.append(
            [Recordable(stream, event, {"fingerprint": said.fingerprint.hex()}) for event in decide(state, said)], AT
        )
        (context,) = await transaction.send_contexts([said])
        assert context.sent_id == said.message_id
        found = await transaction.messages([said.message_id])
        assert found[said.message_id][1] == said.fingerprint
        membership = await transaction.membership(opened.conversation_id, "bob")
        assert membership is not None
        assert (membership.conversation_last_seq, membership.read_seq) == (2, 0)
        assert await transaction.membership(opened.conversation_id, "eve") is None
    read = UserReadAdvanced(user_id="bob", conversation_id=opened.conversation_id, seq=2, read_at=AT)
    async with uow.begin({UserStream("bob")}) as transaction:
        await transaction.append([recordable(UserStream("bob"), read)], AT)
        membership = await transaction.membership(opened.conversation_id, "bob")
        assert membership is not None
        assert membership.read_seq == 2
    assert await uow.conversation_of_message(said.message_id) == opened.conversation_id
    assert await uow.conversation_of_message(new_id()) is None
