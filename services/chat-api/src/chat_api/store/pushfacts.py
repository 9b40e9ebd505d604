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

# Both are asked for again and again, with as many ids at a time as happen to be due: by the average, the planner takes
# forty of them for a reason to read whole tables. What each of them names is found by a key.
PLANS = text("""
SELECT set_config('plan_cache_mode', 'force_generic_plan', true), set_config('enable_bitmapscan', 'off', true),
       set_config('enable_seqscan', 'off', true)
""")

# LIMIT 1 keeps each of the inner queries a look-up by key. What concerns a conversation is null outside of any, and
# then nothing speaks against the push.
_DELIVERIES = text("""
SELECT q.ord, p.read_seq,
       -- Who left and came back has another membership, which begins where he came back: what was before is not his.
       p.is_active AND p.joined_seq <= coalesce(q.seq, p.joined_seq) AS member,
       c.title, m.message_id, m.deleted_at, m.content, r.device_types,
       coalesce(
           (y.since_txid, y.since_position) < (e.txid, e.position)
           AND (y.until_txid, y.until_position) >= (e.txid, e.position),
           false
       ) AS synced,
       x.muted IS NOT NULL AS muted
FROM unnest(CAST(:user_ids AS text[]), CAST(:event_ids AS uuid[]), CAST(:conversation_ids AS uuid[]),
            CAST(:message_ids AS uuid[]), CAST(:seqs AS bigint[])) WITH ORDINALITY
     AS q (user_id, event_id, conversation_id, message_id, seq, ord)
LEFT JOIN LATERAL (
    SELECT stream, seq, txid, position FROM events WHERE event_id = q.event_id LIMIT 1
) e ON true
LEFT JOIN LATERAL (SELECT title FROM conversations WHERE conversation_id = q.conversation_id LIMIT 1) c ON true
LEFT JOIN LATERAL (
    SELECT is_active, read_seq, joined_seq FROM participants
    WHERE conversation_id = q.conversation_id AND user_id = q.user_id LIMIT 1
) p ON true
LEFT JOIN LATERAL (
    SELECT message_id, deleted_at, CASE WHEN edited_at IS NOT NULL THEN left(content, :chars) END AS content
    FROM messages WHERE message_id = q.message_id LIMIT 1
) m ON true
LEFT JOIN LATERAL (
    SELECT since_txid, since_position, until_txid, until_position FROM synced WHERE user_id = q.user_id LIMIT 1
) y ON true
LEFT JOIN LATERAL (
    SELECT true AS muted FROM mutes
    WHERE conversation_id = q.conversation_id AND user_id = q.user_id AND (until IS NULL OR until > now()) LIMIT 1
) x ON true
LEFT JOIN LATERAL (
    SELECT array_agg(DISTINCT device_type) AS device_types FROM receipts
    WHERE stream = e.stream AND seq = e.seq AND user_id = q.user_id
) r ON true
ORDER BY q.ord
""")

_MEMBERS = text("""
SELECT c.conversation_id, (
    SELECT count(*) FROM (
        SELECT FROM participants p WHERE p.conversation_id = c.conversation_id AND p.is_active LIMIT :most
    ) active
) AS members
FROM unnest(CAST(:conversation_ids AS uuid[])) AS c (conversation_id)
""")

# A conversation counts as unread exactly when its list says so (`queries.SUMMARY_COLUMNS`). Its newest message is
# looked at first: mostly that one is somebody else's, and settles it.
_USERS = text("""
SELECT q.user_id, u.blocked_at, (
    SELECT count(*) FROM participants p
    CROSS JOIN LATERAL (
        SELECT FROM conversations c
        WHERE c.conversation_id = p.conversation_id AND c.notes_of IS NULL AND c.last_message_seq > p.read_seq LIMIT 1
    ) behind
    CROSS JOIN LATERAL (
        SELECT FROM messages m
        WHERE m.conversation_id = p.conversation_id AND m.seq > p.read_seq
          AND m.sender_id <> q.user_id AND m.deleted_at IS NULL
        ORDER BY m.seq DESC LIMIT 1
    ) unread
    WHERE p.user_id = q.user_id AND p.is_active
) AS badge
FROM unnest(CAST(:user_ids AS text[])) AS q (user_id)
LEFT JOIN LATERAL (SELECT blocked_at FROM users WHERE user_id = q.user_id LIMIT 1) u ON true
""")


async def deliveries(connection: AsyncConnection, questions: Sequence[PushQuestion]) -> tuple[DeliveryFacts, ...]:
    """One answer per question, in their order. `PLANS` was carried out before, in the same transaction."""
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
    has_it = tuple(sorted(DeviceType(one) for one in row.device_types or ()))
    return DeliveryFacts(
        user_id=asked.user_id,
        event_id=asked.event_id,
        member=bool(row.member) if inside else True,
        members=members.get(asked.conversation_id or "", 0),
        read=asked.seq is not None and row.read_seq is not None and row.read_seq >= asked.seq,
        deleted=asked.message_id is not None and (row.message_id is None or row.deleted_at is not None),
        content=row.content,
        conversation_title=row.title,
        delivered_to=has_it,
        # That a device has confirmed something newer says nothing: it may be a new device, which began with a snapshot.
        synced=bool(row.synced),
        muted=bool(row.muted),
    )


async def users(
    connection: AsyncConnection, user_ids: Sequence[str], connections: dict[str, tuple[ConnectionNow, ...]]
) -> tuple[UserFacts, ...]:
    """How these users stand, each once; `connections` is what is known of their sockets. As for `deliveries`."""
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
