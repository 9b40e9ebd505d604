"""`natter.command.typing`: somebody types, over a socket."""

from __future__ import annotations

from chat_api.access import Doorkeeper
from chat_api.limits.operations import Operation
from chat_api.signals import Signals
from chat_api.sockets.handler import Handler, Reply, ack
from contracts.codec import decode
from contracts.commands import TypingCommand
from contracts.frames import TypingUpdate


def typing(signals: Signals, door: Doorkeeper) -> Handler:
    """Tell the others; the ack repeats what they are told."""

    async def handle(data: bytes) -> Reply:
        asked = decode(TypingCommand, data)
        await door.admit_asker(Operation.TYPING, asked.asker)
        conversation_id, is_typing, user_id = asked.typing.conversation_id, asked.typing.is_typing, asked.asker.user_id
        await signals.typing(conversation_id, user_id, is_typing)
        return ack(TypingUpdate(conversation_id=conversation_id, user_id=user_id, is_typing=is_typing))

    return handle
