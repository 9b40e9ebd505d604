"""How many there are, counted only as far as a limit is concerned."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_CONVERSATIONS = text("""
SELECT count(*) FROM (SELECT FROM participants WHERE user_id = :user_id AND is_active LIMIT :up_to) AS found
""")

_PARTICIPANTS = text("""
SELECT count(*) FROM (
    SELECT FROM participants WHERE conversation_id = CAST(:id AS uuid) AND is_active LIMIT :up_to) AS found
""")


async def conversations_of(connection: AsyncConnection, user_id: str, up_to: int) -> int:
    """In how many conversations the user takes part; `up_to` if it is as many or more."""
    return int(await connection.scalar(_CONVERSATIONS, {"user_id": user_id, "up_to": up_to}) or 0)


async def participants_of(connection: AsyncConnection, conversation_id: str, up_to: int) -> int:
    """How many take part in the conversation; `up_to` if it is as many or more."""
    return int(await connection.scalar(_PARTICIPANTS, {"id": conversation_id, "up_to": up_to}) or 0)
