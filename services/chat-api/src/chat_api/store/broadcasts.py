"""Broadcasts on their way: who accepted what, and how far it has come in the order of user ids."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from chat_api.domain.notices import Broadcast
from contracts.notices import NotificationDraft

BROADCAST_LOCK = 0x4E616263
"""Key of the transaction lock that whoever tells the next users holds ("Nabc")."""

# Whoever registered while it was on its way is not told, or some would be and others not, by their ids. Who is blocked
# may not use the service, and would get it as a push.
_AMONG = """(CAST(:roles AS text[]) = '{}' OR roles && CAST(:roles AS text[]))
    AND registered_at <= :created_at AND blocked_at IS NULL"""

_COUNT = text(f"SELECT count(*) FROM users WHERE {_AMONG}")  # noqa: S608 - nothing but our own constant

_BEGIN = text("""
INSERT INTO broadcasts (broadcast_id, draft, roles, created_by, created_at, recipients, done_at)
VALUES (:id, CAST(:draft AS jsonb), :roles, :created_by, :created_at, :recipients, :done_at)
""")

_COLUMNS = """broadcast_id, CAST(draft AS text) AS draft, roles, created_by, created_at, recipients, sent,
    cursor_user_id, done_at"""

# An advisory lock takes no transaction id: the streams' locks may follow (event_store, rule 1). FOR UPDATE would.
_TURN = text("SELECT pg_try_advisory_xact_lock(:key)")

_WAITING = text(f"SELECT {_COLUMNS} FROM broadcasts WHERE done_at IS NULL ORDER BY broadcast_id LIMIT 1")  # noqa: S608

_NEXT = text(f"""
SELECT user_id FROM users WHERE user_id > :after AND {_AMONG} ORDER BY user_id LIMIT :limit
""")  # noqa: S608

_TOLD = text("""
UPDATE broadcasts SET sent = sent + :told, cursor_user_id = coalesce(:cursor, cursor_user_id),
                      done_at = CAST(:done_at AS timestamptz)
WHERE broadcast_id = CAST(:id AS uuid)
""")

_ONE = text(f"SELECT {_COLUMNS} FROM broadcasts WHERE broadcast_id = CAST(:id AS uuid)")  # noqa: S608

_LIST = text(f"""
SELECT {_COLUMNS} FROM broadcasts
WHERE CAST(:before AS uuid) IS NULL OR broadcast_id < CAST(:before AS uuid)
ORDER BY broadcast_id DESC LIMIT :limit
""")  # noqa: S608


@dataclass(frozen=True, slots=True)
class StoredBroadcast:
    """A broadcast, and how far it is."""

    broadcast_id: str
    draft: NotificationDraft
    roles: tuple[str, ...]
    created_by: str
    created_at: datetime
    recipients: int
    sent: int
    cursor_user_id: str | None
    done_at: datetime | None


async def begin(connection: AsyncConnection, command: Broadcast) -> int:
    """Accept a broadcast; returns how many users it is for."""
    roles = list(command.roles)
    recipients = int(await connection.scalar(_COUNT, {"roles": roles, "created_at": command.now}) or 0)
    await connection.execute(
        _BEGIN,
        {
            "id": command.broadcast_id,
            "draft": json.dumps(command.draft.model_dump(mode="json", exclude_none=True)),
            "roles": roles,
            "created_by": command.actor.user_id,
            "created_at": command.now,
            "recipients": recipients,
            "done_at": None if recipients else command.now,
        },
    )
    return recipients


async def take_turn(connection: AsyncConnection) -> StoredBroadcast | None:
    """The oldest broadcast that is not done; None if there is none, or if somebody else is at it. Until the
    transaction's end nobody else gets one."""
    if not await connection.scalar(_TURN, {"key": BROADCAST_LOCK}):
        return None
    row = (await connection.execute(_WAITING)).one_or_none()
    return None if row is None else _stored(row)


async def next_users(connection: AsyncConnection, found: StoredBroadcast, limit: int) -> list[str]:
    """Who is to be told next."""
    values = {
        "after": found.cursor_user_id or "",
        "roles": list(found.roles),
        "created_at": found.created_at,
        "limit": limit,
    }
    return list(await connection.scalars(_NEXT, values))


async def told(
    connection: AsyncConnection, broadcast_id: str, *, count: int, cursor: str | None, done_at: datetime | None
) -> None:
    """Note that everybody up to `cursor` has been told, and perhaps that it is done."""
    await connection.execute(_TOLD, {"id": broadcast_id, "told": count, "cursor": cursor, "done_at": done_at})


async def one(connection: AsyncConnection, broadcast_id: str) -> StoredBroadcast | None:
    """A broadcast by its id."""
    row = (await connection.execute(_ONE, {"id": broadcast_id})).one_or_none()
    return None if row is None else _stored(row)


async def newest(connection: AsyncConnection, *, before: str | None, limit: int) -> list[StoredBroadcast]:
    """Broadcasts, newest first, strictly before the given one."""
    return [_stored(row) for row in await connection.execute(_LIST, {"before": before, "limit": limit})]


def _stored(row: Any) -> StoredBroadcast:
    return StoredBroadcast(
        broadcast_id=str(row.broadcast_id),
        draft=NotificationDraft.model_validate_json(row.draft),
        roles=tuple(row.roles),
        created_by=row.created_by,
        created_at=row.created_at,
        recipients=row.recipients,
        sent=row.sent,
        cursor_user_id=row.cursor_user_id,
        done_at=row.done_at,
    )
