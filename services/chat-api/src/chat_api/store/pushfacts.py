"""How deliveries and users stand at this moment, for the notifier: a few statements for many of them at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from chat_api.store import devices, preferences
from contracts.devices import DeviceType
from contracts.preferences import NotificationSettings
from contracts.pushfacts import CONTENT_CHARS_MAX, ConnectionNow, DeliveryFacts, PushQuestion, UserFacts

MEMBERS_COUNTED_MAX = 10_001
"""Members are counted up to here: what matters is whether they are many."""

# Every lookup by a key. What concerns a conversation is null outside of any, and then nothing speaks against the push.
_DELIVERIES = text("""
SELECT q.ord, q.user_id, q.event_id, q.conversation_id, p.is_active, p.read_seq, c.title,
       m.message_id, m.deleted_at, CASE WHEN m.edited_at IS NOT NULL THEN left(m.content, :chars) END AS content,
       (SELECT array_agg(DISTINCT r.device_type) FROM receipts r
        WHERE r.stream = e.stream AND r.seq = e.seq AND r.user_id = q.user_id) AS delivered_to,
       coalesce(d.seq >= q.seq, false) AS delivered,
       coalesce((y.txid, y.position) >= (e.txid, e.position), false) AS synced,
       EXISTS (SELECT FROM mutes x WHERE x.conversation_id = q.conversation_id AND x.user_id = q.user_id
           AND (x.until IS NULL OR x.until > now())) AS muted
FROM unnest(CAST(:user_ids AS text[]), CAST(:event_ids AS uuid[]), CAST(:conversation_ids AS uuid[]),
            CAST(:message_ids AS uuid[]), CAST(:seqs AS bigint[])) WITH ORDINALITY
     AS q (user_id, event_id, conversation_id, message_id, seq, ord)
LEFT JOIN events e ON e.event_id = q.event_id
LEFT JOIN conversations c ON c.conversation_id = q.conversation_id
LEFT JOIN participants p ON p.conversation_id = q.conversation_id AND p.user_id = q.user_id
LEFT JOIN messages m ON m.message_id = q.message_id
LEFT JOIN delivered d ON d.conversation_id = q.conversation_id AND d.user_id = q.user_id
LEFT JOIN synced y ON y.user_id = q.user_id
ORDER BY q.ord
""")

_MEMBERS = text("""
SELECT c.conversation_id, (
    SELECT count(*) FROM (
        SELECT FROM participants p WHERE p.conversation_id = c.conversation_id AND p.is_active LIMIT :most
    ) some
) AS members
FROM unnest(CAST(:conversation_ids AS uuid[])) AS c (conversation_id)
""")

# A conversation counts as unread exactly when its list says so (`queries.SUMMARY_COLUMNS`).
_USERS = text("""
SELECT q.user_id, u.blocked_at, (
    SELECT count(*) FROM participants p JOIN conversations c USING (conversation_id)
    WHERE p.user_id = q.user_id AND p.is_active AND c.notes_of IS NULL AND c.last_message_seq > p.read_seq
      AND EXISTS (
          SELECT FROM messages m WHERE m.conversation_id = p.conversation_id AND m.seq > p.read_seq
            AND m.sender_id <> q.user_id AND m.deleted_at IS NULL
      )
) AS badge
FROM unnest(CAST(:user_ids AS text[])) AS q (user_id)
LEFT JOIN users u ON u.user_id = q.user_id
""")


async def deliveries(connection: AsyncConnection, questions: Sequence[PushQuestion]) -> tuple[DeliveryFacts, ...]:
    """One answer per question, in their order."""
    if not questions:
        return ()
    rows = await connection.execute(
        _DELIVERIES,
        {
            "user_ids": [one.user_id for one in questions],
            "event_ids": [one.event_id for one in questions],
            "conversation_ids": [one.conversation_id for one in questions],
            "message_ids": [one.message_id for one in questions],
            "seqs": [one.seq for one in questions],
            "chars": CONTENT_CHARS_MAX,
        },
    )
    asked = list(dict.fromkeys(one.conversation_id for one in questions if one.conversation_id is not None))
    members: dict[str, int] = {}
    if asked:
        counted = await connection.execute(_MEMBERS, {"conversation_ids": asked, "most": MEMBERS_COUNTED_MAX})
        members = {str(row.conversation_id): int(row.members) for row in counted}
    return tuple(_delivery(row, one, members) for row, one in zip(rows, questions, strict=True))


def _delivery(row: Any, asked: PushQuestion, members: dict[str, int]) -> DeliveryFacts:
    inside = asked.conversation_id is not None
    devices_ = tuple(sorted(DeviceType(one) for one in row.delivered_to or ()))
    return DeliveryFacts(
        user_id=asked.user_id,
        event_id=asked.event_id,
        member=bool(row.is_active) if inside else True,
        members=members.get(asked.conversation_id or "", 0),
        read=asked.seq is not None and row.read_seq is not None and row.read_seq >= asked.seq,
        deleted=asked.message_id is not None and (row.message_id is None or row.deleted_at is not None),
        content=row.content,
        conversation_title=row.title,
        delivered_to=devices_,
        # A device has it of which nobody knows any more what kind it was.
        synced=bool(row.synced) or (asked.seq is not None and bool(row.delivered) and not devices_),
        muted=bool(row.muted),
    )


async def users(
    connection: AsyncConnection, user_ids: Sequence[str], connections: dict[str, tuple[ConnectionNow, ...]]
) -> tuple[UserFacts, ...]:
    """How these users stand; `connections` is what is known of their sockets."""
    names = list(dict.fromkeys(user_ids))
    if not names:
        return ()
    rows = {row.user_id: row for row in await connection.execute(_USERS, {"user_ids": names})}
    wishes = await preferences.settings_of(connection, names)
    registered = await devices.of_users(connection, names)
    return tuple(
        UserFacts(
            user_id=name,
            blocked=rows[name].blocked_at is not None,
            badge=int(rows[name].badge),
            settings=wishes.get(name, NotificationSettings()),
            devices=registered.get(name, ()),
            connections=connections.get(name, ()),
        )
        for name in names
    )
