"""Commands that edges ask for over NATS: the sockets' way to the same handlers that HTTP uses."""

from __future__ import annotations

import asyncio

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from chat_api import metrics
from chat_api.commands.batcher import Overloaded, SendBatcher
from chat_api.domain.commands import SendMessage
from chat_api.domain.errors import Refused
from chat_api.settings import ChatApiSettings
from chat_api.store.database import DatabaseUnavailable
from contracts import subjects
from contracts.codec import decode, encode
from contracts.codes import ErrorCode
from contracts.commands import SEND_MESSAGE, SendMessageCommand, SendMessageReply
from contracts.errors import ContractError
from contracts.frames import Ack, FrameError
from contracts.ids import new_id
from contracts.messages import MessageDraft
from contracts.times import now
from kit import tracing
from kit.logs import Stage, logger

log = logger()

RETRY_AFTER_MS = 1000


class SocketCommands:
    """Listens while `run` runs. Each command is a task of its own, at most `command_inflight_max` of them."""

    def __init__(self, settings: ChatApiSettings, nats_client: Client, sends: SendBatcher) -> None:
        self._settings = settings
        self._nats = nats_client
        self._sends = sends
        self._inflight = 0

    async def run(self) -> None:
        """Handle commands until cancelled."""
        async with asyncio.TaskGroup() as group:

            async def start(message: Msg) -> None:
                group.create_task(self._answer(message))

            subscription = await self._nats.subscribe(
                subjects.command(SEND_MESSAGE), queue=subjects.COMMAND_QUEUE, cb=start
            )
            try:
                await asyncio.Event().wait()
            finally:
                # Others of the queue group take over at once. A command that is cut off here gets no answer: its client
                # repeats it with the same client_msg_id, and learns whether it was committed.
                if not self._nats.is_closed:
                    await subscription.unsubscribe()

    async def _answer(self, message: Msg) -> None:
        if self._inflight >= self._settings.command_inflight_max:
            reply = _refusal(ErrorCode.UNAVAILABLE, "Too many messages are waiting.", RETRY_AFTER_MS)
        else:
            self._inflight += 1
            try:
                reply = await self._send(message.data)
            finally:
                self._inflight -= 1
        metrics.commands.labels(reply.error.code.value if reply.error else "accepted").inc()
        try:
            await message.respond(encode(reply))
        except (nats.errors.Error, OSError) as failed:
            # The client will repeat with the same client_msg_id and get this very answer.
            log.info("answer lost", stage=Stage.BROADCAST, error=type(failed).__name__)

    async def _send(self, data: bytes) -> SendMessageReply:
        try:
            asked = decode(SendMessageCommand, data)
        except ContractError as wrong:
            return _refusal(ErrorCode.VALIDATION_FAILED, str(wrong))
        trace = tracing.begin(asked.traceparent)
        body = asked.message
        draft = MessageDraft.model_construct(**{name: getattr(body, name) for name in MessageDraft.model_fields})
        command = SendMessage(
            conversation_id=body.conversation_id,
            message_id=new_id(),
            sender_id=asked.sender_id,
            sender_name=asked.sender_name,
            draft=draft,
            now=now(),
            traceparent=trace,
        )
        try:
            sent = await self._sends.send(command)
        except Refused as refused:
            return _refusal(refused.code, refused.message)
        except (DatabaseUnavailable, Overloaded):
            return _refusal(ErrorCode.UNAVAILABLE, "The service is not available right now.", RETRY_AFTER_MS)
        except Exception as failed:
            log.error("send failed", stage=Stage.BROADCAST, exc_info=failed)
            return _refusal(ErrorCode.INTERNAL, "Something broke on our side.", RETRY_AFTER_MS)
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


def _refusal(code: ErrorCode, message: str, retry_after_ms: int | None = None) -> SendMessageReply:
    return SendMessageReply(error=FrameError(code=code, message=message, retry_after_ms=retry_after_ms))
