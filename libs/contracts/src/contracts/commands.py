"""Commands that an edge asks of chat-api over NATS request-reply, and the answers' shapes.

The edge vouches for who asks: it has verified the token.
"""

from __future__ import annotations

from typing import Any

from contracts.codec import Contract
from contracts.frames import Ack, FrameError, MarkRead, PresenceSubscribe, SendMessage, Typing
from contracts.ids import UserId, Uuid

SEND_MESSAGE = "send_message"
TYPING = "typing"
MARK_READ = "mark_read"
PRESENCE = "presence"
STATS = "stats"


class Asker(Contract):
    """Who asks, as the token says, and over which socket."""

    user_id: UserId
    name: str | None = None
    roles: tuple[str, ...] = ()
    issuer: str | None = None
    """Who signed the token, if not we or a host application: such a user is registered when first seen."""
    connection_id: Uuid


class SendMessageCommand(Contract):
    """`natter.command.send_message`: the edge vouches for the sender, whose token it has verified."""

    sender_id: UserId
    sender_name: str | None = None
    sender_roles: tuple[str, ...] = ()
    sender_issuer: str | None = None
    """As `Asker.issuer`."""
    connection_id: Uuid
    message: SendMessage
    traceparent: str | None = None


class SendMessageReply(Contract):
    """Either the ack or the error, to be passed to the client as it is."""

    ack: Ack | None = None
    error: FrameError | None = None


class TypingCommand(Contract):
    """`natter.command.typing`."""

    asker: Asker
    typing: Typing


class MarkReadCommand(Contract):
    """`natter.command.mark_read`; its `ack` is a `ReadUpdate`."""

    asker: Asker
    read: MarkRead


class PresenceCommand(Contract):
    """`natter.command.presence`; its `ack` is a `PresenceStates` of those whom the asker may see."""

    asker: Asker
    subscribe: PresenceSubscribe


class StatsCommand(Contract):
    """`natter.command.stats`: for edges that hold admins' sockets; its `ack` is an `AdminStats`."""

    asker: Asker


class CommandReply(Contract):
    """Data of the `ack`, or the error, to be passed to the client as it is."""

    ack: dict[str, Any] | None = None
    error: FrameError | None = None
