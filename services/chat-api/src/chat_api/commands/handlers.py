"""One function per command; the table at the end lists everything that this service can do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from chat_api.commands.ports import AttachmentLink, Once, Recordable, StoredResponse, Transaction, UnitOfWork
from chat_api.domain import conversation, user
from chat_api.domain.attachments import Upload
from chat_api.domain.commands import (
    AddParticipants,
    AdvanceRead,
    CreateConversation,
    DeleteMessage,
    EditMessage,
    RegisterUser,
    RemoveParticipant,
    SendMessage,
    UpdateConversation,
)
from chat_api.domain.consult import Active
from chat_api.domain.conversation import Conversation
from chat_api.domain.errors import Conflict, IdempotencyConflict, LimitReached, NotFound, Refused, UnknownUsers
from contracts.events import EventData
from contracts.messages import Message
from contracts.stream_ids import ConversationStream, StreamId, UserStream


@dataclass(frozen=True, slots=True)
class Sent:
    """A message is in the record. `duplicate` says that it was there before."""

    message: Message
    duplicate: bool = False


SendResult: TypeAlias = Sent | Refused


async def send_messages(commands: Sequence[SendMessage], uow: UnitOfWork) -> list[SendResult]:
    """Carry out a batch in one transaction: one result per command, in order. A refusal of one harms no other."""
    streams: set[StreamId] = {ConversationStream(command.conversation_id) for command in commands}
    async with uow.begin(streams) as transaction:
        contexts = await transaction.send_contexts(commands)
        earlier = await _earlier(transaction, [context.sent_id for context in contexts if context.sent_id])
        # A conversation's last seq is its stream's head: both were read under the lock, one query is enough.
        heads: dict[StreamId, int] = {
            ConversationStream(context.conversation.conversation_id): context.conversation.last_seq
            for context in contexts
            if context.conversation is not None
        }
        uploads = await _uploads(transaction, commands)
        mentioned = await _mentioned(transaction, commands)
        links: list[AttachmentLink] = []
        states: dict[str, Conversation] = {}
        first: dict[tuple[str, str], tuple[Message, bytes]] = {}
        results: list[SendResult] = []
        events: list[Recordable] = []
        for command, context in zip(commands, contexts, strict=True):
            known = earlier.get(context.sent_id) if context.sent_id else first.get(command.key)
            if known is not None:
                message, fingerprint = known
                results.append(Sent(message, True) if fingerprint == command.fingerprint else IdempotencyConflict())
                continue
            state = context.conversation
            if state is not None and command.conversation_id in states:
                # An earlier message of this batch has moved the conversation on.
                state = replace(state, last_seq=states[command.conversation_id].last_seq)
            if state is not None and command.draft.mentions:
                state = replace(state, members=state.members | mentioned.get(command.conversation_id, frozenset()))
            named = replace(command, sender_name=command.shown_name or context.sender_name or command.sender_name)
            attachment_id = command.draft.attachment_id
            if attachment_id is not None:
                named = replace(named, upload=uploads.get(attachment_id))
            try:
                decided = conversation.decide(state, named)
            except Refused as refused:
                results.append(refused)
                continue
            if attachment_id is not None:
                uploads[attachment_id] = replace(uploads[attachment_id], used=True)
                links.append(AttachmentLink(attachment_id, command.conversation_id, command.message_id))
            for event in decided:
                state = conversation.evolve(state, event)
                beside = {"actor": command.sender_id, "fingerprint": command.fingerprint.hex()}
                if command.traceparent is not None:
                    beside["traceparent"] = command.traceparent
                events.append(Recordable(ConversationStream(command.conversation_id), event, beside))
            assert state is not None
            states[command.conversation_id] = state
            message = state.messages[command.message_id]
            first[command.key] = (message, command.fingerprint)
            results.append(Sent(message))
        if events:
            await transaction.append(events, commands[0].now, heads)
        if links:
            await transaction.link_attachments(links)
    return results


async def _uploads(transaction: Transaction, commands: Sequence[SendMessage]) -> dict[str, Upload]:
    """The files that some of the messages want to carry; most batches carry none, and ask nothing."""
    ids = [command.draft.attachment_id for command in commands if command.draft.attachment_id is not None]
    return await transaction.uploads(ids) if ids else {}


async def _mentioned(transaction: Transaction, commands: Sequence[SendMessage]) -> dict[str, frozenset[str]]:
    """Whoever is mentioned and takes part, by conversation; most batches mention nobody, and ask nothing."""
    pairs = {(command.conversation_id, user_id) for command in commands for user_id in command.draft.mentions or ()}
    return await transaction.members_among(pairs) if pairs else {}


async def _earlier(transaction: Transaction, ids: Sequence[str]) -> dict[str, tuple[Message, bytes]]:
    found = await transaction.messages(ids) if ids else {}
    return {key: (message, fingerprint or b"") for key, (message, fingerprint) in found.items()}


@dataclass(frozen=True, slots=True)
class Room:
    """How large things may become; beyond it a command is refused with `LimitReached`."""

    conversations_per_user_max: int = 2**31
    participants_max: int = 2**31


UNLIMITED = Room()


async def create_conversation(
    command: CreateConversation, uow: UnitOfWork, once: Once | None, status: int, room: Room = UNLIMITED
) -> str:
    """Open a conversation; returns its id (the first one's, if `once` was used before)."""
    members = tuple(dict.fromkeys((command.owner_id, *command.participant_ids)))
    stream = ConversationStream(command.conversation_id)
    async with uow.begin({stream, *map(UserStream, members)}, once=once) as transaction:
        if transaction.replay is not None:
            return transaction.replay.body
        await _require_users(transaction, members)
        await _require_room_for_conversation(transaction, command.owner_id, len(members), room)
        await _record(transaction, stream, conversation.decide(None, command), 0, command)
        await transaction.remember(StoredResponse(status, command.conversation_id))
    return command.conversation_id


async def update_conversation(command: UpdateConversation, uow: UnitOfWork) -> None:
    """Change title or metadata."""
    stream = ConversationStream(command.conversation_id)
    async with uow.begin({stream}) as transaction:
        state = await transaction.conversation(command.conversation_id, [command.actor.user_id])
        events = conversation.decide(state, command)
        await _record(transaction, stream, events, state.last_seq if state else 0, command)


async def add_participants(
    command: AddParticipants, uow: UnitOfWork, once: Once | None, status: int, room: Room = UNLIMITED
) -> None:
    """Let users into a conversation."""
    stream = ConversationStream(command.conversation_id)
    async with uow.begin({stream, *map(UserStream, command.user_ids)}, once=once) as transaction:
        if transaction.replay is not None:
            return
        asked = [command.actor.user_id, *command.user_ids]
        state = await transaction.conversation(command.conversation_id, asked)
        events = conversation.decide(state, command)
        await _require_users(transaction, command.user_ids)
        await _require_room_for_people(transaction, command.conversation_id, len(events), room)
        await _record(transaction, stream, events, state.last_seq if state else 0, command)
        await transaction.remember(StoredResponse(status, command.conversation_id))


async def remove_participant(command: RemoveParticipant, uow: UnitOfWork) -> None:
    """Take a user out of a conversation."""
    stream = ConversationStream(command.conversation_id)
    async with uow.begin({stream, UserStream(command.user_id)}) as transaction:
        state = await transaction.conversation(command.conversation_id, [command.actor.user_id, command.user_id])
        events = conversation.decide(state, command)
        known = await transaction.consult(command.conversation_id)
        if known is not None and isinstance(known.state, Active) and known.state.assignee_id == command.user_id:
            raise Conflict("Who has a consult hands it over: nobody would answer the customer.")
        await _record(transaction, stream, events, state.last_seq if state else 0, command)


async def change_message(command: EditMessage | DeleteMessage, uow: UnitOfWork) -> Message:
    """Edit or delete a message; returns it as it is then."""
    conversation_id = await uow.conversation_of_message(command.message_id)
    if conversation_id is None:
        raise NotFound
    stream = ConversationStream(conversation_id)
    async with uow.begin({stream}) as transaction:
        state = await transaction.conversation(conversation_id, [command.actor.user_id], [command.message_id])
        events = conversation.decide(state, command)
        assert state is not None, "a message's conversation exists"
        await _record(transaction, stream, events, state.last_seq, command)
        if events and isinstance(command, DeleteMessage) and state.messages[command.message_id].attachment_id:
            await transaction.forget_attachment_of(command.message_id, command.now)
        for event in events:
            state = conversation.evolve(state, event)
    return state.messages[command.message_id]


async def advance_read(command: AdvanceRead, uow: UnitOfWork) -> int:
    """Move the user's read cursor; returns where it is then."""
    stream = UserStream(command.user_id)
    async with uow.begin({stream}) as transaction:
        state = await transaction.membership(command.conversation_id, command.user_id)
        events = user.advance_read(state, command)
        await transaction.append(
            [Recordable(stream, event, {"actor": command.user_id}) for event in events], command.now
        )
    assert state is not None, "a decision without a membership is a refusal"
    return max(command.seq, state.read_seq)


async def register_user(
    command: RegisterUser, uow: UnitOfWork, *, actor_id: str, password_hash: str | None, once: Once | None, status: int
) -> bool:
    """Make a user known; False if this very user was known before."""
    stream = UserStream(command.user_id)
    async with uow.begin({stream}, once=once) as transaction:
        if transaction.replay is not None:
            return True
        events = user.register(await transaction.user(command.user_id), command)
        await transaction.append([Recordable(stream, event, {"actor": actor_id}) for event in events], command.now)
        if events and password_hash is not None:
            await transaction.set_credentials(command.user_id, password_hash)
        await transaction.remember(StoredResponse(status, command.user_id))
    return bool(events)


async def _require_room_for_conversation(transaction: Transaction, owner_id: str, members: int, room: Room) -> None:
    most = room.conversations_per_user_max
    if room is not UNLIMITED and await transaction.conversations_of(owner_id, most) >= most:
        raise LimitReached(f"The owner takes part in {most} conversations already.")
    if members > room.participants_max:
        raise LimitReached(f"A conversation has room for {room.participants_max} people.")


async def _require_room_for_people(transaction: Transaction, conversation_id: str, coming: int, room: Room) -> None:
    if not coming or room is UNLIMITED:
        return
    if await transaction.participants_of(conversation_id, room.participants_max) + coming > room.participants_max:
        raise LimitReached(f"A conversation has room for {room.participants_max} people.")


async def _require_users(transaction: Transaction, user_ids: Sequence[str]) -> None:
    unknown = await transaction.unknown_users(user_ids)
    if unknown:
        named = ", ".join(unknown[:10]) + (f" and {len(unknown) - 10} more" if len(unknown) > 10 else "")
        raise UnknownUsers(f"Unknown users: {named}. Register them first with POST /v1/users.")


async def _record(
    transaction: Transaction,
    stream: ConversationStream,
    events: Sequence[EventData],
    last_seq: int,
    command: CreateConversation
    | UpdateConversation
    | AddParticipants
    | RemoveParticipant
    | EditMessage
    | DeleteMessage,
) -> None:
    """Append a conversation's events, and to each user's own stream the note of a membership that they change."""
    metadata = {"actor": command.actor.user_id}
    numbered = [(last_seq + offset, event) for offset, event in enumerate(events, start=1)]
    notes = user.memberships_noted(numbered)
    await transaction.append(
        [Recordable(stream, event, metadata) for event in events]
        + [Recordable(UserStream(note.user_id), note, metadata) for note in notes],
        command.now,
    )


HANDLERS = {
    SendMessage: send_messages,
    EditMessage: change_message,
    DeleteMessage: change_message,
    CreateConversation: create_conversation,
    UpdateConversation: update_conversation,
    AddParticipants: add_participants,
    RemoveParticipant: remove_participant,
    AdvanceRead: advance_read,
    RegisterUser: register_user,
}
"""Everything that this service can do."""
