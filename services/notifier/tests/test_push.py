"""Which words a message becomes."""

from __future__ import annotations

import pytest

from contracts.devices import DeviceType
from contracts.messages import MessageType, SenderType
from notifier.push import Priority, compose

from .support import message


@pytest.mark.parametrize(
    ("changes", "title", "content"),
    [
        ({}, "Bob", "hello"),
        ({"content": "您好，请问几点开门？"}, "Bob", "您好，请问几点开门？"),
        ({"message_type": MessageType.IMAGE, "content": "IMG_1.jpg"}, "Bob", "[image]"),
        ({"message_type": MessageType.FILE}, "Bob", "[file]"),
        ({"message_type": MessageType.VOICE}, "Bob", "[voice message]"),
        ({"sender_name": None}, "New message", "hello"),
        ({"sender_name": "", "sender_type": SenderType.SYSTEM}, "System message", "hello"),
        ({"message_type": MessageType.SYSTEM, "content": "maintenance at 22:00"}, "Bob", "maintenance at 22:00"),
    ],
)
def test_title_and_content_by_kind_of_message(changes: dict[str, object], title: str, content: str) -> None:
    """The sender's name is the title; text is shown, anything else has a placeholder."""
    push = compose(message(**changes), "alice")
    assert (push.title, push.content) == (title, content)


def test_important_means_high_priority_and_the_data_opens_the_conversation() -> None:
    """The seed's fields: device class, priority, user, and what a tap on the push does."""
    important = message(is_important=True)
    push = compose(important, "alice")
    assert (push.id, push.user_id, push.device_class) == (important.id, "alice", DeviceType.MOBILE)
    assert push.priority is Priority.HIGH
    assert compose(message(), "alice").priority is Priority.NORMAL
    assert push.data == {"conversation_id": important.conversation_id, "action": "open_conversation"}
