"""Each command from its request to its events, on a record in memory."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chat_api.commands import handlers
from chat_api.commands.handlers import HANDLERS, Sent
from chat_api.commands.ports import Once
from chat_api.domain import commands
from chat_api.domain.commands import (
    Actor,
    AddParticipants,
    AdvanceRead,
    ConversationCommand,
    CreateConversation,
    DeleteMessage,
    EditMessage,
    RemoveParticipant,
    SendMessage,
    UpdateConversation,
)
from chat_api.domain.errors import (
    AlreadyExists,
    Forbidden,
    IdempotencyConflict,
    InvalidReference,
    NotFound,
    SeqOutOfRange,
    UnknownUsers,
)
from chat_api.testing import AT, SERVICE, MemoryUnitOfWork, after, create, register, send
from contracts.events import MessageCreated
from contracts.ids import new_id
from contracts.stream_ids import ConversationStream, UserStream

USERS = ("alice", "bob", "carol", "dave")


@pytest.fixture
async def uow() -> MemoryUnitOfWork:
    """A record that knows four users."""
    made = MemoryUnitOfWork()
    for user_id in USERS:
        await handlers.register_user(
            register(user_id, user_id.title()), made, actor_id="host", password_hash=None, once=None, status=201
        )
    return made


@pytest.fixture
async def c(uow: MemoryUnitOfWork) -> str:
    """A conversation of alice's with bob."""
    return await handlers.create_conversation(create("alice", "bob"), uow, None, 201)


async def say(uow: MemoryUnitOfWork, *commands: SendMessage) -> list[Any]:
    """The results of one batch."""
    return await handlers.send_messages(commands, uow)


def types(uow: MemoryUnitOfWork, stream: ConversationStream | UserStream) -> list[str]:
    """The types of a stream's events."""
    return [event.data.type for event in uow.events(stream)]


def test_the_table_lists_every_command() -> None:
    """Everything that the service can do stands in one place."""
    named = {
        value
        for value in vars(commands).values()
        if isinstance(value, type) and value.__module__ == commands.__name__ and value is not Actor
    }
    assert set(HANDLERS) == named
    assert set(ConversationCommand.__args__) < named


async def test_creating_notes_every_membership(uow: MemoryUnitOfWork, c: str) -> None:
    """The conversation begins, and each member's own stream says so, the owner's too."""
    assert types(uow, ConversationStream(c)) == ["conversation.created"]
    for user_id in ("alice", "bob"):
        assert types(uow, UserStream(user_id)) == ["user.registered", "user.conversation_joined"]
    assert types(uow, UserStream("carol")) == ["user.registered"]


async def test_unknown_users_are_named(uow: MemoryUnitOfWork) -> None:
    """Nobody is let in who is not registered; the error names them, and nothing is written."""
    before = uow.events()
    with pytest.raises(UnknownUsers, match="mallory, trent"):
        await handlers.create_conversation(create("alice", "mallory", "bob", "trent"), uow, None, 201)
    with pytest.raises(UnknownUsers, match="and 5 more"):
        await handlers.create_conversation(create("alice", *(f"x{n}" for n in range(15))), uow, None, 201)
    assert uow.events() == before


async def test_creating_once(uow: MemoryUnitOfWork) -> None:
    """A repeat with the same key is the first conversation; another request with it is a mistake."""
    once = Once("alice", "key", b"1")
    first = await handlers.create_conversation(create("alice", "bob"), uow, once, 201)
    events = uow.events()
    assert await handlers.create_conversation(create("alice", "bob"), uow, once, 201) == first
    with pytest.raises(IdempotencyConflict):
        await handlers.create_conversation(create("alice", "carol"), uow, replace(once, fingerprint=b"2"), 201)
    assert uow.events() == events


async def test_a_refused_request_may_be_repeated_with_its_key(uow: MemoryUnitOfWork) -> None:
    """Nothing happened, so nothing is remembered."""
    once = Once("alice", "key", b"1")
    with pytest.raises(UnknownUsers):
        await handlers.create_conversation(create("alice", "mallory"), uow, once, 201)
    await handlers.register_user(register("mallory"), uow, actor_id="host", password_hash=None, once=None, status=201)
    assert await handlers.create_conversation(create("alice", "mallory"), uow, once, 201)


async def test_a_batch_is_one_transaction_with_one_answer_each(uow: MemoryUnitOfWork, c: str) -> None:
    """Accepted, refused, repeated and conflicting sends stand side by side; order is that of the batch."""
    first = send(c, "alice", "1")
    begun = uow.begun
    results = await say(
        uow,
        first,
        send(c, "eve", "stranger"),
        replace(first, message_id=new_id(), now=after(1)),
        send(c, "alice", "other text", client_msg_id=first.draft.client_msg_id),
        send(c, "bob", "2"),
        send(new_id(), "bob", "nowhere"),
        send(c, "bob", "3", reply_to=new_id()),
        send(c, "bob", "4"),
    )
    assert uow.begun == begun + 1
    assert [type(result) for result in results] == [
        Sent,
        NotFound,
        Sent,
        IdempotencyConflict,
        Sent,
        NotFound,
        InvalidReference,
        Sent,
    ]
    assert [result.message.seq for result in results if isinstance(result, Sent)] == [2, 2, 3, 4]
    assert results[2].duplicate
    assert results[2].message == results[0].message
    said = [event.data for event in uow.events(ConversationStream(c)) if isinstance(event.data, MessageCreated)]
    assert [message.content for message in said] == ["1", "2", "4"]


async def test_a_repeat_gets_the_first_message_for_ever(uow: MemoryUnitOfWork, c: str) -> None:
    """In a later batch, too, and even after the sender has left; but not with another text or place."""
    first = send(c, "bob", "hello")
    (sent,) = await say(uow, first)
    await handlers.remove_participant(RemoveParticipant(c, Actor("bob"), "bob", AT), uow)
    (again,) = await say(uow, replace(first, message_id=new_id(), now=after(100)))
    assert (again.duplicate, again.message) == (True, sent.message)
    other = await handlers.create_conversation(create("alice", "bob"), uow, None, 201)
    elsewhere, changed = await say(
        uow,
        replace(first, conversation_id=other),
        send(c, "bob", "HELLO", client_msg_id=first.draft.client_msg_id),
    )
    assert isinstance(elsewhere, IdempotencyConflict)
    assert isinstance(changed, IdempotencyConflict)


async def test_two_senders_may_use_the_same_client_msg_id(uow: MemoryUnitOfWork, c: str) -> None:
    """The name is the sender's own."""
    results = await say(uow, send(c, "alice", client_msg_id="1"), send(c, "bob", client_msg_id="1"))
    assert [result.duplicate for result in results] == [False, False]


async def test_the_registered_name_is_what_others_read(uow: MemoryUnitOfWork, c: str) -> None:
    """A token's name does not stand for somebody registered under another one."""
    (result,) = await say(uow, send(c, "bob", sender_name="The Pope"))
    assert result.message.sender_name == "Bob"


async def test_an_empty_batch_writes_nothing(uow: MemoryUnitOfWork, c: str) -> None:
    """A batch of refusals leaves the record as it was."""
    before = uow.events()
    await say(uow, send(c, "eve"))
    assert uow.events() == before


async def test_participants_come_and_go(uow: MemoryUnitOfWork, c: str) -> None:
    """Each change is in the conversation's stream and noted in the user's; a repeat adds nothing."""
    add = AddParticipants(c, Actor("alice"), ("carol", "dave"), AT)
    await handlers.add_participants(add, uow, None, 200)
    events = uow.events()
    await handlers.add_participants(add, uow, None, 200)
    assert uow.events() == events
    await handlers.remove_participant(RemoveParticipant(c, Actor("carol"), "carol", AT), uow)
    assert types(uow, ConversationStream(c))[1:] == ["participant.joined", "participant.joined", "participant.left"]
    assert types(uow, UserStream("carol"))[1:] == ["user.conversation_joined", "user.conversation_left"]
    with pytest.raises(UnknownUsers):
        await handlers.add_participants(AddParticipants(c, Actor("alice"), ("mallory",), AT), uow, None, 200)
    with pytest.raises(NotFound):
        await handlers.add_participants(AddParticipants(new_id(), SERVICE, ("bob",), AT), uow, None, 200)


async def test_adding_once(uow: MemoryUnitOfWork, c: str) -> None:
    """With a key, a repeat does not let somebody in again who has left meanwhile."""
    once = Once("alice", "key", b"1")
    add = AddParticipants(c, Actor("alice"), ("carol",), AT)
    await handlers.add_participants(add, uow, once, 200)
    await handlers.remove_participant(RemoveParticipant(c, Actor("carol"), "carol", AT), uow)
    await handlers.add_participants(add, uow, once, 200)
    assert types(uow, UserStream("carol"))[-1] == "user.conversation_left"


async def test_a_mention_of_a_stranger_harms_no_other_send(uow: MemoryUnitOfWork, c: str) -> None:
    """Whoever takes part in one conversation of a batch does not by that in another one."""
    other = await handlers.create_conversation(create("alice", "carol"), uow, None, 201)
    results = await say(
        uow,
        send(c, "alice", mentions=["bob"]),
        send(c, "alice", mentions=["carol"]),
        send(other, "alice", mentions=["carol"]),
        send(other, "alice"),
        send(new_id(), "alice", mentions=["bob"]),
    )
    kinds = [type(result) for result in results]
    assert kinds == [Sent, UnknownUsers, Sent, Sent, NotFound]
    assert [result.message.mentions for result in results if isinstance(result, Sent)] == [("bob",), ("carol",), None]


async def test_messages_are_changed(uow: MemoryUnitOfWork, c: str) -> None:
    """An edit and a deletion return the message as it is then; a repeat adds no event."""
    (sent,) = await say(uow, send(c, "bob", "helo"))
    edit = EditMessage(sent.message.id, Actor("bob"), "hello", after(1))
    edited = await handlers.change_message(edit, uow)
    assert (edited.content, edited.seq, edited.edited_at) == ("hello", 2, after(1))
    assert await handlers.change_message(replace(edit, now=after(2)), uow) == edited
    deleted = await handlers.change_message(DeleteMessage(sent.message.id, Actor("bob"), after(3)), uow)
    assert (deleted.content, deleted.deleted_at) == ("", after(3))
    assert types(uow, ConversationStream(c)) == [
        "conversation.created",
        "message.created",
        "message.edited",
        "message.deleted",
    ]
    with pytest.raises(NotFound):
        await handlers.change_message(EditMessage(new_id(), Actor("bob"), "x", AT), uow)


async def test_conversations_are_changed(uow: MemoryUnitOfWork, c: str) -> None:
    """What is left out stays."""
    await handlers.update_conversation(UpdateConversation(c, Actor("alice"), "title", None, AT), uow)
    await handlers.update_conversation(UpdateConversation(c, Actor("alice"), None, {"a": 1}, AT), uow)
    last = uow.events(ConversationStream(c))[-1].data.model_dump()
    assert (last["title"], last["metadata"]) == ("title", {"a": 1})
    with pytest.raises(NotFound):
        await handlers.update_conversation(UpdateConversation(new_id(), SERVICE, "x", None, AT), uow)
    with pytest.raises(Forbidden):
        await handlers.update_conversation(UpdateConversation(c, Actor("bob"), "x", None, AT), uow)


async def test_read_cursors(uow: MemoryUnitOfWork, c: str) -> None:
    """The answer is where the cursor is, whatever was asked."""
    await say(uow, send(c, "alice", "1"), send(c, "alice", "2"))
    assert await handlers.advance_read(AdvanceRead(c, "bob", 3, AT), uow) == 3
    assert await handlers.advance_read(AdvanceRead(c, "bob", 1, AT), uow) == 3
    assert types(uow, UserStream("bob")).count("user.read_advanced") == 1
    with pytest.raises(SeqOutOfRange):
        await handlers.advance_read(AdvanceRead(c, "bob", 4, AT), uow)
    with pytest.raises(NotFound):
        await handlers.advance_read(AdvanceRead(c, "carol", 1, AT), uow)


async def test_registration(uow: MemoryUnitOfWork) -> None:
    """A new user is created once; the same again is not, another is refused; a password is never replaced."""

    async def attempt(name: str, password_hash: str | None) -> bool:
        return await handlers.register_user(
            register("erin", name), uow, actor_id="host", password_hash=password_hash, once=None, status=201
        )

    assert await attempt("Erin", "hash-1")
    assert not await attempt("Erin", "hash-2")
    with pytest.raises(AlreadyExists):
        await attempt("Eve", None)
    assert uow.credentials == {"erin": "hash-1"}
    assert not any("hash" in event.data.model_dump_json() for event in uow.events())


async def test_every_command_takes_the_locks_that_it_needs(uow: MemoryUnitOfWork) -> None:
    """The memory refuses events in streams that were not locked, so a host's whole day must pass without."""
    made = create("alice", "bob", actor=SERVICE)
    assert isinstance(made, CreateConversation)
    c = await handlers.create_conversation(made, uow, Once("host", "1", b""), 201)
    await handlers.add_participants(AddParticipants(c, SERVICE, ("carol",), AT), uow, Once("host", "2", b""), 200)
    (sent,) = await say(uow, send(c, "carol"))
    await handlers.change_message(EditMessage(sent.message.id, SERVICE, "x", AT), uow)
    await handlers.advance_read(AdvanceRead(c, "bob", 1, AT), uow)
    await handlers.update_conversation(UpdateConversation(c, SERVICE, "x", None, AT), uow)
    await handlers.remove_participant(RemoveParticipant(c, SERVICE, "carol", AT), uow)
    assert [event.seq for event in uow.events(ConversationStream(c))] == [1, 2, 3, 4, 5, 6]
