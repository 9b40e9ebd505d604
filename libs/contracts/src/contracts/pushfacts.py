"""What the notifier asks of chat-api before each push: how things stand now, not how they stood when it was written.

Asked over NATS (`natter.notifier.facts`), for many deliveries at once. The record answers, so that what was read,
deleted, edited, muted or left meanwhile counts; nothing of it is stored by the notifier.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from contracts.codec import Contract
from contracts.devices import DeviceType, PushDevice
from contracts.ids import UserId, Uuid
from contracts.preferences import NotificationSettings
from contracts.times import Instant

QUESTIONS_MAX = 40
"""Deliveries of one request: the answer, with every device of every user, stays below NATS' limit of 1 MB."""

CONTENT_CHARS_MAX = 1_024
"""As much of an edited message as any push can show."""


class PushQuestion(Contract):
    """One delivery: an event and a user."""

    user_id: UserId
    event_id: Uuid
    conversation_id: Uuid | None = None
    """None for what was said to one user alone, outside of any conversation."""
    message_id: Uuid | None = None
    seq: int | None = None
    """The message's place in its conversation."""


class PushFactsCommand(Contract):
    """`natter.notifier.facts`. `user_ids` are asked for beside those of the questions."""

    questions: Annotated[tuple[PushQuestion, ...], Field(max_length=QUESTIONS_MAX)] = ()
    user_ids: Annotated[tuple[UserId, ...], Field(max_length=QUESTIONS_MAX)] = ()


class DeliveryFacts(Contract):
    """How one delivery stands. The answers are in the order of the questions."""

    user_id: UserId
    event_id: Uuid
    member: bool = True
    """Takes part in the conversation now."""
    members: int = 0
    """How many take part; 0 outside of conversations."""
    read: bool = False
    deleted: bool = False
    content: str | None = None
    """The text as it is now, at most `CONTENT_CHARS_MAX`; only if it was edited."""
    conversation_title: str | None = None
    delivered_to: tuple[DeviceType, ...] = ()
    """Kinds of devices that have confirmed it."""
    synced: bool = False
    """A device has fetched it by sync."""
    muted: bool = False
    """The user has muted the conversation, and that has not run out."""


class ConnectionNow(Contract):
    """A socket that is open now."""

    device_type: DeviceType
    idle: bool = False


class UserFacts(Contract):
    """How one user stands."""

    user_id: UserId
    blocked: bool = False
    badge: int = 0
    """Conversations with something unread, of this moment."""
    settings: NotificationSettings = NotificationSettings()
    devices: tuple[PushDevice, ...] = ()
    connections: tuple[ConnectionNow, ...] = ()
    """Empty, too, if chat-api does not hear edges at the moment."""


class PushFacts(Contract):
    """The answer."""

    at: Instant
    deliveries: tuple[DeliveryFacts, ...] = ()
    users: tuple[UserFacts, ...] = ()


class TokenGone(Contract):
    """`natter.notifier.gone`: a push service says that a token is good no more."""

    device: Uuid
    """`PushDevice.id`."""
    registered_at: Instant
    """`PushDevice.registered_at` of the token that was used: one registered later is another one, and stays."""


class TokenGoneReply(Contract):
    """Whether something was removed."""

    removed: bool


class FactsRefused(Contract):
    """The answer instead, when there is none: `error` is a sentence, the same question may be asked again."""

    error: str
