"""Asks chat-api how things stand, for many deliveries at once; the answers are used now and never stored."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import TypeVar

from pydantic import ValidationError

from contracts import subjects
from contracts.codec import Contract, encode
from contracts.devices import PushDevice
from contracts.pushfacts import (
    QUESTIONS_MAX,
    FactsRefused,
    PushFacts,
    PushFactsCommand,
    PushQuestion,
    TokenGone,
    TokenGoneReply,
    UserFacts,
)
from kit import bus
from notifier.decide import Facts
from notifier.deliveries import Delivery, about
from notifier.errors import FactsUnavailable
from notifier.link import Link

TIMEOUT_S = 2.0
AT_ONCE = 4
"""Requests that wait for an answer at the same time, of one call."""

C = TypeVar("C", bound=Contract)


class FactsClient:
    """Every call raises `FactsUnavailable` when chat-api, or NATS, does not answer: ask again later."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def ask(self, deliveries: Sequence[Delivery]) -> dict[int, Facts]:
        """By the delivery's id. What chat-api does not answer is not in it; raises only if it answers nothing."""
        pieces = [deliveries[start : start + QUESTIONS_MAX] for start in range(0, len(deliveries), QUESTIONS_MAX)]
        free = asyncio.Semaphore(AT_ONCE)
        found: dict[int, Facts] = {}

        async def ask_one(piece: Sequence[Delivery]) -> None:
            async with free:
                answer = await self._facts(PushFactsCommand(questions=tuple(map(_question, piece))))
            users = {one.user_id: one for one in answer.users}
            for delivery, about_it in zip(piece, answer.deliveries, strict=True):
                if about_it.event_id != delivery.event.id or delivery.user_id not in users:
                    raise FactsUnavailable("chat-api answered another question")
                found[delivery.id] = Facts(about_it, users[delivery.user_id])

        unanswered: list[FactsUnavailable] = []

        async def try_one(piece: Sequence[Delivery]) -> None:
            try:
                await ask_one(piece)
            except FactsUnavailable as away:
                unanswered.append(away)

        async with asyncio.TaskGroup() as asking:
            for piece in pieces:
                asking.create_task(try_one(piece))
        if unanswered and not found:
            raise unanswered[0]
        return found

    async def users(self, user_ids: Iterable[str]) -> dict[str, UserFacts]:
        """How users stand, without any delivery."""
        wanted = list(dict.fromkeys(user_ids))
        found: dict[str, UserFacts] = {}
        for start in range(0, len(wanted), QUESTIONS_MAX):
            answer = await self._facts(PushFactsCommand(user_ids=tuple(wanted[start : start + QUESTIONS_MAX])))
            found |= {one.user_id: one for one in answer.users}
        return found

    async def gone(self, device: PushDevice) -> bool:
        """The device's token is good no more; returns whether it was still registered."""
        told = TokenGone(device=device.id, registered_at=device.registered_at)
        return (await self._request(subjects.NOTIFIER_GONE, encode(told), TokenGoneReply)).removed

    async def _facts(self, command: PushFactsCommand) -> PushFacts:
        answer = await self._request(subjects.NOTIFIER_FACTS, encode(command), PushFacts)
        if len(answer.deliveries) != len(command.questions):
            raise FactsUnavailable("chat-api answered another question")
        return answer

    async def _request(self, subject: str, payload: bytes, model: type[C]) -> C:
        client = self._link.client
        if client is None or not client.is_connected:
            # A request made now would wait in a buffer and leave even after it was given up.
            raise FactsUnavailable("NATS is away")
        try:
            reply = await client.request(subject, payload, timeout=TIMEOUT_S)
        except bus.AWAY as away:
            raise FactsUnavailable(f"chat-api does not answer: {type(away).__name__}") from away
        try:
            return model.model_validate_json(reply.data)
        except ValidationError:
            pass
        try:
            refused = FactsRefused.model_validate_json(reply.data)
        except ValidationError:
            raise FactsUnavailable("chat-api answered something that is no answer") from None
        raise FactsUnavailable(refused.error)


def _question(delivery: Delivery) -> PushQuestion:
    what = about(delivery.data)
    return PushQuestion(
        user_id=delivery.user_id,
        event_id=delivery.event.id,
        conversation_id=what.conversation_id,
        message_id=what.message_id,
        seq=what.seq,
    )
