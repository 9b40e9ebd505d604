"""Consults as they are read: for decisions, for the queue, and for one page of a list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from chat_api.commands.ports import KnownConsult
from chat_api.domain.consult import Active, Closed, ConsultState, Waiting


class State(StrEnum):
    """What the column `state` holds."""

    WAITING = "waiting"
    ACTIVE = "active"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class ConsultRow:
    """A consult as staff and customer see it: nothing of what was said."""

    conversation_id: str
    customer_id: str
    customer_name: str | None
    topic: str | None
    state: State
    assignee_id: str | None
    assignee_name: str | None
    opened_at: datetime
    taken_at: datetime | None
    closed_at: datetime | None
    notes_conversation_id: str | None


_COLUMNS = """c.conversation_id, c.customer_id, customer.name AS customer_name, c.topic, c.state, c.assignee_id,
    assignee.name AS assignee_name, c.opened_at, c.taken_at, c.closed_at, c.notes_conversation_id"""

_NAMES = """LEFT JOIN users customer ON customer.user_id = c.customer_id
LEFT JOIN users assignee ON assignee.user_id = c.assignee_id"""

_STATE = text("""
SELECT conversation_id, customer_id, topic, state, assignee_id, notes_conversation_id FROM consults
WHERE conversation_id = :id
""")

_ONE = text(f"SELECT {_COLUMNS} FROM consults c {_NAMES} WHERE c.conversation_id = :id")  # noqa: S608

# Who waits longest comes first; of the others the newest. States are no parameters here: which index serves, follows
# from the word.
_QUEUE = text(f"""
SELECT {_COLUMNS} FROM consults c {_NAMES}
WHERE c.state = 'waiting'
  AND (CAST(:at AS timestamptz) IS NULL OR (c.opened_at, c.conversation_id) > (:at, CAST(:id AS uuid)))
ORDER BY c.opened_at, c.conversation_id LIMIT :limit
""")  # noqa: S608

_OF_ALL = {
    state: text(f"""
SELECT {_COLUMNS} FROM consults c {_NAMES}
WHERE c.state = '{state}'
  AND (CAST(:at AS timestamptz) IS NULL OR (c.opened_at, c.conversation_id) < (:at, CAST(:id AS uuid)))
ORDER BY c.opened_at DESC, c.conversation_id DESC LIMIT :limit
""")  # noqa: S608
    for state in (State.ACTIVE, State.CLOSED)
}

_OF_ONE = text(f"""
SELECT {_COLUMNS} FROM consults c {_NAMES}
WHERE c.assignee_id = :assignee_id AND c.state = :state
  AND (CAST(:at AS timestamptz) IS NULL OR (c.opened_at, c.conversation_id) < (:at, CAST(:id AS uuid)))
ORDER BY c.opened_at DESC, c.conversation_id DESC LIMIT :limit
""")  # noqa: S608


async def known(connection: AsyncConnection, conversation_id: str) -> KnownConsult | None:
    """What a decision about this consult looks at; None if the conversation is none."""
    row = (await connection.execute(_STATE, {"id": conversation_id})).one_or_none()
    if row is None:
        return None
    notes_id = row.notes_conversation_id
    return KnownConsult(_state(row), None if notes_id is None else str(notes_id))


def _state(row: Any) -> ConsultState:
    about = (str(row.conversation_id), row.customer_id, row.topic)
    match State(row.state):
        case State.WAITING:
            return Waiting(*about)
        case State.ACTIVE:
            return Active(*about, row.assignee_id)
        case State.CLOSED:
            return Closed(*about, row.assignee_id)


async def one(connection: AsyncConnection, conversation_id: str) -> ConsultRow | None:
    """A conversation's consult, if it is one."""
    row = (await connection.execute(_ONE, {"id": conversation_id})).one_or_none()
    return None if row is None else _row(row)


async def page(
    connection: AsyncConnection,
    state: State,
    *,
    assignee_id: str | None,
    limit: int,
    behind: tuple[datetime, str] | None,
) -> list[ConsultRow]:
    """Consults in this state (of one assignee, if one is named), behind the given (opened at, id).

    Waiting ones come oldest first, the others newest first; nobody has a waiting one, so no assignee narrows them.
    """
    at, conversation_id = behind or (None, None)
    values: dict[str, Any] = {"at": at, "id": conversation_id, "limit": limit}
    rows: Sequence[Any]
    if state is State.WAITING:
        rows = (await connection.execute(_QUEUE, values)).all()
    elif assignee_id is None:
        rows = (await connection.execute(_OF_ALL[state], values)).all()
    else:
        values |= {"state": state.value, "assignee_id": assignee_id}
        rows = (await connection.execute(_OF_ONE, values)).all()
    return [_row(row) for row in rows]


def _row(row: Any) -> ConsultRow:
    return ConsultRow(
        conversation_id=str(row.conversation_id),
        customer_id=row.customer_id,
        customer_name=row.customer_name,
        topic=row.topic,
        state=State(row.state),
        assignee_id=row.assignee_id,
        assignee_name=row.assignee_name,
        opened_at=row.opened_at,
        taken_at=row.taken_at,
        closed_at=row.closed_at,
        notes_conversation_id=None if row.notes_conversation_id is None else str(row.notes_conversation_id),
    )
