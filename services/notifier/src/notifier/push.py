"""A push before any provider's format: who, how urgent, which words; pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from contracts.devices import DeviceType
from contracts.messages import Message, MessageType, SenderType


class Priority(StrEnum):
    """How hard the provider shall try to wake the device."""

    NORMAL = "normal"
    HIGH = "high"


@dataclass(frozen=True, slots=True)
class Push:
    """One push to one user. `id` is the message's id: a device that gets the push twice shows it once."""

    id: str
    user_id: str
    device_class: DeviceType
    priority: Priority
    title: str
    content: str
    data: dict[str, str]


_PLACEHOLDERS = {
    MessageType.IMAGE: "[image]",
    MessageType.FILE: "[file]",
    MessageType.VOICE: "[voice message]",
}


def compose(message: Message, user_id: str) -> Push:
    """The push that tells `user_id` of `message`.

    The content of an image, file or voice message is a name or a reference, nothing to read on a lock screen, so a
    placeholder stands for it. Until devices are registered every push is for a mobile.
    """
    return Push(
        id=message.id,
        user_id=user_id,
        device_class=DeviceType.MOBILE,
        priority=Priority.HIGH if message.is_important else Priority.NORMAL,
        title=_title(message),
        content=_PLACEHOLDERS.get(message.message_type, message.content),
        data={"conversation_id": message.conversation_id, "action": "open_conversation"},
    )


def _title(message: Message) -> str:
    if message.sender_name:
        return message.sender_name
    return "System message" if message.sender_type is SenderType.SYSTEM else "New message"
