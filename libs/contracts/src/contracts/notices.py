"""What the system says to people: notices in a conversation, notifications to one user."""

from __future__ import annotations

from typing import Annotated

from pydantic import StringConstraints

from contracts.codec import Contract, Flag
from contracts.ids import UserId, Uuid
from contracts.messages import Content, Metadata, NoticeType, SenderType, Title
from contracts.times import Instant

ActionName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
"""What an application should do when the notification is opened, such as `open_appointment`."""


class NotificationDraft(Contract):
    """Body of `POST /v1/users/{id}/notifications`: seed row S2."""

    title: Title
    content: Content
    type: NoticeType
    action: ActionName | None = None
    conversation_id: Uuid | None = None
    is_important: Flag = False
    data: Metadata | None = None


class Notification(Contract):
    """What was said to one user: data of a `direct_message` frame, and an entry of `GET /v1/notifications`."""

    id: Uuid
    """A UUIDv7: notifications sort by it."""
    user_id: UserId
    sender_type: SenderType = SenderType.SYSTEM
    title: str
    content: str
    type: str
    action: str | None = None
    conversation_id: Uuid | None = None
    is_important: bool = False
    data: Metadata | None = None
    broadcast_id: Uuid | None = None
    """Set if it was said to many at once."""
    created_at: Instant


class SystemNotificationDraft(Contract):
    """Body of `POST /v1/conversations/{id}/system-notifications`: seed row S5."""

    title: Title
    message: Content
    type: NoticeType
    is_important: Flag = False
    data: Metadata | None = None
