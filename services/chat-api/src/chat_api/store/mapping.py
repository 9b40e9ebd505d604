"""Rows to contract types and bytes; the one bridge between the tables and the outside's vocabulary."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Protocol

from contracts.attachments import Attachment
from contracts.envelope import SOURCE, Envelope
from contracts.messages import Message, MessageType, Notice, SenderType
from contracts.notices import Notification
from contracts.times import rfc3339


class EventRow(Protocol):
    """What a stored event looks like when read; `data` and `metadata` are JSON texts."""

    position: int
    event_id: Any
    stream: str
    seq: int
    type: str
    version: int
    data: str
    metadata: str
    recorded_at: datetime
    txid_text: str


def envelope_bytes(row: EventRow) -> bytes:
    """The event as CloudEvents JSON. The stored data is spliced in: decoding it to encode it again is waste."""
    head = {
        "specversion": "1.0",
        "id": str(row.event_id),
        "source": SOURCE,
        "type": row.type,
        "subject": row.stream,
        "time": rfc3339(row.recorded_at),
        "datacontenttype": "application/json",
        "seq": row.seq,
        "position": row.position,
        "txid": int(row.txid_text),
        "dataversion": row.version,
        "partitionkey": row.stream,
    }
    trace = json.loads(row.metadata).get("traceparent") if "traceparent" in row.metadata else None
    if trace is not None:
        head["traceparent"] = trace
    return f'{json.dumps(head, separators=(",", ":"))[:-1]},"data":{row.data}}}'.encode()


def envelope(row: EventRow) -> Envelope:
    """The event as a typed envelope."""
    return Envelope.model_validate_json(envelope_bytes(row))


def message(row: Any) -> Message:
    """A row of `messages` as everybody reads it."""
    return Message.model_construct(
        id=str(row.message_id),
        conversation_id=str(row.conversation_id),
        seq=row.seq,
        sender_id=row.sender_id,
        sender_type=SenderType(row.sender_type),
        sender_name=row.sender_name,
        message_type=MessageType(row.message_type),
        content=row.content,
        attachment_id=_text(row.attachment_id),
        reply_to=_text(row.reply_to),
        is_important=row.is_important,
        mentions=tuple(row.mentions) if row.mentions is not None else None,
        extra_metadata=json.loads(row.extra_metadata) if row.extra_metadata is not None else None,
        client_msg_id=row.client_msg_id,
        created_at=row.created_at,
        edited_at=row.edited_at,
        deleted_at=row.deleted_at,
        attachment=Attachment.model_validate_json(row.attachment) if row.attachment is not None else None,
        notice=Notice.model_construct(**({"data": None} | json.loads(row.notice))) if row.notice is not None else None,
    )


def notification(row: Any) -> Notification:
    """A row of `notifications` as its user reads it."""
    return Notification.model_construct(
        id=str(row.notification_id),
        user_id=row.user_id,
        sender_type=SenderType(row.sender_type),
        title=row.title,
        content=row.content,
        type=row.type,
        action=row.action,
        conversation_id=_text(row.conversation_id),
        is_important=row.is_important,
        data=json.loads(row.data) if row.data is not None else None,
        broadcast_id=_text(row.broadcast_id),
        created_at=row.created_at,
    )


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
