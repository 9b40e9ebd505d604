"""A conversation: which commands it accepts, and what its events make of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from chat_api.domain.attachments import fitting
from chat_api.domain.commands import (
    SYSTEM_ID,
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
from chat_api.domain.errors import AlreadyExists, Forbidden, InvalidReference, NotFound, UnknownUsers
from contracts.events import (
    ConsultAssigned,
    ConsultClosed,
    ConsultHandedOver,
    ConsultOpened,
    ConsultTaken,
    ConversationCreated,
    ConversationUpdated,
    EventData,
    MessageCreated,
    MessageDeleted,
    MessageEdited,
    ParticipantJoined,
    ParticipantLeft,
)
from contracts.messages import Message, MessageType, SenderType


@dataclass(frozen=True, slots=True)
class Conversation:
    """What a decision may look at.

    `members`, `message_ids` and `messages` hold what a command asks about, not all: a room of 100,000 members decides
    as fast as a room of two. A fold of all events with `evolve` holds everything, and must decide the same.
    """

    conversation_id: str
    owner_id: str
    last_seq: int
    title: str | None = None
    metadata: dict[str, Any] | None = None
    notes_of: str | None = None
    """The consult whose internal notes this conversation holds: who takes part follows from the consult alone."""
    members: frozenset[str] = frozenset()
    message_ids: frozenset[str] = frozenset()
    messages: dict[str, Message] = field(default_factory=dict)


def decide(state: Conversation | None, command: ConversationCommand) -> tuple[EventData, ...]:
    """The events that `command` causes, in order; none if it changes nothing; raises `Refused`."""
    if isinstance(command, CreateConversation):
        return _create(state, command)
    if state is None:
        raise NotFound
    match command:
        case SendMessage():
            return _send(state, command)
        case EditMessage() | DeleteMessage():
            return _change_message(state, command)
        case UpdateConversation():
            return _update(state, command)
        case AddParticipants():
            return _add(state, command)
        case RemoveParticipant():
            return _remove(state, command)


def _create(state: Conversation | None, command: CreateConversation) -> tuple[EventData, ...]:
    if state is not None:
        raise AlreadyExists
    if command.owner_id != command.actor.user_id and not command.actor.privileged:
        raise Forbidden("Only a service or an admin may open a conversation for somebody else.")
    # The owner is a recipient like every participant: it was once forgotten, and got nothing.
    participants = tuple(dict.fromkeys((command.owner_id, *command.participant_ids)))
    return (
        ConversationCreated(
            conversation_id=command.conversation_id,
            title=command.title,
            owner_id=command.owner_id,
            participant_ids=participants,
            metadata=command.metadata,
            created_at=command.now,
        ),
    )


def _send(state: Conversation, command: SendMessage) -> tuple[EventData, ...]:
    # The system itself takes part in no conversation; who may speak as it, the door has checked.
    is_system = (command.sender_id, command.sender_type) == (SYSTEM_ID, SenderType.SYSTEM)
    if not is_system and not (command.as_outsider and state.notes_of is not None):
        _require_member(state, command.sender_id)
    draft = command.draft
    if draft.reply_to is not None and draft.reply_to not in state.message_ids:
        raise InvalidReference
    strangers = [user_id for user_id in draft.mentions or () if user_id not in state.members]
    if strangers:
        # Whether they exist is not told: they may be anybody's.
        raise UnknownUsers(f"Mentioned, but not in this conversation: {', '.join(strangers[:10])}.")
    attachment = None
    if draft.attachment_id is not None:
        attachment = fitting(
            command.upload, draft.message_type, command.sender_id, privileged=command.privileged or is_system
        )
    return (
        MessageCreated(
            id=command.message_id,
            conversation_id=state.conversation_id,
            seq=state.last_seq + 1,
            sender_id=command.sender_id,
            sender_type=command.sender_type,
            sender_name=command.sender_name,
            message_type=MessageType(draft.message_type.value),
            content=draft.content,
            attachment_id=draft.attachment_id,
            attachment=attachment,
            reply_to=draft.reply_to,
            is_important=draft.is_important,
            mentions=draft.mentions or None,
            extra_metadata=draft.extra_metadata,
            client_msg_id=draft.client_msg_id,
            created_at=command.now,
            exclude_user_ids=command.exclude_user_ids,
        ),
    )


def _change_message(state: Conversation, command: EditMessage | DeleteMessage) -> tuple[EventData, ...]:
    message = state.messages.get(command.message_id)
    if message is None:
        raise NotFound
    if not command.actor.privileged:
        _require_member(state, command.actor.user_id)
        if message.sender_type is SenderType.SYSTEM:
            raise Forbidden("Only a service or an admin may change what the system said.")
        if message.sender_id != command.actor.user_id:
            raise Forbidden("Only the sender may change a message.")
    if isinstance(command, DeleteMessage):
        if message.deleted_at is not None:
            return ()
        gone = dict.fromkeys(("attachment_id", "attachment", "extra_metadata", "mentions", "notice"))
        tombstone = message.model_dump() | gone | {"content": "", "deleted_at": command.now}
        return (MessageDeleted.model_validate(tombstone),)
    if message.deleted_at is not None:
        raise NotFound("The message was deleted.")
    if message.content == command.content:
        return ()
    return (
        MessageEdited.model_validate(message.model_dump() | {"content": command.content, "edited_at": command.now}),
    )


def _update(state: Conversation, command: UpdateConversation) -> tuple[EventData, ...]:
    _require_manager(state, command.actor)
    title = state.title if command.title is None else command.title
    metadata = state.metadata if command.metadata is None else command.metadata
    if (title, metadata) == (state.title, state.metadata):
        return ()
    return (
        ConversationUpdated(
            conversation_id=state.conversation_id,
            title=title,
            metadata=metadata,
            updated_by=command.actor.user_id,
            updated_at=command.now,
        ),
    )


def _add(state: Conversation, command: AddParticipants) -> tuple[EventData, ...]:
    _require_manager(state, command.actor)
    return tuple(
        ParticipantJoined(
            conversation_id=state.conversation_id,
            user_id=user_id,
            added_by=command.actor.user_id,
            joined_at=command.now,
        )
        for user_id in dict.fromkeys(command.user_ids)
        if user_id not in state.members
    )


def _remove(state: Conversation, command: RemoveParticipant) -> tuple[EventData, ...]:
    if command.actor.user_id == command.user_id and state.notes_of is None:
        _require_member(state, command.user_id)
    else:
        _require_manager(state, command.actor)
    if command.user_id not in state.members:
        raise NotFound("The user is no participant.")
    if command.user_id == state.owner_id:
        raise Forbidden("The owner cannot leave the conversation.")
    return (
        ParticipantLeft(
            conversation_id=state.conversation_id,
            user_id=command.user_id,
            removed_by=command.actor.user_id,
            left_at=command.now,
        ),
    )


def _require_member(state: Conversation, user_id: str) -> None:
    # Notes are owned by nobody, whatever somebody may be called.
    if user_id not in state.members and (state.notes_of is not None or user_id != state.owner_id):
        # Not "forbidden": whoever is no part of a conversation must not learn that it exists.
        raise NotFound


def _require_manager(state: Conversation, actor: Actor) -> None:
    if state.notes_of is not None:
        # Not even a service: a customer let in here would read what was said about him.
        if not actor.privileged:
            _require_member(state, actor.user_id)
        raise Forbidden("Internal notes follow their consult: who takes part in them cannot be changed by hand.")
    if actor.privileged:
        return
    _require_member(state, actor.user_id)
    if actor.user_id != state.owner_id and not actor.staff:
        raise Forbidden("Only the owner, a consultant or a doctor of this conversation may do that.")


def evolve(state: Conversation | None, event: EventData) -> Conversation:
    """The conversation after `event`; every event advances `last_seq` by one."""
    if isinstance(event, ConversationCreated):
        return Conversation(
            conversation_id=event.conversation_id,
            owner_id=event.owner_id,
            last_seq=1,
            title=event.title,
            metadata=event.metadata,
            notes_of=event.notes_of,
            members=frozenset(event.participant_ids),
        )
    if state is None:
        raise ValueError(f"a conversation cannot begin with {event.type}")
    state = replace(state, last_seq=state.last_seq + 1)
    match event:
        case MessageCreated() | MessageEdited() | MessageDeleted():
            message = as_message(event)
            return replace(
                state,
                message_ids=state.message_ids | {message.id},
                messages={**state.messages, message.id: message},
            )
        case ConversationUpdated():
            return replace(state, title=event.title, metadata=event.metadata)
        case ParticipantJoined():
            return replace(state, members=state.members | {event.user_id})
        case ParticipantLeft():
            return replace(state, members=state.members - {event.user_id})
        case ConsultOpened() | ConsultTaken() | ConsultAssigned() | ConsultHandedOver() | ConsultClosed():
            return state
        case _:
            raise ValueError(f"{event.type} is no event of a conversation")


_MESSAGE_FIELDS = tuple(Message.model_fields)


def as_message(event: MessageCreated | MessageEdited | MessageDeleted) -> Message:
    """The message that an event speaks of, as everybody reads it. The event was validated, so this need not be."""
    return Message.model_construct(**{name: getattr(event, name) for name in _MESSAGE_FIELDS})
