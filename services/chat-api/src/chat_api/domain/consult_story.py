"""What a step of a consult looks like in its streams: the event, who comes and goes, and the system's words.

The conversation tells everybody in it. The notes are a conversation of their own, of staff alone: the customer is no
participant, so nothing of it can reach him by any way, and his own conversation's order has no holes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chat_api.domain import conversation
from chat_api.domain.consult import ConsultEvent, Moves
from chat_api.domain.conversation import Conversation
from contracts.events import (
    ConsultAssigned,
    ConsultClosed,
    ConsultHandedOver,
    ConsultOpened,
    ConsultTaken,
    ConversationCreated,
    EventData,
    MessageCreated,
    ParticipantJoined,
    ParticipantLeft,
)
from contracts.messages import MessageType, Notice, SenderType

SYSTEM = "system"
"""Who says what the system says, and who owns the notes: nobody that can be reached."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step: by whom, when, and what people are called."""

    event: ConsultEvent
    by: str
    names: Mapping[str, str]
    now: datetime
    first: bool = False
    """Whether the consult begins with it."""


def in_conversation(state: Conversation | None, step: Step, changed: Moves, message_id: str) -> tuple[EventData, ...]:
    """The step as the conversation's events: who comes sees it, who goes sees it as the last."""
    id_ = step.event.conversation_id
    events: list[EventData] = []
    members = state.members if state is not None else frozenset()
    if changed.comes is not None and changed.comes not in members:
        events.append(_joined(id_, changed.comes, step))
    events.append(step.event)
    seq = (state.last_seq if state is not None else 1) + len(events) + 1
    events.append(_announcement(step, message_id, seq))
    if changed.goes is not None and changed.goes in members and changed.goes != (state and state.owner_id):
        events.append(_left(id_, changed.goes, step))
    return tuple(events)


def in_notes(
    state: Conversation | None, notes_id: str, step: Step, changed: Moves, message_id: str, reason: str | None
) -> tuple[EventData, ...]:
    """The step as events of the notes, which begin with the first one who takes the consult."""
    events: list[EventData] = []
    if changed.comes is not None:
        if state is None:
            events.append(_notes_begun(notes_id, changed.comes, step))
        elif changed.comes not in state.members:
            events.append(_joined(notes_id, changed.comes, step))
    if state is None:
        return tuple(events)
    if reason is not None:
        events.append(_reason(notes_id, reason, step, message_id, state.last_seq + len(events) + 1))
    if changed.goes is not None and changed.goes in state.members:
        events.append(_left(notes_id, changed.goes, step))
    return tuple(events)


def evolved(state: Conversation | None, events: tuple[EventData, ...]) -> Conversation | None:
    """The conversation after these."""
    for event in events:
        state = conversation.evolve(state, event)
    return state


def _notes_begun(notes_id: str, user_id: str, step: Step) -> ConversationCreated:
    # Owned by nobody: an owner could not leave, and a customer's consultant must be able to.
    return ConversationCreated(
        conversation_id=notes_id,
        owner_id=SYSTEM,
        participant_ids=(user_id,),
        notes_of=step.event.conversation_id,
        created_at=step.now,
    )


def _joined(conversation_id: str, user_id: str, step: Step) -> ParticipantJoined:
    return ParticipantJoined(conversation_id=conversation_id, user_id=user_id, added_by=step.by, joined_at=step.now)


def _left(conversation_id: str, user_id: str, step: Step) -> ParticipantLeft:
    return ParticipantLeft(conversation_id=conversation_id, user_id=user_id, removed_by=step.by, left_at=step.now)


def _reason(notes_id: str, reason: str, step: Step, message_id: str, seq: int) -> MessageCreated:
    return MessageCreated(
        id=message_id,
        conversation_id=notes_id,
        seq=seq,
        sender_id=step.by,
        sender_type=SenderType.CHAT,
        sender_name=step.names.get(step.by),
        message_type=MessageType.TEXT,
        content=reason,
        created_at=step.now,
    )


def _announcement(step: Step, message_id: str, seq: int) -> MessageCreated:
    title, text, data = _words(step)
    return MessageCreated(
        id=message_id,
        conversation_id=step.event.conversation_id,
        seq=seq,
        sender_id=SYSTEM,
        sender_type=SenderType.SYSTEM,
        message_type=MessageType.SYSTEM,
        content=text,
        notice=Notice(title=title, type=step.event.type.replace(".", "_"), data=data),
        created_at=step.now,
    )


def _words(step: Step) -> tuple[str, str, dict[str, Any]]:
    """Title, text and data of the system's message."""

    def name(user_id: str) -> str:
        return step.names.get(user_id, user_id)

    match step.event:
        case ConsultOpened(customer_id=customer_id):
            text = "Waiting for a consultant." if step.first else "Reopened: waiting for a consultant again."
            return "Consult opened", text, {"customer_id": customer_id}
        case ConsultTaken(consultant_id=consultant_id):
            return "Consult taken", f"{name(consultant_id)} is here for you.", {"consultant_id": consultant_id}
        case ConsultAssigned(consultant_id=consultant_id, by=by):
            text = f"{name(consultant_id)} will be here for you."
            return "Consult assigned", text, {"consultant_id": consultant_id, "by": by}
        case ConsultHandedOver(from_id=from_id, to_id=to_id, by=by):
            text = (
                f"{name(from_id)} has left. Waiting for another consultant."
                if to_id is None
                else f"{name(from_id)} has handed over to {name(to_id)}."
            )
            data = {"from_id": from_id, "by": by} | ({} if to_id is None else {"consultant_id": to_id})
            return "Consult handed over", text, data
        case ConsultClosed(by=by):
            return "Consult closed", "The consult is closed.", {"by": by}
