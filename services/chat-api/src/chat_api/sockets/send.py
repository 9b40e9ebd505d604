"""`natter.command.send_message`: the sockets' way to the same batches that HTTP uses."""

from __future__ import annotations

from chat_api.access import Doorkeeper
from chat_api.commands.batcher import SendBatcher
from chat_api.domain.commands import SendMessage
from chat_api.limits.operations import Operation
from chat_api.sockets.handler import Handler
from contracts.codec import decode
from contracts.commands import SendMessageCommand, SendMessageReply
from contracts.frames import Ack
from contracts.ids import new_id
from contracts.messages import MessageDraft
from contracts.times import now
from kit import spans, tracing
from kit.logs import Stage, logger

log = logger()


def send_message(sends: SendBatcher, door: Doorkeeper) -> Handler:
    """Send a message, and tell its id and place."""

    async def handle(data: bytes) -> SendMessageReply:
        asked = decode(SendMessageCommand, data)
        await door.admit(Operation.SEND, asked.sender_id, asked.sender_name, asked.sender_roles, asked.sender_issuer)
        started_ns = spans.now_ns()
        trace = tracing.begin(asked.traceparent)
        body = asked.message
        draft = MessageDraft.model_construct(**{name: getattr(body, name) for name in MessageDraft.model_fields})
        sent = None
        try:
            sent = await sends.send(
                SendMessage(
                    conversation_id=body.conversation_id,
                    message_id=new_id(),
                    sender_id=asked.sender_id,
                    sender_name=asked.sender_name,
                    draft=draft,
                    now=now(),
                    traceparent=trace,
                )
            )
        finally:
            if spans.enabled:
                spans.record(
                    spans.SpanName.COMMAND_SEND,
                    step=trace,
                    parent=asked.traceparent,
                    started_ns=started_ns,
                    kind=spans.Kind.SERVER,
                    failed=sent is None,
                )
        message = sent.message
        stream = f"conversation:{message.conversation_id}"
        log.debug("message accepted", stage=Stage.BROADCAST, stream=stream, seq=message.seq, message_id=message.id)
        return SendMessageReply(
            ack=Ack(
                message_id=message.id,
                conversation_id=message.conversation_id,
                seq=message.seq,
                client_msg_id=draft.client_msg_id,
                duplicate=sent.duplicate,
            )
        )

    return handle
