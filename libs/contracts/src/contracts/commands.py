"""Commands that an edge asks of chat-api over NATS request-reply, and the answer's shape."""

from __future__ import annotations

from contracts.codec import Contract
from contracts.frames import Ack, FrameError, SendMessage
from contracts.ids import UserId, Uuid

SEND_MESSAGE = "send_message"


class SendMessageCommand(Contract):
    """`natter.command.send_message`: the edge vouches for the sender, whose token it has verified."""

    sender_id: UserId
    sender_name: str | None = None
    sender_roles: tuple[str, ...] = ()
    connection_id: Uuid
    message: SendMessage


class SendMessageReply(Contract):
    """Either the ack or the error, to be passed to the client as it is."""

    ack: Ack | None = None
    error: FrameError | None = None
