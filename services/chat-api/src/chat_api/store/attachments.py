"""Files' rows: made before the first byte is stored, gone after the last one is deleted.

A row stands for whatever the blob store may hold under its id. Whoever is killed in between leaves a row behind, and
the sweeper finds it; a blob without a row cannot be, so nobody has to look through the store.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from chat_api.commands.ports import AttachmentLink
from chat_api.domain.attachments import Upload
from contracts.attachments import Attachment

# One statement, so that one user's uploads at the same moment hardly overshoot the limit.
_BEGIN = text("""
INSERT INTO attachments (attachment_id, owner_id, created_at)
SELECT CAST(:id AS uuid), CAST(:owner_id AS text), CAST(:now AS timestamptz)
WHERE (SELECT count(*) FROM attachments
       WHERE owner_id = :owner_id AND message_id IS NULL AND deleted_at IS NULL) < :unused_max
RETURNING attachment_id
""")

_STORED = text("""
UPDATE attachments SET name = :name, media_type = :media_type, size_bytes = :size_bytes, sha256 = :sha256,
                       duration_ms = :duration_ms, stored_at = :now
WHERE attachment_id = :id AND deleted_at IS NULL
""")

# The rows stay as they are until the end of the transaction: a file is carried by one message. In one order, so that
# two batches wait for each other in a row and never in a circle.
_FOR_MESSAGES = text("""
SELECT attachment_id, owner_id, name, media_type, size_bytes, sha256, duration_ms, message_id
FROM attachments
WHERE attachment_id = ANY(CAST(:ids AS uuid[])) AND stored_at IS NOT NULL AND deleted_at IS NULL
ORDER BY attachment_id FOR UPDATE
""")

_LINK = text("""
UPDATE attachments a SET conversation_id = l.conversation_id, message_id = l.message_id
FROM unnest(CAST(:ids AS uuid[]), CAST(:conversation_ids AS uuid[]), CAST(:message_ids AS uuid[]))
     AS l (attachment_id, conversation_id, message_id)
WHERE a.attachment_id = l.attachment_id
""")

_FORGET_OF_MESSAGE = text("UPDATE attachments SET deleted_at = :now WHERE message_id = :message_id")

_FORGET = text("UPDATE attachments SET deleted_at = now() WHERE attachment_id = :id")

_READABLE = text("""
SELECT attachment_id, name, media_type, size_bytes, sha256, duration_ms
FROM attachments a
WHERE attachment_id = :id AND stored_at IS NOT NULL AND deleted_at IS NULL
  AND (:privileged OR owner_id = :user_id
       OR EXISTS (SELECT FROM participants p
                  WHERE p.conversation_id = a.conversation_id AND p.user_id = :user_id AND p.is_active))
""")

_ABANDON = text("""
UPDATE attachments SET deleted_at = now() WHERE attachment_id IN (
    SELECT attachment_id FROM attachments
    WHERE message_id IS NULL AND deleted_at IS NULL AND created_at < now() - make_interval(secs => :unused_ttl_s)
    LIMIT :batch FOR UPDATE SKIP LOCKED)
""")

_DELETED = text("""
SELECT attachment_id FROM attachments
WHERE deleted_at IS NOT NULL AND (CAST(:after AS uuid) IS NULL OR attachment_id > :after)
ORDER BY attachment_id LIMIT :batch
""")

_GONE = text("DELETE FROM attachments WHERE attachment_id = ANY(CAST(:ids AS uuid[])) AND deleted_at IS NOT NULL")


async def begin(connection: AsyncConnection, attachment_id: str, owner_id: str, now: datetime, unused_max: int) -> bool:
    """Note that bytes are about to come; False if the owner has too many files that no message carries."""
    values = {"id": attachment_id, "owner_id": owner_id, "now": now, "unused_max": unused_max}
    return await connection.scalar(_BEGIN, values) is not None


async def stored(connection: AsyncConnection, attachment: Attachment, now: datetime) -> bool:
    """All bytes are there, and this is what they are; False if the file was given up meanwhile."""
    values = attachment.model_dump() | {"now": now}
    return (await connection.execute(_STORED, values)).rowcount == 1


async def uploads(connection: AsyncConnection, ids: Sequence[str]) -> dict[str, Upload]:
    """Stored files by id, locked until the transaction ends."""
    rows = await connection.execute(_FOR_MESSAGES, {"ids": sorted(set(ids))})
    return {
        str(row.attachment_id): Upload(_attachment(row), owner_id=row.owner_id, used=row.message_id is not None)
        for row in rows
    }


async def link(connection: AsyncConnection, links: Sequence[AttachmentLink]) -> None:
    """Note which messages carry which files."""
    values = {
        "ids": [one.attachment_id for one in links],
        "conversation_ids": [one.conversation_id for one in links],
        "message_ids": [one.message_id for one in links],
    }
    await connection.execute(_LINK, values)


async def forget_of_message(connection: AsyncConnection, message_id: str, now: datetime) -> None:
    """The message was taken back: from here on nobody gets its file, and the sweeper deletes the bytes."""
    await connection.execute(_FORGET_OF_MESSAGE, {"message_id": message_id, "now": now})


async def forget(connection: AsyncConnection, attachment_id: str) -> None:
    """An upload came to nothing: whatever is stored of it is to go."""
    await connection.execute(_FORGET, {"id": attachment_id})


async def readable(
    connection: AsyncConnection, attachment_id: str, user_id: str, *, privileged: bool
) -> Attachment | None:
    """The file, if this user may read it: its owner, or who takes part now in the conversation that it was sent to."""
    values = {"id": attachment_id, "user_id": user_id, "privileged": privileged}
    row = (await connection.execute(_READABLE, values)).one_or_none()
    return None if row is None else _attachment(row)


async def abandon_unused(connection: AsyncConnection, unused_ttl_s: float, batch: int) -> int:
    """Give up files that no message has carried for so long; returns how many, at most `batch`."""
    return (await connection.execute(_ABANDON, {"unused_ttl_s": unused_ttl_s, "batch": batch})).rowcount


async def deleted(connection: AsyncConnection, after: str | None, batch: int) -> list[str]:
    """Files whose bytes are to go, in the order of their ids, from `after` on."""
    return [str(found) for found in await connection.scalars(_DELETED, {"after": after, "batch": batch})]


async def gone(connection: AsyncConnection, ids: Sequence[str]) -> None:
    """These files' bytes are no more."""
    await connection.execute(_GONE, {"ids": list(ids)})


def _attachment(row: Any) -> Attachment:
    return Attachment.model_construct(
        id=str(row.attachment_id),
        name=row.name,
        media_type=row.media_type,
        size_bytes=row.size_bytes,
        sha256=row.sha256,
        duration_ms=row.duration_ms,
    )
