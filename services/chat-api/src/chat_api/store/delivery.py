"""What became of one message, recipient by recipient: receipts, cursors, and what the notifier was handed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from chat_api.store import queries
from chat_api.store.keys import lane_of
from contracts.devices import DeviceType
from contracts.stream_ids import ConversationStream

_MESSAGE = text("""
SELECT m.conversation_id, m.seq, m.sender_id, e.position, e.event_id, e.recorded_at, CAST(e.txid AS text) AS txid_text,
       CAST(e.data->'exclude_user_ids' AS text) AS excluded
FROM messages m JOIN events e ON e.stream = 'conversation:' || m.conversation_id AND e.seq = m.seq
WHERE m.message_id = :id
""")

_SETTLED = text("""
SELECT lane, partitions,
       (floor_txid, floor_position) >= (CAST(CAST(:txid AS text) AS xid8), CAST(:position AS bigint)) AS settled
FROM fanout_lanes WHERE floor_txid IS NOT NULL AND partitions IS NOT NULL
""")

# Who took part at that seq: by the latest membership, or by one of those that ended before it (`earlier`).
_RECIPIENTS = text("""
SELECT p.user_id, p.read_seq, d.seq AS delivered_seq, h.reason, h.decided_at
FROM participants p
LEFT JOIN delivered d ON d.conversation_id = p.conversation_id AND d.user_id = p.user_id
LEFT JOIN handovers h ON h.event_position = :position AND h.user_id = p.user_id
WHERE p.conversation_id = :id AND p.user_id > :after AND p.user_id <> :sender_id
  AND ((p.joined_seq <= :seq AND (p.left_seq IS NULL OR p.left_seq >= :seq))
       OR p.user_id = ANY(CAST(:earlier AS text[])))
  AND p.user_id <> ALL(CAST(:excluded AS text[]))
ORDER BY p.user_id LIMIT :limit
""")

_DEVICES = text("""
SELECT user_id, connection_id, edge_id, device_type, received_at FROM receipts
WHERE stream = :stream AND seq = :seq AND user_id = ANY(CAST(:user_ids AS text[]))
ORDER BY received_at, connection_id
""")

_CURSORS = text("""
SELECT p.user_id, p.read_seq, greatest(coalesce(d.seq, 0), p.read_seq) AS delivered_seq
FROM participants p LEFT JOIN delivered d ON d.conversation_id = p.conversation_id AND d.user_id = p.user_id
WHERE p.conversation_id = :id AND p.is_active
ORDER BY delivered_seq DESC, p.user_id LIMIT :limit
""")


@dataclass(frozen=True, slots=True)
class Sent:
    """A message, and how far its way out is known."""

    message_id: str
    conversation_id: str
    seq: int
    sender_id: str
    event_id: str
    position: int
    recorded_at: datetime
    excluded: tuple[str, ...]
    settled: bool
    """Every recipient has confirmed it, or the notifier was handed it."""


@dataclass(frozen=True, slots=True)
class Device:
    """One socket that has it."""

    connection_id: str
    edge_id: str
    device_type: DeviceType
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Recipient:
    """One recipient, and what is written down about him."""

    user_id: str
    read_seq: int
    delivered_seq: int
    handed_over_reason: str | None = None
    handed_over_at: datetime | None = None
    devices: list[Device] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far one participant has read, and has been reached."""

    user_id: str
    read_seq: int
    delivered_seq: int


async def sent(connection: AsyncConnection, message_id: str) -> Sent | None:
    """The message; None if there is none."""
    row = (await connection.execute(_MESSAGE, {"id": message_id})).one_or_none()
    if row is None:
        return None
    stream = str(ConversationStream(str(row.conversation_id)))
    lanes = await connection.execute(_SETTLED, {"txid": row.txid_text, "position": row.position})
    return Sent(
        message_id=message_id,
        conversation_id=str(row.conversation_id),
        seq=row.seq,
        sender_id=row.sender_id,
        event_id=str(row.event_id),
        position=row.position,
        recorded_at=row.recorded_at,
        excluded=tuple(json.loads(row.excluded or "[]")),
        settled=any(lane.settled for lane in lanes if lane_of(stream, lane.partitions) == lane.lane),
    )


async def recipients(connection: AsyncConnection, message: Sent, after: str, limit: int) -> list[Recipient]:
    """The recipients behind `after`, in the order of their ids."""
    seq, conversation_id = message.seq, message.conversation_id
    ended = await queries.ended_memberships(connection, conversation_id)
    values: dict[str, Any] = {
        "id": conversation_id,
        "seq": seq,
        "position": message.position,
        "sender_id": message.sender_id,
        "after": after,
        "earlier": sorted({user_id for user_id, first, last in ended if first <= seq <= last}),
        "excluded": list(message.excluded),
        "limit": limit,
    }
    found = {
        row.user_id: Recipient(row.user_id, row.read_seq, row.delivered_seq or 0, row.reason, row.decided_at)
        for row in await connection.execute(_RECIPIENTS, values)
    }
    stream = str(ConversationStream(conversation_id))
    for row in await connection.execute(_DEVICES, {"stream": stream, "seq": seq, "user_ids": list(found)}):
        found[row.user_id].devices.append(
            Device(str(row.connection_id), row.edge_id, DeviceType(row.device_type), row.received_at)
        )
    return list(found.values())


async def cursors(connection: AsyncConnection, conversation_id: str, limit: int) -> Sequence[Cursor]:
    """Active participants, those who are furthest first. Who has read a message has it, whatever its receipts say."""
    rows = await connection.execute(_CURSORS, {"id": conversation_id, "limit": limit})
    return [Cursor(row.user_id, row.read_seq, row.delivered_seq) for row in rows]
