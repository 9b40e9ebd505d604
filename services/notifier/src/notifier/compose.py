"""The words of a push: from messages and notifications, in the reader's language; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from contracts.devices import DeviceType, PushDevice
from contracts.events import MessageCreated, UserNotified
from contracts.messages import Message, MessageType, SenderType
from contracts.notices import Notification
from notifier.decide import Facts
from notifier.push import Priority, Push, PushKind, Target
from notifier.texts import Texts

Told: TypeAlias = MessageCreated | UserNotified


class PushContent(StrEnum):
    """How much of a message leaves for the push services."""

    FULL = "full"
    """Its text, as far as it fits."""
    IDS = "ids"
    """Ids only, and a sentence that is always the same: the app fetches the text by itself."""


@dataclass(frozen=True, slots=True)
class Composer:
    """What all pushes of a deployment have in common."""

    texts: Texts
    content: PushContent = PushContent.FULL
    ttl_s: float = 86_400.0

    def compose(
        self, told: Told, facts: Facts, device: PushDevice | None, push_id: str, *, retract: Sequence[str] = ()
    ) -> Push:
        """The push that tells of one message or notification; without a device it is for whatever mobile there is."""
        locale = _locale(facts, device)
        if isinstance(told, UserNotified):
            note = told.notification
            title, content, data = note.title, note.content, _data_of(note)
            told_id, group, important = note.id, note.conversation_id, note.is_important
        else:
            title, content = self._title(told, facts, locale), self._content(told, locale)
            data = {"conversation_id": told.conversation_id, "action": "open_conversation"}
            told_id, group, important = told.id, told.conversation_id, told.is_important
        if self._hidden(facts):
            title, content = self.texts.say(locale, "hidden-title"), self.texts.say(locale, "hidden-content")
        return self._push(
            facts, device, push_id,
            message_id=told_id, group=group, important=important, title=title, content=content, data=data,
            retract=retract,
        )  # fmt: skip

    def digest(
        self,
        held: Sequence[Told],
        facts: Facts,
        device: PushDevice | None,
        push_id: str,
        *,
        retract: Sequence[str] = (),
    ) -> Push:
        """The one push for everything that was held, in its order; `facts` are those of the last one. One alone is
        told as itself."""
        if len(held) == 1:
            return self.compose(held[0], facts, device, push_id, retract=retract)
        locale = _locale(facts, device)
        groups = {group for told in held if (group := _group(told)) is not None}
        values = {"messages": len(held), "conversations": len(groups)}
        one_group = len(groups) == 1 and all(_group(told) is not None for told in held)
        data = {"action": "open_conversation", "conversation_id": next(iter(groups))} if one_group else {
            "action": "open_conversations" if groups else "open_notifications"
        }  # fmt: skip
        return self._push(
            facts, device, push_id,
            message_id=_id(held[-1]), group=next(iter(groups)) if one_group else None,
            important=any(_is_important(told) for told in held),
            title=self.texts.say(locale, "digest-title"), content=self.texts.say(locale, "digest-content", values),
            data=data, retract=retract,
        )  # fmt: skip

    def retraction(
        self, groups: Sequence[str], user_id: str, device: PushDevice, push_id: str, badge: int | None
    ) -> Push:
        """What tells a device to take back what it shows of these conversations."""
        return Push(
            id=push_id,
            message_id=push_id,
            user_id=user_id,
            target=target(device),
            device_class=device.device_type,
            priority=Priority.NORMAL,
            title="",
            content="",
            data={"push_id": push_id, "action": "retract"},
            kind=PushKind.RETRACTION,
            badge=badge,
            ttl_s=int(self.ttl_s),
            retract=tuple(groups),
        )

    def _hidden(self, facts: Facts) -> bool:
        return self.content is PushContent.IDS or not facts.user.settings.show_text

    def _title(self, message: Message, facts: Facts, locale: str | None) -> str:
        if message.notice is not None:
            return message.notice.title
        if not message.sender_name:
            return self.texts.say(locale, "system" if message.sender_type is SenderType.SYSTEM else "nobody")
        conversation = facts.delivery.conversation_title
        if conversation is None:
            return self.texts.say(locale, "message-title", {"sender": message.sender_name})
        return self.texts.say(
            locale, "message-title-in-conversation", {"sender": message.sender_name, "conversation": conversation}
        )

    def _content(self, message: Message, locale: str | None) -> str:
        """The text; of an image, file or voice message the content is a caption or a name, often nothing to read."""
        attachment = message.attachment
        match message.message_type:
            case MessageType.IMAGE:
                return self.texts.say(locale, "image")
            case MessageType.FILE:
                if attachment is None:
                    return self.texts.say(locale, "file-without-name")
                return self.texts.say(locale, "file", {"name": attachment.name})
            case MessageType.VOICE:
                if attachment is None or attachment.duration_ms is None:
                    return self.texts.say(locale, "voice")
                return self.texts.say(locale, "voice-with-length", {"length": _length(attachment.duration_ms)})
            case _:
                return message.content

    def _push(
        self,
        facts: Facts,
        device: PushDevice | None,
        push_id: str,
        *,
        message_id: str,
        group: str | None,
        important: bool,
        title: str,
        content: str,
        data: dict[str, str],
        retract: Sequence[str],
    ) -> Push:
        return Push(
            id=push_id,
            message_id=message_id,
            user_id=facts.user.user_id,
            target=None if device is None else target(device),
            device_class=DeviceType.MOBILE if device is None else device.device_type,
            priority=Priority.HIGH if important else Priority.NORMAL,
            title=title,
            content=content,
            data={**data, "message_id": message_id, "push_id": push_id},
            group=group,
            badge=facts.user.badge,
            ttl_s=int(self.ttl_s),
            retract=tuple(retract),
        )


def target(device: PushDevice) -> Target:
    """A registered device as providers know it."""
    return Target(
        device=device.id,
        service=device.push_service,
        token=device.token,
        keys=device.keys,
        app_id=device.app_id,
        platform=device.platform,
        device_type=device.device_type,
        locale=device.locale,
        sandbox=device.sandbox,
        registered_at=device.registered_at,
    )


def _locale(facts: Facts, device: PushDevice | None) -> str | None:
    return (device.locale if device is not None else None) or facts.user.settings.locale


def _data_of(notification: Notification) -> dict[str, str]:
    """What a tap opens is the application's action, or else the conversation that it belongs to."""
    default = "open_notifications" if notification.conversation_id is None else "open_conversation"
    data = {"action": notification.action or default, "type": notification.type}
    if notification.conversation_id is not None:
        data["conversation_id"] = notification.conversation_id
    return data


def _id(told: Told) -> str:
    return told.notification.id if isinstance(told, UserNotified) else told.id


def _group(told: Told) -> str | None:
    return told.notification.conversation_id if isinstance(told, UserNotified) else told.conversation_id


def _is_important(told: Told) -> bool:
    return told.notification.is_important if isinstance(told, UserNotified) else told.is_important


def _length(duration_ms: int) -> str:
    minutes, seconds = divmod(round(duration_ms / 1000), 60)
    return f"{minutes}:{seconds:02d}"
