"""What the system says: into a conversation, to one user, and to many at once; and what admins did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chat_api.domain.commands import SYSTEM_ID, Actor
from chat_api.domain.conversation import Conversation
from chat_api.domain.errors import Forbidden, NotFound
from chat_api.domain.user import User
from contracts.devices import DeviceType
from contracts.events import AdminAct, AdminActed, EventData, MessageCreated, UserNotified
from contracts.messages import MessageType, Notice, SenderType
from contracts.notices import Notification, NotificationDraft, SystemNotificationDraft


@dataclass(frozen=True, slots=True)
class NotifyConversation:
    """Tell everybody in a conversation: seed row S5."""

    conversation_id: str
    message_id: str
    actor: Actor
    draft: SystemNotificationDraft
    now: datetime


@dataclass(frozen=True, slots=True)
class NotifyUser:
    """Tell one user, on every device or on those of some types: seed row S2."""

    notification_id: str
    actor: Actor
    user_id: str
    draft: NotificationDraft
    device_types: tuple[DeviceType, ...]
    now: datetime


@dataclass(frozen=True, slots=True)
class Broadcast:
    """Tell everybody, or everybody who has one of `roles`."""

    broadcast_id: str
    actor: Actor
    draft: NotificationDraft
    roles: tuple[str, ...]
    now: datetime


@dataclass(frozen=True, slots=True)
class DisconnectUser:
    """Close a user's sockets: all, one, or those of a type."""

    actor: Actor
    user_id: str
    connection_id: str | None
    device_type: DeviceType | None
    now: datetime


def notify_conversation(state: Conversation | None, command: NotifyConversation) -> tuple[EventData, ...]:
    """A message of the system, like every other in the conversation's order; nobody is its sender."""
    _require_privileged(command.actor)
    if state is None:
        raise NotFound
    draft = command.draft
    return (
        MessageCreated(
            id=command.message_id,
            conversation_id=state.conversation_id,
            seq=state.last_seq + 1,
            sender_id=SYSTEM_ID,
            sender_type=SenderType.SYSTEM,
            message_type=MessageType.SYSTEM,
            content=draft.message,
            notice=Notice(title=draft.title, type=draft.type, data=draft.data),
            is_important=draft.is_important,
            created_at=command.now,
        ),
    )


def notify_user(state: User | None, command: NotifyUser) -> tuple[EventData, ...]:
    """A notification in the user's own stream."""
    _require_privileged(command.actor)
    if state is None:
        raise NotFound("There is no such user.")
    said = notification(command.draft, command.notification_id, command.user_id, command.now)
    return (UserNotified(notification=said, device_types=command.device_types),)


def broadcast(command: Broadcast, recipients: int) -> tuple[EventData, ...]:
    """The act itself; each recipient's notification follows from it, one by one."""
    _require_privileged(command.actor)
    draft = command.draft.model_dump(mode="json", exclude_none=True)
    details = {"draft": draft, "roles": list(command.roles), "recipients": recipients}
    return (_acted(command.actor, AdminAct.BROADCAST, command.broadcast_id, details, command.now),)


def disconnect_user(command: DisconnectUser) -> tuple[EventData, ...]:
    """The act; the sockets are closed by whoever holds them."""
    _require_privileged(command.actor)
    details = {
        name: value
        for name, value in (("connection_id", command.connection_id), ("device_type", command.device_type))
        if value is not None
    }
    return (_acted(command.actor, AdminAct.DISCONNECT_USER, command.user_id, details or None, command.now),)


def told(
    draft: NotificationDraft, broadcast_id: str, ids: Sequence[tuple[str, str]], now: datetime
) -> tuple[UserNotified, ...]:
    """A broadcast as its recipients get it, from (user id, notification id)."""
    return tuple(
        UserNotified(notification=notification(draft, notification_id, user_id, now, broadcast_id))
        for user_id, notification_id in ids
    )


def notification(
    draft: NotificationDraft, notification_id: str, user_id: str, now: datetime, broadcast_id: str | None = None
) -> Notification:
    """The draft as said to one user."""
    return Notification(
        id=notification_id,
        user_id=user_id,
        title=draft.title,
        content=draft.content,
        type=draft.type,
        action=draft.action,
        conversation_id=draft.conversation_id,
        is_important=draft.is_important,
        data=draft.data,
        broadcast_id=broadcast_id,
        created_at=now,
    )


def _acted(actor: Actor, act: AdminAct, target: str, details: dict[str, Any] | None, now: datetime) -> AdminActed:
    return AdminActed(user_id=actor.user_id, act=act, target=target, details=details, acted_at=now)


def _require_privileged(actor: Actor) -> None:
    if not actor.privileged:
        raise Forbidden("Only a service or an admin may do that.")
