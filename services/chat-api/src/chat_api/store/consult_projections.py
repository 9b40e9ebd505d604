"""Events of consults to their read table: a part of `projections`, which lists these."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from chat_api.store.event_store import NewEvent
from contracts.events import (
    ConsultAssigned,
    ConsultClosed,
    ConsultHandedOver,
    ConsultOpened,
    ConsultTaken,
    ConversationCreated,
)

# A consult that is opened again waits from then on, behind those who wait longer.
_OPENED = text("""
INSERT INTO consults (conversation_id, customer_id, topic, state, opened_at)
VALUES (:conversation_id, :customer_id, :topic, 'waiting', :at)
ON CONFLICT (conversation_id) DO UPDATE
SET state = 'waiting', assignee_id = NULL, opened_at = excluded.opened_at, taken_at = NULL, closed_at = NULL
""")

_GIVEN = text("""
UPDATE consults SET state = 'active', assignee_id = :assignee_id, taken_at = :at
WHERE conversation_id = :conversation_id
""")

# `opened_at` stays: who was passed back into the queue does not begin to wait anew.
_GIVEN_BACK = text("""
UPDATE consults SET state = 'waiting', assignee_id = NULL, taken_at = NULL WHERE conversation_id = :conversation_id
""")

_CLOSED = text("UPDATE consults SET state = 'closed', closed_at = :at WHERE conversation_id = :conversation_id")

_NOTES = text("""
UPDATE consults SET notes_conversation_id = :notes_id WHERE conversation_id = :conversation_id
""")


async def opened(connection: AsyncConnection, events: Sequence[NewEvent]) -> None:
    """Into the queue, for the first time or again."""
    for event in events:
        data = cast(ConsultOpened, event.data)
        await connection.execute(
            _OPENED,
            {
                "conversation_id": data.conversation_id,
                "customer_id": data.customer_id,
                "topic": data.topic,
                "at": data.opened_at,
            },
        )


async def taken(connection: AsyncConnection, events: Sequence[NewEvent]) -> None:
    """Somebody has it."""
    for event in events:
        data = cast(ConsultTaken, event.data)
        await _given(connection, data.conversation_id, data.consultant_id, data.taken_at)


async def assigned(connection: AsyncConnection, events: Sequence[NewEvent]) -> None:
    """Somebody was given it."""
    for event in events:
        data = cast(ConsultAssigned, event.data)
        await _given(connection, data.conversation_id, data.consultant_id, data.assigned_at)


async def handed_over(connection: AsyncConnection, events: Sequence[NewEvent]) -> None:
    """Somebody else has it, or nobody."""
    for event in events:
        data = cast(ConsultHandedOver, event.data)
        if data.to_id is None:
            await connection.execute(_GIVEN_BACK, {"conversation_id": data.conversation_id})
        else:
            await _given(connection, data.conversation_id, data.to_id, data.handed_over_at)


async def closed(connection: AsyncConnection, events: Sequence[NewEvent]) -> None:
    """It is over."""
    for event in events:
        data = cast(ConsultClosed, event.data)
        await connection.execute(_CLOSED, {"conversation_id": data.conversation_id, "at": data.closed_at})


async def notes_begun(connection: AsyncConnection, data: ConversationCreated) -> None:
    """A conversation was made for a consult's notes."""
    await connection.execute(_NOTES, {"conversation_id": data.notes_of, "notes_id": data.conversation_id})


async def _given(connection: AsyncConnection, conversation_id: str, assignee_id: str, at: object) -> None:
    await connection.execute(_GIVEN, {"conversation_id": conversation_id, "assignee_id": assignee_id, "at": at})
