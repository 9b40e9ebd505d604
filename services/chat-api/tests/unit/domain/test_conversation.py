"""Which commands a conversation accepts, and what its events make of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chat_api.domain.commands import (
    Actor,
    AddParticipants,
    ConversationCommand,
    CreateConversation,
    DeleteMessage,
    EditMessage,
    RemoveParticipant,
    SendMessage,
    UpdateConversation,
)
from chat_api.domain.conversation import Conversation, decide, evolve
from chat_api.domain.errors import AlreadyExists, Forbidden, InvalidReference, NotFound, Refused
from chat_api.testing import AT, SERVICE, after, create, send, upload
from contracts.events import (
    ConversationCreated,
    ConversationUpdated,
    EventData,
    MessageCreated,
    MessageDeleted,
    MessageEdited,
    ParticipantJoined,
    ParticipantLeft,
    UserRegistered,
)
from contracts.ids import new_id
from contracts.messages import SenderType

C = new_id()
ALICE, BOB, CAROL, EVE = Actor("alice"), Actor("bob"), Actor("carol"), Actor("eve")
DOCTOR = Actor("bob", staff=True)
M1 = new_id()


def fold(*commands: ConversationCommand) -> Conversation | None:
    """The state after these commands, each of which must be accepted."""
    state: Conversation | None = None
    for command in commands:
        for event in decide(state, command):
            state = evolve(state, event)
    return state


def opened(*more: ConversationCommand) -> Conversation:
    """A conversation of alice's, with bob and carol."""
    state = fold(create("alice", "bob", "carol", conversation_id=C), *more)
    assert state is not None
    return state


def sent(sender: str = "bob", **changes: Any) -> SendMessage:
    """A message M1."""
    return send(C, sender, message_id=M1, **changes)


def test_owner_is_a_participant_first_and_once() -> None:
    """The owner takes part whether named or not; nobody twice."""
    (event,) = decide(None, create("alice", "bob", "alice", "bob"))
    assert isinstance(event, ConversationCreated)
    assert event.participant_ids == ("alice", "bob")


def test_services_open_conversations_for_others() -> None:
    """A host application may name the owner, a user may not."""
    (event,) = decide(None, create("alice", actor=SERVICE))
    assert isinstance(event, ConversationCreated)
    assert event.participant_ids == ("alice",)
    with pytest.raises(Forbidden):
        decide(None, create("alice", actor=EVE))


def test_a_conversation_is_opened_once() -> None:
    """The same id again is refused."""
    with pytest.raises(AlreadyExists):
        decide(opened(), create("alice", conversation_id=C))


def test_a_message_has_the_next_seq_and_everything_of_its_draft() -> None:
    """The event is the message as everybody will read it."""
    state = opened(sent())
    picture = upload("alice", "image/png")
    reply = send(
        C,
        "alice",
        "你好",
        sender_name="Alice",
        message_type="image",
        attachment_id=picture.attachment.id,
        upload=picture,
        reply_to=M1,
        is_important=True,
        extra_metadata={"a": 1},
        exclude_user_ids=("carol",),
    )
    (event,) = decide(state, reply)
    assert isinstance(event, MessageCreated)
    assert event.seq == state.last_seq + 1 == 3
    assert event.sender_type is SenderType.CHAT
    assert event.model_dump(mode="json") == reply.draft.model_dump(mode="json") | {
        "id": reply.message_id,
        "conversation_id": C,
        "seq": 3,
        "sender_id": "alice",
        "sender_type": "chat",
        "sender_name": "Alice",
        "created_at": "2026-01-31T08:15:30.123Z",
        "edited_at": None,
        "deleted_at": None,
        "exclude_user_ids": ["carol"],
        "attachment": picture.attachment.model_dump(mode="json"),
        "notice": None,
    }


REFUSED: list[tuple[str, tuple[ConversationCommand, ...], ConversationCommand, type[Refused]]] = [
    ("a stranger sends", (), send(C, "eve"), NotFound),
    ("who left sends", (RemoveParticipant(C, BOB, "bob", AT),), send(C, "bob"), NotFound),
    ("a reply to nothing", (), send(C, "bob", reply_to=new_id()), InvalidReference),
    ("a stranger edits", (sent(),), EditMessage(M1, EVE, "x", AT), NotFound),
    ("another one edits", (sent(),), EditMessage(M1, ALICE, "x", AT), Forbidden),
    ("staff edits", (sent("carol"),), EditMessage(M1, DOCTOR, "x", AT), Forbidden),
    ("who left edits", (sent(), RemoveParticipant(C, BOB, "bob", AT)), EditMessage(M1, BOB, "x", AT), NotFound),
    ("a deleted message is edited", (sent(), DeleteMessage(M1, BOB, AT)), EditMessage(M1, BOB, "x", AT), NotFound),
    ("nothing is edited", (), EditMessage(M1, BOB, "x", AT), NotFound),
    ("nothing is deleted", (), DeleteMessage(M1, BOB, AT), NotFound),
    ("another one deletes", (sent(),), DeleteMessage(M1, CAROL, AT), Forbidden),
    ("a stranger changes the title", (), UpdateConversation(C, EVE, "x", None, AT), NotFound),
    ("a customer changes the title", (), UpdateConversation(C, BOB, "x", None, AT), Forbidden),
    ("staff from outside", (), UpdateConversation(C, Actor("eve", staff=True), "x", None, AT), NotFound),
    ("a customer lets somebody in", (), AddParticipants(C, BOB, ("dave",), AT), Forbidden),
    ("a stranger lets himself in", (), AddParticipants(C, EVE, ("eve",), AT), NotFound),
    ("a customer takes another out", (), RemoveParticipant(C, BOB, "carol", AT), Forbidden),
    ("a stranger leaves", (), RemoveParticipant(C, EVE, "eve", AT), NotFound),
    ("nobody is taken out", (), RemoveParticipant(C, ALICE, "eve", AT), NotFound),
    ("the owner leaves", (), RemoveParticipant(C, ALICE, "alice", AT), Forbidden),
    ("a service takes the owner out", (), RemoveParticipant(C, SERVICE, "alice", AT), Forbidden),
    ("a service speaks for a stranger", (), send(C, "host-application"), NotFound),
]


@pytest.mark.parametrize(("name", "before", "command", "error"), REFUSED, ids=[row[0] for row in REFUSED])
def test_refusals(
    name: str, before: tuple[ConversationCommand, ...], command: ConversationCommand, error: type[Refused]
) -> None:
    """Each rule says no, with the error that tells no more than the asker may know."""
    with pytest.raises(Refused) as caught:
        decide(opened(*before), command)
    assert type(caught.value) is error
    assert caught.value.message


CHANGES_NOTHING: list[tuple[str, tuple[ConversationCommand, ...], ConversationCommand]] = [
    ("the same text", (sent(content="same"),), EditMessage(M1, BOB, "same", AT)),
    ("deleted twice", (sent(), DeleteMessage(M1, BOB, AT)), DeleteMessage(M1, BOB, after(1))),
    ("in already", (), AddParticipants(C, ALICE, ("bob", "alice"), AT)),
    ("the same title", (UpdateConversation(C, ALICE, "t", {"a": 1}, AT),), UpdateConversation(C, ALICE, "t", None, AT)),
]


@pytest.mark.parametrize(("name", "before", "command"), CHANGES_NOTHING, ids=[row[0] for row in CHANGES_NOTHING])
def test_repeats_change_nothing(
    name: str, before: tuple[ConversationCommand, ...], command: ConversationCommand
) -> None:
    """What is as it should be already causes no event."""
    assert decide(opened(*before), command) == ()


ACCEPTED: list[tuple[str, tuple[ConversationCommand, ...], ConversationCommand, tuple[type[EventData], ...]]] = [
    ("own message edited", (sent(),), EditMessage(M1, BOB, "new", AT), (MessageEdited,)),
    ("a service edits", (sent(),), EditMessage(M1, SERVICE, "new", AT), (MessageEdited,)),
    ("own message deleted", (sent(),), DeleteMessage(M1, BOB, AT), (MessageDeleted,)),
    ("the owner changes", (), UpdateConversation(C, ALICE, "t", None, AT), (ConversationUpdated,)),
    ("staff inside changes", (), UpdateConversation(C, DOCTOR, "t", None, AT), (ConversationUpdated,)),
    ("a service changes", (), UpdateConversation(C, SERVICE, None, {"a": 1}, AT), (ConversationUpdated,)),
    ("two come in", (), AddParticipants(C, ALICE, ("d", "e", "d", "bob"), AT), (ParticipantJoined,) * 2),
    ("one leaves", (), RemoveParticipant(C, BOB, "bob", AT), (ParticipantLeft,)),
    ("one is taken out", (), RemoveParticipant(C, ALICE, "bob", AT), (ParticipantLeft,)),
    (
        "comes back",
        (RemoveParticipant(C, BOB, "bob", AT),),
        AddParticipants(C, ALICE, ("bob",), AT),
        (ParticipantJoined,),
    ),
    ("reply to a deleted one", (sent(), DeleteMessage(M1, BOB, AT)), send(C, "bob", reply_to=M1), (MessageCreated,)),
]


@pytest.mark.parametrize(("name", "before", "command", "events"), ACCEPTED, ids=[row[0] for row in ACCEPTED])
def test_acceptances(
    name: str,
    before: tuple[ConversationCommand, ...],
    command: ConversationCommand,
    events: tuple[type[EventData], ...],
) -> None:
    """Each rule says yes to whom it should."""
    assert tuple(type(event) for event in decide(opened(*before), command)) == events


COMMANDS: list[ConversationCommand] = [
    send(C, "bob"),
    EditMessage(M1, BOB, "x", AT),
    DeleteMessage(M1, BOB, AT),
    UpdateConversation(C, SERVICE, "x", None, AT),
    AddParticipants(C, SERVICE, ("x",), AT),
    RemoveParticipant(C, SERVICE, "bob", AT),
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: type(command).__name__)
def test_nothing_happens_in_no_conversation(command: ConversationCommand) -> None:
    """Even a service cannot act where nothing is."""
    with pytest.raises(NotFound):
        decide(None, command)


def test_a_tombstone_tells_nothing() -> None:
    """What was taken back is gone: text, attachment and metadata; the rest stays for order."""
    file = upload("bob", name="secret.png")
    carrying: dict[str, Any] = {"message_type": "image", "attachment_id": file.attachment.id, "upload": file}
    before = opened(sent(content="secret", extra_metadata={"secret": 1}, **carrying))
    (event,) = decide(before, DeleteMessage(M1, BOB, after(5)))
    assert isinstance(event, MessageDeleted)
    assert (event.content, event.attachment_id, event.attachment, event.extra_metadata) == ("", None, None, None)
    assert event.deleted_at == after(5)
    assert event.seq == 2
    assert "secret" not in event.model_dump_json()


def test_an_edit_keeps_everything_else() -> None:
    """Only the text and the time of the edit change."""
    before = opened(sent(content="old", is_important=True))
    (event,) = decide(before, EditMessage(M1, BOB, "new", after(5)))
    assert isinstance(event, MessageEdited)
    after_edit = evolve(before, event)
    assert after_edit.messages[M1] == before.messages[M1].model_copy(update={"content": "new", "edited_at": after(5)})
    assert after_edit.last_seq == before.last_seq + 1


def test_evolve_refuses_what_cannot_be() -> None:
    """A conversation begins with its creation, and has no events of users."""
    (created,) = decide(None, create("alice"))
    (joined,) = decide(opened(), AddParticipants(C, ALICE, ("dave",), AT))
    with pytest.raises(ValueError, match="cannot begin"):
        evolve(None, joined)
    with pytest.raises(ValueError, match="no event of a conversation"):
        evolve(evolve(None, created), UserRegistered(user_id="x", roles=(), registered_at=AT))


# --- any sequence of commands -----------------------------------------------------------------------------------------

USERS = ["alice", "bob", "carol", "dave", "host-application"]
MESSAGES = [new_id() for _ in range(6)]

actors = st.builds(Actor, st.sampled_from(USERS), privileged=st.booleans(), staff=st.booleans())
user = st.sampled_from(USERS)
message = st.sampled_from(MESSAGES)
text = st.sampled_from(["a", "b", "你好"])


def _commands() -> st.SearchStrategy[ConversationCommand]:
    def sending(sender: str, content: str, reply_to: str | None) -> SendMessage:
        return send(C, sender, content, reply_to=reply_to)

    return st.one_of(
        st.builds(sending, user, text, st.none() | message),
        st.builds(EditMessage, message, actors, text, st.just(AT)),
        st.builds(DeleteMessage, message, actors, st.just(AT)),
        st.builds(UpdateConversation, st.just(C), actors, st.none() | text, st.none() | st.just({"a": 1}), st.just(AT)),
        st.builds(AddParticipants, st.just(C), actors, st.lists(user, min_size=1, max_size=3).map(tuple), st.just(AT)),
        st.builds(RemoveParticipant, st.just(C), actors, user, st.just(AT)),
        st.builds(lambda owner: create(owner, conversation_id=C), user),
    )


def narrowed(state: Conversation | None, command: ConversationCommand) -> Conversation | None:
    """What the store would load for `command`: only the users and messages that it asks about."""
    if state is None or isinstance(command, CreateConversation):
        return state
    users: set[str]
    messages: set[str | None] = set()
    match command:
        case SendMessage():
            users, messages = {command.sender_id}, {command.draft.reply_to}
        case EditMessage() | DeleteMessage():
            users, messages = {command.actor.user_id}, {command.message_id}
        case UpdateConversation():
            users = {command.actor.user_id}
        case AddParticipants():
            users = {command.actor.user_id, *command.user_ids}
        case RemoveParticipant():
            users = {command.actor.user_id, command.user_id}
    return replace(
        state,
        members=state.members & users,
        message_ids=state.message_ids & messages,
        messages={key: value for key, value in state.messages.items() if key in messages},
    )


def outcome(decision: Callable[[], tuple[EventData, ...]]) -> tuple[EventData, ...] | type[Refused]:
    """The events, or the kind of refusal."""
    try:
        return decision()
    except Refused as refused:
        return type(refused)


@settings(max_examples=200)
@given(st.lists(_commands(), max_size=30))
def test_any_sequence_of_commands(commands: list[ConversationCommand]) -> None:
    """Order is gapless, every decided event is understood, and a narrow view decides as the whole one does."""
    state = opened()
    events = 1
    unsent = list(MESSAGES)
    for command in commands:
        if isinstance(command, SendMessage) and unsent:
            command = replace(command, message_id=unsent.pop())
        decided = outcome(lambda command=command, state=state: decide(state, command))  # type: ignore[misc]
        narrow = narrowed(state, command)
        assert outcome(lambda command=command, narrow=narrow: decide(narrow, command)) == decided  # type: ignore[misc]
        if isinstance(decided, type):
            continue
        for event in decided:
            if isinstance(event, MessageCreated):
                # Whoever speaks takes part at that very moment.
                assert event.sender_id in state.members
                assert event.seq == state.last_seq + 1
            before = state.last_seq
            state = evolve(state, event)
            events += 1
            assert state.last_seq == before + 1 == events
            assert state.owner_id in state.members
        if not isinstance(command, SendMessage):
            # The same change again changes nothing, or is refused by now; it never happens twice.
            again = outcome(lambda command=command, state=state: decide(state, command))  # type: ignore[misc]
            assert again == () or again is NotFound
    assert set(state.messages) == state.message_ids
