"""Frames between a client and the edge: `{"action": …, "data": {…}}`."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from contracts.codec import Contract, Flag, WholeNumber
from contracts.codes import ErrorCode
from contracts.devices import DeviceType
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


PRESENCE_USERS_MAX = 200
"""Most users whose presence one socket may follow."""

TYPING_EXPIRES_MS = 6_000
"""A typing signal that is not renewed ends by itself after this; clients renew every 3 s while somebody types."""


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
    DELIVERED = "delivered"
    CONSULT_UPDATED = "consult_updated"
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
    ACTIVITY = "activity"
    PING = "ping"


class ConnectionType(StrEnum):
    """What a socket is for."""

    CHAT = "chat"
    ADMIN = "admin"


class ServerLimits(Contract):
    """What a client must keep to."""

    frame_bytes_max: int = FRAME_BYTES_MAX
    frames_per_s: float | None = None
    """How many frames a client may send in the long run; above it: `rate_limited`, then close 4429."""
    presence_users_max: int = PRESENCE_USERS_MAX
    typing_expires_ms: int = TYPING_EXPIRES_MS
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


class Activity(Contract):
    """Data of `activity`, and of its `ack`: whether somebody sits before the device. A new socket counts as active.

    What only idle desktops got becomes a push to the phone after a while.
    """

    active: Flag


class TokenRefreshed(Contract):
    """Data of the `ack` to `refresh_token`."""

    expires_at: Instant


class Typing(Contract):
    """Data of a client's `typing`."""

    conversation_id: Uuid
    is_typing: Flag


class TypingUpdate(Contract):
    """Data of a server's `typing`. Without renewal it is taken back after `TYPING_EXPIRES_MS`, by a frame too."""

    conversation_id: Uuid
    user_id: UserId
    is_typing: bool


class MarkRead(Contract):
    """Data of `mark_read`: everything up to `seq` was read."""

    conversation_id: Uuid
    seq: WholeNumber


class ReadUpdate(Contract):
    """Data of `read`: how far somebody has read. Also the `ack` to `mark_read`, with what holds then."""

    conversation_id: Uuid
    user_id: UserId
    seq: int


class DeliveredUpdate(Contract):
    """Data of `delivered`, for the sender: a device of `user_id` has had everything up to `seq`'s message."""

    conversation_id: Uuid
    user_id: UserId
    seq: int


class PresenceSubscribe(Contract):
    """Data of `presence_subscribe`: replaces what this socket was subscribed to. An empty list ends it.

    The `ack` holds the state of those whom the caller may see: who shares a conversation with them, or is staff.
    """

    user_ids: Annotated[tuple[UserId, ...], Field(max_length=PRESENCE_USERS_MAX)]


class PresenceUpdate(Contract):
    """Data of `presence`."""

    user_id: UserId
    online: bool
    device_types: tuple[DeviceType, ...] = ()


class PresenceStates(Contract):
    """Data of the `ack` to `presence_subscribe`."""

    users: tuple[PresenceUpdate, ...]


class ConsultUpdate(Contract):
    """Data of the live `consult_updated` that all consultants and doctors get: a consult as it stands.

    The people in the conversation get the event itself as a durable frame, of the same action.
    """

    conversation_id: Uuid
    event: str
    """The event that this is about, such as `consult.taken`."""
    state: str
    """`waiting`, `active` or `closed`."""
    customer_id: UserId
    assignee_id: UserId | None = None
    topic: str | None = None


class ClientFrame(Contract):
    """What arrives: the action is checked by the edge, the data by whoever handles that action."""

    action: str = Field(max_length=64)
    data: dict[str, Any] = Field(default_factory=dict)
    ref: str | int | None = None
    traceparent: str | None = None
    """W3C trace context of the client's own work, if it traces; what is no valid one counts as none."""


ACTION_OF_EVENT: dict[str, ServerAction] = {
    "conversation.created": ServerAction.CONVERSATION_UPDATED,
    "conversation.updated": ServerAction.CONVERSATION_UPDATED,
    "participant.joined": ServerAction.PARTICIPANT_JOINED,
    "participant.left": ServerAction.PARTICIPANT_LEFT,
    "message.created": ServerAction.NEW_MESSAGE,
    "message.edited": ServerAction.MESSAGE_UPDATED,
    "message.deleted": ServerAction.MESSAGE_DELETED,
    "user.read_advanced": ServerAction.READ,
    "user.notified": ServerAction.DIRECT_MESSAGE,
    "consult.opened": ServerAction.CONSULT_UPDATED,
    "consult.taken": ServerAction.CONSULT_UPDATED,
    "consult.assigned": ServerAction.CONSULT_UPDATED,
    "consult.handed_over": ServerAction.CONSULT_UPDATED,
    "consult.closed": ServerAction.CONSULT_UPDATED,
}
"""Which frame an event becomes; a message that is a notice becomes `system_notification` instead of `new_message`.
The other events of a user's stream reach devices by sync and history alone."""


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


def expired_frame(key: str) -> bytes | None:
    """The frame that takes back a live signal that was not renewed; None if `key` is of a kind that just ends."""
    kind, _, rest = key.partition(":")
    if kind != "typing":
        return None
    conversation_id, _, user_id = rest.partition(":")
    return frame_bytes(
        ServerAction.TYPING, {"conversation_id": conversation_id, "user_id": user_id, "is_typing": False}
    )


def live_key(kind: str, conversation_id: str, user_id: str) -> str:
    """The key of a live signal about a user in a conversation: the latest of one key replaces an unsent older one."""
    return f"{kind}:{conversation_id}:{user_id}"


def event_frame(event: Envelope) -> bytes | None:
    """The frame that tells devices of an event, ready to send; None if this event is no frame."""
    action = ACTION_OF_EVENT.get(event.type)
    if action is None:
        return None
    # Who was left out is nobody's business.
    data = {key: value for key, value in event.data.items() if key != "exclude_user_ids"}
    if event.type == "message.created" and data.get("notice") is not None:
        action = ServerAction.SYSTEM_NOTIFICATION
    elif event.type == "user.notified":
        data = data["notification"]
    elif event.type.startswith("consult."):
        data["event"] = event.type
    return frame_bytes(action, data, frame_id=event.id, stream=event.subject, seq=event.seq, time=rfc3339(event.time))
