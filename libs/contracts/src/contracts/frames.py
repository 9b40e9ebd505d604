"""Frames between a client and the edge: `{"action": …, "data": {…}}`."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Any

from pydantic import Field

from contracts.codec import Contract
from contracts.codes import ErrorCode
from contracts.envelope import Envelope
from contracts.ids import UserId, Uuid
from contracts.messages import MessageDraft
from contracts.times import Instant, rfc3339

SUBPROTOCOL = "natter.v1"
BEARER_SUBPROTOCOL_PREFIX = "bearer."
PROTOCOL_VERSION = 1

FRAME_BYTES_MAX = 65_536
"""Largest frame that a client may send (one message, all fragments together); above it: close 4413."""

REF_CHARS_MAX = 64
"""Longest `ref` that a client may ask to have echoed."""


class ServerAction(StrEnum):
    """What the server tells a client."""

    CONNECTED = "connected"
    NEW_MESSAGE = "new_message"
    MESSAGE_UPDATED = "message_updated"
    MESSAGE_DELETED = "message_deleted"
    CONVERSATION_UPDATED = "conversation_updated"
    PARTICIPANT_JOINED = "participant_joined"
    PARTICIPANT_LEFT = "participant_left"
    READ = "read"
    TYPING = "typing"
    SYSTEM_NOTIFICATION = "system_notification"
    DIRECT_MESSAGE = "direct_message"
    PRESENCE = "presence"
    ACK = "ack"
    ERROR = "error"
    RESYNC = "resync"
    RECONNECT = "reconnect"
    STATS = "stats"
    PONG = "pong"


class ClientAction(StrEnum):
    """What a client asks of the server."""

    SEND_MESSAGE = "send_message"
    TYPING = "typing"
    MARK_READ = "mark_read"
    PRESENCE_SUBSCRIBE = "presence_subscribe"
    REFRESH_TOKEN = "refresh_token"  # noqa: S105 - the name of an action
    PING = "ping"


class ConnectionType(StrEnum):
    """What a socket is for."""

    CHAT = "chat"
    ADMIN = "admin"


class ServerLimits(Contract):
    """What a client must keep to."""

    frame_bytes_max: int = FRAME_BYTES_MAX
    ref_chars_max: int = REF_CHARS_MAX


class Connected(Contract):
    """First frame of every socket."""

    connection_id: Uuid
    user_id: UserId
    heartbeat_interval_ms: int
    connection_timeout_ms: int
    max_reconnect_attempts: int
    sync_interval_ms: int
    """How often a client asks `GET /v1/sync` although nothing seems to be missing: the last frame of a burst has no
    successor that would betray its loss."""
    features: tuple[str, ...]
    limits: ServerLimits = ServerLimits()
    protocol_version: int = PROTOCOL_VERSION
    edge_id: str


class FrameError(Contract):
    """Data of an `error` frame; the socket stays open unless a close code follows."""

    code: ErrorCode
    message: str
    retry_after_ms: int | None = None


class Ack(Contract):
    """Data of the `ack` to `send_message`: the message is committed. `duplicate` says that it already was."""

    message_id: Uuid
    conversation_id: Uuid
    seq: int
    client_msg_id: str
    duplicate: bool = False


class SendMessage(MessageDraft):
    """Data of `send_message`."""

    conversation_id: Uuid


class RefreshToken(Contract):
    """Data of `refresh_token`: a new token of the same user, before the old one expires."""

    token: str = Field(min_length=1, max_length=16_384)


class TokenRefreshed(Contract):
    """Data of the `ack` to `refresh_token`."""

    expires_at: Instant


class ClientFrame(Contract):
    """What arrives: the action is checked by the edge, the data by whoever handles that action."""

    action: str = Field(max_length=64)
    data: dict[str, Any] = Field(default_factory=dict)
    ref: str | int | None = None


ACTION_OF_EVENT: dict[str, ServerAction] = {
    "conversation.created": ServerAction.CONVERSATION_UPDATED,
    "conversation.updated": ServerAction.CONVERSATION_UPDATED,
    "participant.joined": ServerAction.PARTICIPANT_JOINED,
    "participant.left": ServerAction.PARTICIPANT_LEFT,
    "message.created": ServerAction.NEW_MESSAGE,
    "message.edited": ServerAction.MESSAGE_UPDATED,
    "message.deleted": ServerAction.MESSAGE_DELETED,
    "user.read_advanced": ServerAction.READ,
}
"""Which frame an event becomes. The other events of a user's stream reach devices by sync and history alone."""


def frame_bytes(
    action: ServerAction,
    data: dict[str, Any],
    *,
    frame_id: str | None = None,
    stream: str | None = None,
    seq: int | None = None,
    time: str | None = None,
    ref: str | int | None = None,
) -> bytes:
    """A server frame as UTF-8 JSON; fields that are None are left out."""
    head = {"action": action.value, "id": frame_id, "stream": stream, "seq": seq, "time": time, "ref": ref}
    frame: dict[str, Any] = {name: value for name, value in head.items() if value is not None}
    frame["data"] = data
    return json.dumps(frame, separators=(",", ":"), ensure_ascii=False).encode()


def event_frame(event: Envelope) -> bytes | None:
    """The frame that tells devices of an event, ready to send; None if this event is no frame."""
    action = ACTION_OF_EVENT.get(event.type)
    if action is None:
        return None
    # Who was left out is nobody's business.
    data = {key: value for key, value in event.data.items() if key != "exclude_user_ids"}
    return frame_bytes(action, data, frame_id=event.id, stream=event.subject, seq=event.seq, time=rfc3339(event.time))
