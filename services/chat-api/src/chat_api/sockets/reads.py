"""`natter.command.mark_read`: a read cursor moves, over a socket."""

from __future__ import annotations

from chat_api.access import Doorkeeper
from chat_api.commands import handlers
from chat_api.commands.ports import UnitOfWork
from chat_api.domain.commands import AdvanceRead
from chat_api.limits.operations import Operation
from chat_api.sockets.handler import Handler, Reply, ack
from contracts.codec import decode
from contracts.commands import MarkReadCommand
from contracts.frames import ReadUpdate
from contracts.times import now
from kit import tracing


def mark_read(uow: UnitOfWork, door: Doorkeeper) -> Handler:
    """Move the asker's cursor; the ack says where it is then."""

    async def handle(data: bytes) -> Reply:
        asked = decode(MarkReadCommand, data)
        await door.admit_asker(Operation.MARK_READ, asked.asker)
        tracing.begin(None)
        conversation_id, user_id = asked.read.conversation_id, asked.asker.user_id
        seq = await handlers.advance_read(AdvanceRead(conversation_id, user_id, asked.read.seq, now()), uow)
        return ack(ReadUpdate(conversation_id=conversation_id, user_id=user_id, seq=seq))

    return handle
