"""What users want to be told, and which conversations they muted."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from contracts.preferences import Mute, NotificationSettings

_SETTINGS = text("""
SELECT user_id, CAST(settings AS text) AS settings FROM notification_settings
WHERE user_id = ANY(CAST(:user_ids AS text[]))
""")

_MUTE = text("""
SELECT until FROM mutes
WHERE conversation_id = :conversation_id AND user_id = :user_id AND (until IS NULL OR until > now())
""")


async def settings_of(connection: AsyncConnection, user_ids: Sequence[str]) -> dict[str, NotificationSettings]:
    """The wishes of those who have any."""
    rows = await connection.execute(_SETTINGS, {"user_ids": list(user_ids)})
    return {row.user_id: NotificationSettings.model_validate_json(row.settings) for row in rows}


class PostgresPreferences:
    """The `PreferencesStore` port on one connection."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def settings(self, user_id: str) -> NotificationSettings:
        """The user's wishes; the defaults if none were said."""
        return (await settings_of(self._connection, [user_id])).get(user_id, NotificationSettings())

    async def mute(self, conversation_id: str, user_id: str) -> Mute:
        """Whether the conversation is muted now."""
        values = {"conversation_id": conversation_id, "user_id": user_id}
        row = (await self._connection.execute(_MUTE, values)).one_or_none()
        return Mute(conversation_id=conversation_id, muted=row is not None, until=None if row is None else row.until)
