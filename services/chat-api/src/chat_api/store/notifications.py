"""What was said to one user, newest first."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from chat_api.store import mapping
from contracts.notices import Notification

_PAGE = text("""
SELECT notification_id, user_id, sender_type, title, content, type, action, conversation_id, is_important,
       CAST(data AS text) AS data, broadcast_id, created_at
FROM notifications
WHERE user_id = :user_id AND (CAST(:before AS uuid) IS NULL OR notification_id < CAST(:before AS uuid))
ORDER BY notification_id DESC LIMIT :limit
""")


async def page(connection: AsyncConnection, user_id: str, *, before: str | None, limit: int) -> list[Notification]:
    """The user's notifications, newest first, strictly before the given one."""
    rows = await connection.execute(_PAGE, {"user_id": user_id, "before": before, "limit": limit})
    return [mapping.notification(row) for row in rows]
