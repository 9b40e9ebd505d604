"""Commands that edges ask for over NATS: the sockets' way to the same handlers that HTTP uses."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from nats.aio.client import Client
from nats.aio.msg import Msg

from chat_api import metrics
from chat_api.commands.batcher import Overloaded
from chat_api.domain.errors import Refused
from chat_api.presence.book import Unheard
from chat_api.settings import ChatApiSettings
from chat_api.sockets.handler import Handler, Reply
from chat_api.store.database import DatabaseUnavailable
from contracts import subjects
from contracts.codec import encode
from contracts.codes import ErrorCode
from contracts.commands import CommandReply
from contracts.errors import ContractError
from contracts.frames import FrameError
from kit.bus import AWAY
from kit.logs import Stage, logger

log = logger()

RETRY_AFTER_MS = 1000


class SocketCommands:
    """Listens while `run` runs. Each command is a task of its own, at most `command_inflight_max` of them."""

    def __init__(self, settings: ChatApiSettings, nats_client: Client, handlers: Mapping[str, Handler]) -> None:
        self._settings = settings
        self._nats = nats_client
        self._handlers = handlers
        self._inflight = 0

    async def run(self) -> None:
        """Handle commands until cancelled."""
        async with asyncio.TaskGroup() as group:
            subscriptions = [
                await self._nats.subscribe(
                    subjects.command(name), queue=subjects.COMMAND_QUEUE, cb=self._starter(group, handler)
                )
                for name, handler in self._handlers.items()
            ]
            try:
                await asyncio.Event().wait()
            finally:
                # Others of the queue group take over at once. A command that is cut off here gets no answer: its client
                # repeats it (a send with the same client_msg_id), and learns whether it was committed.
                for subscription in subscriptions:
                    if not self._nats.is_closed:
                        await subscription.unsubscribe()

    def _starter(self, group: asyncio.TaskGroup, handler: Handler) -> Callable[[Msg], Coroutine[Any, Any, None]]:
        async def start(message: Msg) -> None:
            group.create_task(self._answer(message, handler))

        return start

    async def _answer(self, message: Msg, handler: Handler) -> None:
        reply: Reply
        if self._inflight >= self._settings.command_inflight_max:
            reply = _refusal(ErrorCode.UNAVAILABLE, "Too many messages are waiting.", RETRY_AFTER_MS)
        else:
            self._inflight += 1
            try:
                reply = await _handled(handler, message.data)
            finally:
                self._inflight -= 1
        metrics.commands.labels(reply.error.code.value if reply.error else "accepted").inc()
        try:
            await message.respond(encode(reply))
        except AWAY as failed:
            # The client will repeat, a send with the same client_msg_id, and get this very answer.
            log.info("answer lost", stage=Stage.BROADCAST, error=type(failed).__name__)


async def _handled(handler: Handler, data: bytes) -> Reply:
    try:
        return await handler(data)
    except ContractError as wrong:
        return _refusal(ErrorCode.VALIDATION_FAILED, str(wrong))
    except Refused as refused:
        return _refusal(refused.code, refused.message, refused.retry_after_ms)
    except (DatabaseUnavailable, Overloaded, Unheard):
        return _refusal(ErrorCode.UNAVAILABLE, "The service is not available right now.", RETRY_AFTER_MS)
    except Exception as failed:
        log.error("command failed", stage=Stage.BROADCAST, exc_info=failed)
        return _refusal(ErrorCode.INTERNAL, "Something broke on our side.", RETRY_AFTER_MS)


def _refusal(code: ErrorCode, message: str, retry_after_ms: int | None = None) -> CommandReply:
    return CommandReply(error=FrameError(code=code, message=message, retry_after_ms=retry_after_ms))
