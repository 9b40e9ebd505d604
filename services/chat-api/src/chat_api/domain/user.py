"""A user: registration, memberships and read cursors, in the user's own stream."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chat_api.domain.commands import SYSTEM_ID, AdvanceRead, RegisterUser
from chat_api.domain.errors import AlreadyExists, NotFound, SeqOutOfRange
from contracts.events import (
    ConversationCreated,
    EventData,
    ParticipantJoined,
    ParticipantLeft,
    UserConversationJoined,
    UserConversationLeft,
    UserReadAdvanced,
    UserRegistered,
)


@dataclass(frozen=True, slots=True)
class User:
    """What is known of a user."""

    user_id: str
    name: str | None
    roles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Membership:
    """One user's place in one conversation: how far it goes, and how far it was read."""

    conversation_last_seq: int
    read_seq: int


def register(state: User | None, command: RegisterUser) -> tuple[EventData, ...]:
    """Events of a registration; the same one again changes nothing, another one with the same id is refused."""
    if command.user_id == SYSTEM_ID:
        raise AlreadyExists("The id `system` is taken: it is who says what the system says.")
    if state is not None:
        if (state.name, state.roles) == (command.name, command.roles):
            return ()
        raise AlreadyExists("A user with this id exists already, with another name or other roles.")
    return (UserRegistered(user_id=command.user_id, name=command.name, roles=command.roles, registered_at=command.now),)


def advance_read(state: Membership | None, command: AdvanceRead) -> tuple[EventData, ...]:
    """A read cursor only moves forward; a lower seq is ignored, one beyond the end is refused."""
    if state is None:
        raise NotFound
    if command.seq > state.conversation_last_seq:
        raise SeqOutOfRange
    if command.seq <= state.read_seq:
        return ()
    return (
        UserReadAdvanced(
            user_id=command.user_id, conversation_id=command.conversation_id, seq=command.seq, read_at=command.now
        ),
    )


def memberships_noted(
    events: Sequence[tuple[int, EventData]],
) -> tuple[UserConversationJoined | UserConversationLeft, ...]:
    """What the users' own streams must say about `(seq, event)` of a conversation: who came, who went.

    A device that was away reads its user's stream; the conversation itself cannot tell someone who left it.
    """
    notes: list[UserConversationJoined | UserConversationLeft] = []
    for seq, event in events:
        match event:
            case ConversationCreated():
                notes.extend(
                    UserConversationJoined(
                        user_id=user_id,
                        conversation_id=event.conversation_id,
                        at_seq=seq,
                        joined_at=event.created_at,
                    )
                    for user_id in event.participant_ids
                )
            case ParticipantJoined():
                notes.append(
                    UserConversationJoined(
                        user_id=event.user_id,
                        conversation_id=event.conversation_id,
                        at_seq=seq,
                        joined_at=event.joined_at,
                    )
                )
            case ParticipantLeft():
                notes.append(
                    UserConversationLeft(
                        user_id=event.user_id,
                        conversation_id=event.conversation_id,
                        at_seq=seq,
                        left_at=event.left_at,
                    )
                )
            case _:
                pass
    return tuple(notes)
