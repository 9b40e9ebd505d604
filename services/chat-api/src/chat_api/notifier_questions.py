"""`natter.notifier.*`: what the notifier asks before each push, and what push services told it about tokens."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from nats.aio.client import Client
from nats.aio.msg import Msg
from sqlalchemy.ext.asyncio import AsyncEngine

from chat_api import metrics
from chat_api.presence.book import PresenceBook
from chat_api.store import devices, pushfacts
from chat_api.store.database import DatabaseUnavailable, translated
from contracts import subjects
from contracts.codec import Contract, decode, encode
from contracts.errors import ContractError
from contracts.pushfacts import (
    ConnectionNow,
    FactsRefused,
    PushFacts,
    PushFactsCommand,
    TokenGone,
    TokenGoneReply,
    UserFacts,
)
from contracts.times import now
from kit.bus import AWAY
from kit.logs import Stage, logger

log = logger()

AT_ONCE_MAX = 8
"""Questions that are being answered at the same time; each holds a connection to Postgres for some milliseconds."""
WAITING_MAX = 64
"""Above this they are refused: the notifier asks again."""


class NotifierQuestions:
    """Listens while `run` runs; each question is a task of its own."""

    def __init__(self, nats_client: Client, engine: AsyncEngine, presence: PresenceBook) -> None:
        self._nats = nats_client
        self._engine = engine
        self._presence = presence
        self._free = asyncio.Semaphore(AT_ONCE_MAX)
        self._waiting = 0

    async def run(self) -> None:
        """Answer until cancelled."""
        answers: dict[str, Callable[[bytes], Awaitable[Contract]]] = {
            subjects.NOTIFIER_FACTS: self._facts,
            subjects.NOTIFIER_GONE: self._gone,
        }
        async with asyncio.TaskGroup() as group:

            async def start(message: Msg) -> None:
                group.create_task(self._answer(message, answers[message.subject]))

            subscriptions = [
                await self._nats.subscribe(subject, queue=subjects.COMMAND_QUEUE, cb=start) for subject in answers
            ]
            try:
                await asyncio.Event().wait()
            finally:
                for subscription in subscriptions:
                    if not self._nats.is_closed:
                        await subscription.unsubscribe()

    async def _answer(self, message: Msg, answer: Callable[[bytes], Awaitable[Contract]]) -> None:
        reply: Contract
        if self._waiting >= WAITING_MAX:
            reply = FactsRefused(error="too many questions are waiting")
        else:
            self._waiting += 1
            try:
                async with self._free:
                    reply = await _answered(answer, message.data)
            finally:
                self._waiting -= 1
        metrics.notifier_questions.labels("refused" if isinstance(reply, FactsRefused) else "answered").inc()
        try:
            await message.respond(encode(reply))
        except AWAY as failed:
            log.info("answer lost", stage=Stage.LOCAL_PUSH, error=type(failed).__name__)

    async def _facts(self, data: bytes) -> PushFacts:
        asked = decode(PushFactsCommand, data)
        names = [*(one.user_id for one in asked.questions), *asked.user_ids]
        connections = self._connections(names)
        async with translated(), self._engine.connect() as connection:
            await connection.execute(pushfacts.PLANS)
            facts = PushFacts(
                at=now(),
                deliveries=await pushfacts.deliveries(connection, asked.questions),
                users=await pushfacts.users(connection, names, connections),
            )
        return fitting(facts, self._nats.max_payload)

    async def _gone(self, data: bytes) -> TokenGoneReply:
        told = decode(TokenGone, data)
        async with translated(), self._engine.begin() as connection:
            removed = await devices.remove(connection, told.device, told.registered_at)
        if removed:
            log.info("a device's token is good no more, it is removed", stage=Stage.LOCAL_PUSH, device=told.device)
        return TokenGoneReply(removed=removed)

    def _connections(self, user_ids: list[str]) -> dict[str, tuple[ConnectionNow, ...]]:
        # What was heard last is no word on who is there now: a socket of then would hold back a push of now.
        if not self._presence.hearing:
            return {}
        return {
            user_id: tuple(
                ConnectionNow(device_type=one.device_type, idle=one.idle) for one in self._presence.connections(user_id)
            )
            for user_id in dict.fromkeys(user_ids)
        }


def fitting(facts: PushFacts, bytes_max: int) -> PushFacts:
    """The answer in at most so many bytes: users with more than their share of it lose the devices registered first.

    Tokens are as long as whoever registers them likes. Without this a few users with absurd ones would make every
    answer too large that they are part of, and nobody else in it would get a push either.
    """
    if len(encode(facts)) <= bytes_max:
        return facts
    rest = len(encode(facts.model_copy(update={"users": ()})))
    share = (bytes_max - rest) // max(1, len(facts.users)) - 1
    log.warning("devices are left out of an answer that is too large", stage=Stage.LOCAL_PUSH, users=len(facts.users))
    return facts.model_copy(update={"users": tuple(_within(user, share) for user in facts.users)})


def _within(user: UserFacts, bytes_max: int) -> UserFacts:
    devices, size = list(user.devices), len(encode(user))
    while devices and size > bytes_max:
        size -= len(encode(devices.pop(0))) + 1
    return user.model_copy(update={"devices": tuple(devices)})


async def _answered(answer: Callable[[bytes], Awaitable[Contract]], data: bytes) -> Contract:
    try:
        return await answer(data)
    except ContractError as wrong:
        return FactsRefused(error=str(wrong)[:500])
    except DatabaseUnavailable:
        return FactsRefused(error="the database cannot answer now")
    except Exception as failed:
        log.error("a question was not answered", stage=Stage.LOCAL_PUSH, exc_info=failed)
        return FactsRefused(error="something broke on our side")
