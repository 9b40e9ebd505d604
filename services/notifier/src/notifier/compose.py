"""The words of a push: from a message or a notification, in the reader's language; pure."""

from __future__ import annotations

from contracts.devices import DeviceType
from contracts.events import MessageCreated, UserNotified
from contracts.messages import Message, MessageType, SenderType
from contracts.notices import Notification
from notifier.push import Priority, Push

_PLACEHOLDERS = {
    MessageType.IMAGE: "[image]",
    MessageType.FILE: "[file]",
    MessageType.VOICE: "[voice message]",
}


def compose(told: MessageCreated | UserNotified, user_id: str) -> Push:
    """The push that tells `user_id` of a message or a notification. Until devices are registered it is for a mobile."""
    match told:
        case UserNotified(notification=notification):
            return _of_notification(notification, user_id)
        case MessageCreated():
            return _of_message(told, user_id)


def _of_notification(notification: Notification, user_id: str) -> Push:
    """The system's own words. What a tap opens is the application's action, or else the conversation it belongs to."""
    data = {"action": notification.action or _default_action(notification), "type": notification.type}
    if notification.conversation_id is not None:
        data["conversation_id"] = notification.conversation_id
    return Push(
        id=notification.id,
        message_id=notification.id,
        target=None,
        user_id=user_id,
        device_class=DeviceType.MOBILE,
        priority=_priority(notification.is_important),
        title=notification.title,
        content=notification.content,
        data=data,
    )


def _default_action(notification: Notification) -> str:
    return "open_notifications" if notification.conversation_id is None else "open_conversation"


def _of_message(message: Message, user_id: str) -> Push:
    """Of a message, or of a notice in a conversation, which has a title of its own.

    The content of an image, file or voice message is a name or a reference, nothing to read on a lock screen, so a
    placeholder stands for it.
    """
    return Push(
        id=message.id,
        message_id=message.id,
        target=None,
        user_id=user_id,
        device_class=DeviceType.MOBILE,
        priority=_priority(message.is_important),
        title=_title(message),
        content=_PLACEHOLDERS.get(message.message_type, message.content),
        data={"conversation_id": message.conversation_id, "action": "open_conversation"},
    )


def _priority(is_important: bool) -> Priority:
    return Priority.HIGH if is_important else Priority.NORMAL


def _title(message: Message) -> str:
    if message.notice is not None:
        return message.notice.title
    if message.sender_name:
        return message.sender_name
    return "System message" if message.sender_type is SenderType.SYSTEM else "New message"
