"""Which words a message becomes."""

from __future__ import annotations

import pytest

from contracts.devices import DeviceType
from contracts.messages import MessageType, Notice, SenderType
from notifier.push import Priority, compose

from .support import message, notified

KNOWN = "01981f5e-7d2a-7c30-9c4e-5b1d6a0f2e47"
"""An id that does not change: a test's name has to be the same in every process of a run."""


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


def test_s5_a_notice_in_a_conversation_has_its_own_title() -> None:
    """A system notification says what it is about instead of who sent it; a tap opens the conversation."""
    notice = message(
        sender_id="system",
        sender_type=SenderType.SYSTEM,
        sender_name=None,
        message_type=MessageType.SYSTEM,
        content="at 22:00",
        notice=Notice(title="Maintenance", type="maintenance"),
    )
    push = compose(notice, "alice")
    assert (push.title, push.content) == ("Maintenance", "at 22:00")
    assert push.data == {"conversation_id": notice.conversation_id, "action": "open_conversation"}


@pytest.mark.parametrize(
    ("action", "conversation_id", "opens"),
    [
        ("open_appointment", None, "open_appointment"),
        ("open_appointment", KNOWN, "open_appointment"),
        (None, KNOWN, "open_conversation"),
        (None, None, "open_notifications"),
    ],
)
def test_s2_a_notification_brings_its_own_words_and_action(
    action: str | None, conversation_id: str | None, opens: str
) -> None:
    """Title and content are the notification's; the action is the application's, or what it belongs to."""
    told = notified(action=action, conversation_id=conversation_id, is_important=True)
    push = compose(told, "alice")
    assert (push.id, push.title, push.content) == (told.notification.id, "Your appointment", "tomorrow at nine")
    assert push.priority is Priority.HIGH
    expected = {"action": opens, "type": "appointment_reminder"}
    assert push.data == (expected if conversation_id is None else expected | {"conversation_id": conversation_id})
