"""Which words a message becomes, in which language."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.attachments import Attachment
from contracts.devices import DeviceType, Platform, PushDevice, PushService
from contracts.ids import new_id
from contracts.messages import MessageType, Notice, SenderType
from contracts.preferences import NotificationSettings
from contracts.pushfacts import DeliveryFacts, UserFacts
from notifier.compose import Composer, PushContent
from notifier.decide import Facts
from notifier.push import Priority, Push, PushKind
from notifier.texts import Texts

from .support import AT, message, notified

COMPOSER = Composer(Texts())
CONVERSATION = "01981f5e-7d2a-7c30-9c4e-5b1d6a0f2e47"
"""An id that does not change: a test's name has to be the same in every process of a run."""


def facts(title: str | None = None, **settings: Any) -> Facts:
    """Alice has three conversations with something unread."""
    user = UserFacts(user_id="alice", badge=3, settings=NotificationSettings(**settings))
    return Facts(DeliveryFacts(user_id="alice", event_id=new_id(), conversation_title=title), user)


def device(locale: str | None = None) -> PushDevice:
    """A phone of alice's."""
    return PushDevice(
        id=new_id(),
        app_id="app",
        platform=Platform.IOS,
        push_service=PushService.APNS,
        device_type=DeviceType.TABLET,
        token="secret",
        locale=locale,
        sandbox=True,
        registered_at=AT,
    )


def push_of(told: Any, given_facts: Facts | None = None, *, locale: str | None = None) -> Push:
    """The push to alice's phone."""
    return COMPOSER.compose(told, given_facts or facts(), device(locale), new_id())


def file(name: str, duration_ms: int | None = None) -> Attachment:
    """An attachment."""
    return Attachment(
        id=new_id(), name=name, media_type="audio/ogg", size_bytes=9, sha256="a" * 64, duration_ms=duration_ms
    )


@pytest.mark.parametrize(
    ("changes", "title", "english", "chinese"),
    [
        ({}, "Bob", "hello", "hello"),
        ({"content": "您好，请问几点开门？"}, "Bob", "您好，请问几点开门？", "您好，请问几点开门？"),
        ({"message_type": MessageType.IMAGE, "content": "IMG_1.jpg"}, "Bob", "🖼 Image", "🖼 图片"),
        ({"message_type": MessageType.FILE}, "Bob", "📎 File", "📎 文件"),
        ({"message_type": MessageType.FILE, "attachment": file("片子.pdf")}, "Bob", "📎 片子.pdf", "📎 片子.pdf"),
        ({"message_type": MessageType.VOICE}, "Bob", "🎤 Voice message", "🎤 语音消息"),
        (
            {"message_type": MessageType.VOICE, "attachment": file("a.ogg", 72_400)},
            "Bob",
            "🎤 Voice message (1:12)",
            "🎤 语音消息（1:12）",
        ),
        ({"message_type": MessageType.SYSTEM, "content": "maintenance"}, "Bob", "maintenance", "maintenance"),
    ],
)
def test_title_and_content_by_kind_of_message(
    changes: dict[str, object], title: str, english: str, chinese: str
) -> None:
    """The sender's name is the title; text is shown as it is, anything else has words of the reader's language."""
    told = message(**changes)
    for locale, content in (("en", english), ("zh-CN", chinese)):
        push = push_of(told, locale=locale)
        assert (push.title, push.content) == (title, content)


@pytest.mark.parametrize(
    ("changes", "english", "chinese"),
    [
        ({"sender_name": None}, "New message", "新消息"),
        ({"sender_name": "", "sender_type": SenderType.SYSTEM}, "System message", "系统消息"),
    ],
)
def test_who_has_no_name_is_told_in_the_readers_language(
    changes: dict[str, object], english: str, chinese: str
) -> None:
    """Nobody wants to read `None`."""
    assert push_of(message(**changes)).title == english
    assert push_of(message(**changes), locale="zh").title == chinese


def test_a_conversation_with_a_title_says_it() -> None:
    """Who wrote, and where."""
    assert push_of(message(), facts("Knee surgery")).title == "Bob · Knee surgery"


def test_important_means_high_priority_and_the_data_opens_the_conversation() -> None:
    """The seed's fields: device class, priority, user, and what a tap does; and what the app acknowledges."""
    important = message(is_important=True)
    phone, push_id = device(), new_id()
    push = COMPOSER.compose(important, facts(), phone, push_id, retract=("c9",))
    assert (push.id, push.message_id, push.user_id) == (push_id, important.id, "alice")
    assert (push.priority, push.badge, push.group) == (Priority.HIGH, 3, important.conversation_id)
    assert (push.kind, push.retract, push.device_class) == (PushKind.ALERT, ("c9",), DeviceType.TABLET)
    assert push.data == {
        "conversation_id": important.conversation_id,
        "action": "open_conversation",
        "message_id": important.id,
        "push_id": push_id,
    }
    assert push.target is not None
    assert (push.target.device, push.target.token, push.target.sandbox) == (phone.id, "secret", True)
    assert push_of(message()).priority is Priority.NORMAL


def test_without_a_device_it_is_for_a_mobile() -> None:
    """What the logging provider prints while no device is registered."""
    push = COMPOSER.compose(message(), facts(), None, new_id())
    assert (push.target, push.device_class) == (None, DeviceType.MOBILE)


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
    push = push_of(notice)
    assert (push.title, push.content) == ("Maintenance", "at 22:00")
    assert push.data["action"] == "open_conversation"


@pytest.mark.parametrize(
    ("action", "conversation_id", "opens"),
    [
        ("open_appointment", None, "open_appointment"),
        ("open_appointment", CONVERSATION, "open_appointment"),
        (None, CONVERSATION, "open_conversation"),
        (None, None, "open_notifications"),
    ],
)
def test_s2_a_notification_brings_its_own_words_and_action(
    action: str | None, conversation_id: str | None, opens: str
) -> None:
    """Title and content are the notification's; the action is the application's, or what it belongs to."""
    told = notified(action=action, conversation_id=conversation_id, is_important=True)
    push = push_of(told)
    assert (push.message_id, push.title, push.content) == (told.notification.id, "Your appointment", "tomorrow at nine")
    assert (push.priority, push.group) == (Priority.HIGH, conversation_id)
    assert (push.data["action"], push.data["type"]) == (opens, "appointment_reminder")
    assert push.data.get("conversation_id") == conversation_id


@pytest.mark.parametrize(
    ("composer", "given_facts"),
    [(Composer(Texts(), PushContent.IDS), facts("Knee surgery")), (COMPOSER, facts("Knee surgery", show_text=False))],
)
@pytest.mark.parametrize("told", [message(content="the diagnosis"), notified(title="Knee", content="the diagnosis")])
def test_ids_only_lets_no_word_out(composer: Composer, given_facts: Facts, told: Any) -> None:
    """By the deployment's setting or the user's: neither the text nor a name leaves for the push services."""
    push = composer.compose(told, given_facts, device("zh-CN"), new_id())
    assert (push.title, push.content) == ("新消息", "打开应用查看")
    told_by_data = " ".join(push.data.values())
    assert not any(word in told_by_data for word in ("diagnosis", "Knee", "Bob"))


# --- digests ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("held", "english", "chinese", "action"),
    [
        (2, "2 messages in 1 conversation", "1 个会话中有 2 条新消息", "open_conversation"),
        (3, "3 messages in 2 conversations", "2 个会话中有 3 条新消息", "open_conversations"),
    ],
)
def test_what_was_held_becomes_one_push(held: int, english: str, chinese: str, action: str) -> None:
    """How many messages in how many conversations; a tap opens the one, or the list."""
    told = [message(conversation_id=CONVERSATION), message(conversation_id=CONVERSATION), message()][:held]
    push = COMPOSER.digest(told, facts(), device("en"), new_id())
    assert (push.title, push.content, push.data["action"]) == ("While you were away", english, action)
    assert push.message_id == told[-1].id
    assert COMPOSER.digest(told, facts(), device("zh-CN"), new_id()).content == chinese


def test_one_that_was_held_is_told_as_itself() -> None:
    """A digest of one would say less than the message."""
    told = message()
    push_id, phone = new_id(), device()
    assert COMPOSER.digest([told], facts(), phone, push_id) == COMPOSER.compose(told, facts(), phone, push_id)


def test_held_notifications_are_counted_without_a_conversation() -> None:
    """They belong to none."""
    push = COMPOSER.digest([notified(), notified()], facts(), device(), new_id())
    assert (push.content, push.data["action"], push.group) == ("2 messages", "open_notifications", None)


def test_a_retraction_shows_nothing() -> None:
    """It names the conversations, and brings the badge up to date."""
    push = COMPOSER.retraction(["c1"], "alice", device(), new_id(), 0)
    assert (push.kind, push.retract, push.badge, push.title, push.content) == (PushKind.RETRACTION, ("c1",), 0, "", "")
