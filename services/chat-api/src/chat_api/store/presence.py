"""Who may know of whom: the people with whom a user shares a conversation, asked for by index."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from contracts.ids import UUID_PATTERN

# For each of those who are asked for: the first conversation in which both take part now. ORDER BY and LIMIT lead the
# planner to the index, whatever it believes about the number of memberships.
_COMPANIONS = text("""
SELECT asked.user_id FROM unnest(CAST(:user_ids AS text[])) AS asked (user_id)
CROSS JOIN LATERAL (
    SELECT FROM participants theirs JOIN participants mine USING (conversation_id)
    WHERE theirs.user_id = asked.user_id AND theirs.is_active AND mine.user_id = :user_id AND mine.is_active
    ORDER BY theirs.conversation_id LIMIT 1
) shared
""")

# So many members of a conversation, to whom something can be told; the one who tells is looked up by the primary key.
_MEMBERS = text("""
SELECT user_id FROM participants WHERE conversation_id = :conversation_id AND is_active LIMIT :limit
""")

_IS_MEMBER = text("""
SELECT is_active FROM participants WHERE conversation_id = :conversation_id AND user_id = :user_id
""")

_HIGHEST = text("""
SELECT max(seq) FROM messages
WHERE message_id = ANY(CAST(:message_ids AS uuid[])) AND conversation_id = :conversation_id
""")

# A host application knows its messages by its own ids. What is read is recent: so much is looked at, and no more.
_HIGHEST_NAMED = text("""
SELECT max(seq) FROM (
    SELECT seq, client_msg_id FROM messages WHERE conversation_id = :conversation_id ORDER BY seq DESC LIMIT 2000
) recent
WHERE client_msg_id = ANY(CAST(:names AS text[]))
""")
_UUID = re.compile(UUID_PATTERN)


async def companions(connection: AsyncConnection, user_id: str, user_ids: Sequence[str]) -> set[str]:
    """Those of `user_ids` with whom the user shares a conversation now."""
    found = await connection.scalars(_COMPANIONS, {"user_id": user_id, "user_ids": list(user_ids)})
    return set(found)


async def members(connection: AsyncConnection, conversation_id: str, limit: int) -> list[str]:
    """Up to `limit` active participants, in no particular order."""
    return list(await connection.scalars(_MEMBERS, {"conversation_id": conversation_id, "limit": limit}))


async def is_member(connection: AsyncConnection, conversation_id: str, user_id: str) -> bool:
    """Whether the user takes part in the conversation."""
    return bool(await connection.scalar(_IS_MEMBER, {"conversation_id": conversation_id, "user_id": user_id}))


async def highest_seq(connection: AsyncConnection, conversation_id: str, message_ids: Sequence[str]) -> int | None:
    """The highest seq of those messages that belong to the conversation; None if none does.

    Each is named by its id, or by its `client_msg_id` if it is among the newest 2,000.
    """
    ids = [one for one in message_ids if _UUID.match(one)]
    found = await connection.scalar(_HIGHEST, {"conversation_id": conversation_id, "message_ids": ids}) if ids else None
    named = {"conversation_id": conversation_id, "names": list(message_ids)}
    by_name = await connection.scalar(_HIGHEST_NAMED, named)
    return max((int(one) for one in (found, by_name) if one is not None), default=None)
