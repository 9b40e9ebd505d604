"""Public events, past tense: what happened, in the shape that everyone outside chat-api may rely on.

Each class carries its `type` and `version`. A change that an old reader would misread is a new class with the next
version; the old one stays, with its frozen example in tests/golden.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, ClassVar

from pydantic import Field

from contracts.codec import Contract
from contracts.devices import DeviceType
from contracts.errors import UnknownEvent
from contracts.ids import UserId, Uuid
from contracts.messages import Message
from contracts.notices import Notification
from contracts.preferences import NotificationSettings
from contracts.times import Instant


class SessionEnd(StrEnum):
    """Why sessions ended."""

    LOGOUT = "logout"
    PASSWORD_CHANGED = "password_changed"  # noqa: S105 - the name of a reason
    REFRESH_TOKEN_REUSED = "refresh_token_reused"  # noqa: S105 - the name of a reason
    REVOKED = "revoked"
    DISCONNECTED = "disconnected"


class AdminAct(StrEnum):
    """What an admin did."""

    DISCONNECT_USER = "disconnect_user"
    BLOCK_USER = "block_user"
    UNBLOCK_USER = "unblock_user"
    REVOKE_SESSIONS = "revoke_sessions"
    BROADCAST = "broadcast"
    REPLAY_PUSHES = "replay_pushes"
    DROP_PUSHES = "drop_pushes"


class EventData(Contract):
    """Base of every event's data."""

    type: ClassVar[str]
    version: ClassVar[int] = 1


class ConversationCreated(EventData):
    """A conversation was opened; the owner is a recipient like every participant."""

    type: ClassVar[str] = "conversation.created"
    conversation_id: Uuid
    title: str | None = None
    owner_id: UserId
    participant_ids: tuple[UserId, ...]
    metadata: dict[str, Any] | None = None
    notes_of: Uuid | None = None
    """Set if this conversation holds the staff's internal notes on that consult. No request can set it."""
    created_at: Instant


class ConversationUpdated(EventData):
    """Title or metadata changed; both are given as they are now."""

    type: ClassVar[str] = "conversation.updated"
    conversation_id: Uuid
    title: str | None = None
    metadata: dict[str, Any] | None = None
    updated_by: UserId
    updated_at: Instant


class ParticipantJoined(EventData):
    """A user became a participant: sees the conversation from here on, and its history."""

    type: ClassVar[str] = "participant.joined"
    conversation_id: Uuid
    user_id: UserId
    added_by: UserId
    joined_at: Instant


class ParticipantLeft(EventData):
    """A user left or was removed: sees this event as the last one."""

    type: ClassVar[str] = "participant.left"
    conversation_id: Uuid
    user_id: UserId
    removed_by: UserId
    left_at: Instant


class MessageCreated(Message, EventData):
    """A message was accepted."""

    type: ClassVar[str] = "message.created"
    exclude_user_ids: tuple[UserId, ...] = ()
    """Users whose devices get no frame for it (a host application's `exclude_user_id`); history shows it to all."""


class MessageEdited(Message, EventData):
    """A message's text changed: the message as it is now. Its `seq` is still that of its creation."""

    type: ClassVar[str] = "message.edited"


class MessageDeleted(Message, EventData):
    """A message was deleted: the tombstone that stays."""

    type: ClassVar[str] = "message.deleted"


class UserRegistered(EventData):
    """A user became known. Secrets are never part of an event."""

    type: ClassVar[str] = "user.registered"
    user_id: UserId
    name: str | None = None
    roles: tuple[str, ...]
    registered_at: Instant


class UserConversationJoined(EventData):
    """The user's own note of a new membership: how a device that was away learns of a conversation."""

    type: ClassVar[str] = "user.conversation_joined"
    user_id: UserId
    conversation_id: Uuid
    at_seq: int = Field(ge=1)
    """The conversation's seq at which the membership begins."""
    joined_at: Instant


class UserConversationLeft(EventData):
    """The user's own note of a membership's end: the conversation can no longer tell this user itself."""

    type: ClassVar[str] = "user.conversation_left"
    user_id: UserId
    conversation_id: Uuid
    at_seq: int = Field(ge=1)
    left_at: Instant


class UserReadAdvanced(EventData):
    """The user has read a conversation up to `seq` (monotonic)."""

    type: ClassVar[str] = "user.read_advanced"
    user_id: UserId
    conversation_id: Uuid
    seq: int = Field(ge=1)
    read_at: Instant


class UserUpdated(EventData):
    """A user's name or roles changed; both are given as they are now."""

    type: ClassVar[str] = "user.updated"
    user_id: UserId
    name: str | None = None
    roles: tuple[str, ...]
    updated_at: Instant


class UserNotified(EventData):
    """The system said something to one user: on every device, and a push if there is none."""

    type: ClassVar[str] = "user.notified"
    notification: Notification
    device_types: tuple[DeviceType, ...] = ()
    """If not empty, only devices of these types get a frame, and only they count as having it."""


class UserSettingsChanged(EventData):
    """The user's wishes about notifications, whole, as they are now."""

    type: ClassVar[str] = "user.settings_changed"
    user_id: UserId
    settings: NotificationSettings
    changed_at: Instant


class UserConversationMuted(EventData):
    """The user muted a conversation, or took that back."""

    type: ClassVar[str] = "user.conversation_muted"
    user_id: UserId
    conversation_id: Uuid
    muted: bool
    until: Instant | None = None
    """None: until it is taken back."""
    changed_at: Instant


class UserBlocked(EventData):
    """The user may not use the service any more: every session is over."""

    type: ClassVar[str] = "user.blocked"
    user_id: UserId
    by: UserId
    blocked_at: Instant


class UserUnblocked(EventData):
    """The user may sign in again."""

    type: ClassVar[str] = "user.unblocked"
    user_id: UserId
    by: UserId
    unblocked_at: Instant


class UserSessionsEnded(EventData):
    """Tokens of one session, or of all of a user's sessions up to now, are good no more."""

    type: ClassVar[str] = "user.sessions_ended"
    user_id: UserId
    session_id: Uuid | None = None
    """None: all."""
    reason: SessionEnd
    by: UserId
    ended_at: Instant


class AdminActed(EventData):
    """An admin did something, recorded in the admin's own stream."""

    type: ClassVar[str] = "user.admin_acted"
    user_id: UserId
    """The admin."""
    act: AdminAct
    target: str | None = None
    details: dict[str, Any] | None = None
    acted_at: Instant


class ConsultOpened(EventData):
    """A customer asks for somebody, and waits in the queue."""

    type: ClassVar[str] = "consult.opened"
    conversation_id: Uuid
    customer_id: UserId
    topic: str | None = None
    opened_at: Instant


class ConsultTaken(EventData):
    """A consultant took the consult from the queue."""

    type: ClassVar[str] = "consult.taken"
    conversation_id: Uuid
    consultant_id: UserId
    taken_at: Instant


class ConsultAssigned(EventData):
    """Somebody gave a waiting consult to a consultant."""

    type: ClassVar[str] = "consult.assigned"
    conversation_id: Uuid
    consultant_id: UserId
    by: UserId
    assigned_at: Instant


class ConsultHandedOver(EventData):
    """The consult went from one consultant to another, or back into the queue (`to_id` is None)."""

    type: ClassVar[str] = "consult.handed_over"
    conversation_id: Uuid
    from_id: UserId
    to_id: UserId | None = None
    by: UserId
    handed_over_at: Instant


class ConsultClosed(EventData):
    """The consult is over; the conversation and its history stay."""

    type: ClassVar[str] = "consult.closed"
    conversation_id: Uuid
    by: UserId
    closed_at: Instant


EVENT_CLASSES: tuple[type[EventData], ...] = (
    ConversationCreated,
    ConversationUpdated,
    ParticipantJoined,
    ParticipantLeft,
    MessageCreated,
    MessageEdited,
    MessageDeleted,
    UserRegistered,
    UserConversationJoined,
    UserConversationLeft,
    UserReadAdvanced,
    UserUpdated,
    UserNotified,
    UserSettingsChanged,
    UserConversationMuted,
    UserBlocked,
    UserUnblocked,
    UserSessionsEnded,
    AdminActed,
    ConsultOpened,
    ConsultTaken,
    ConsultAssigned,
    ConsultHandedOver,
    ConsultClosed,
)

_BY_TYPE_AND_VERSION = {(cls.type, cls.version): cls for cls in EVENT_CLASSES}


def event_class(event_type: str, version: int) -> type[EventData]:
    """The class of a type and version; raises `UnknownEvent`."""
    try:
        return _BY_TYPE_AND_VERSION[event_type, version]
    except KeyError:
        raise UnknownEvent(f"event {event_type!r} version {version} is unknown to this release") from None
